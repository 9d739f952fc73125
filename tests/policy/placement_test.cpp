#include "policy/placement.hpp"

#include <gtest/gtest.h>

namespace troupe::policy {
namespace {

ReplicaView replica(std::uint32_t index, Tier tier, std::int32_t waiting = 0, std::int32_t running = 0) {
  ReplicaView view;
  view.index = index;
  view.tier = tier;
  view.model = {std::string(to_string(tier)), "cpu-f32-v1"};
  view.waiting = waiting;
  view.running = running;
  return view;
}

NodeView node(const char* name, NodeState state, std::vector<ReplicaView> replicas) {
  NodeView view;
  view.id = NodeId{name};
  view.state = state;
  view.replicas = std::move(replicas);
  return view;
}

std::optional<ReplicaPlace> choose(const std::vector<NodeView>& nodes, Tier tier,
                                   const std::optional<ReplicaPlace>& before = std::nullopt, const char* self = "a") {
  return choose_place(nodes, places_of(nodes, tier), before, NodeId{self});
}

TEST(Placement, FindsReplicasOfATierOnNodesThatServe) {
  const std::vector nodes{node("a", NodeState::serving, {replica(0, Tier::mini), replica(1, Tier::heavy)}),
                          node("b", NodeState::joining, {replica(0, Tier::heavy)}),
                          node("c", NodeState::gone, {replica(0, Tier::heavy)})};
  EXPECT_EQ(places_of(nodes, Tier::heavy), (std::vector<ReplicaPlace>{{NodeId{"a"}, 1}}));
  EXPECT_TRUE(places_of(nodes, Tier::medium).empty());
  EXPECT_EQ(served_tiers(nodes), (std::vector{Tier::mini, Tier::heavy}));
}

TEST(Placement, AsksADrainingNodeOnlyIfNobodyElseHasTheModel) {
  std::vector nodes{node("a", NodeState::draining, {replica(0, Tier::mini)}),
                    node("b", NodeState::serving, {replica(0, Tier::mini)})};
  EXPECT_EQ(places_of(nodes, Tier::mini), (std::vector<ReplicaPlace>{{NodeId{"b"}, 0}}));
  nodes.pop_back();
  EXPECT_EQ(places_of(nodes, Tier::mini), (std::vector<ReplicaPlace>{{NodeId{"a"}, 0}}));
}

TEST(Placement, MovesAnAttemptOnlyToTheSameModelAndNumericClass) {
  const std::vector nodes{node("a", NodeState::serving, {replica(0, Tier::mini)})};
  EXPECT_EQ(places_of(nodes, ModelClass{"mini", "cpu-f32-v1"}).size(), 1U);
  EXPECT_TRUE(places_of(nodes, ModelClass{"mini", "cuda-sm90-v1"}).empty());
  EXPECT_TRUE(places_of(nodes, ModelClass{"other", "cpu-f32-v1"}).empty());
}

TEST(Placement, PrefersTheShortestQueueThenTheCacheThenTheLeastBusyThenThisNode) {
  std::vector nodes{node("a", NodeState::serving, {replica(0, Tier::mini, 1, 0)}),
                    node("b", NodeState::serving, {replica(0, Tier::mini, 0, 5)}),
                    node("c", NodeState::serving, {replica(0, Tier::mini, 0, 2)})};
  EXPECT_EQ(choose(nodes, Tier::mini)->node, NodeId{"c"}) << "fewest running of those without a queue";
  EXPECT_EQ(choose(nodes, Tier::mini, ReplicaPlace{NodeId{"b"}, 0})->node, NodeId{"b"}) << "its cache has the prefix";
  EXPECT_EQ(choose(nodes, Tier::mini, ReplicaPlace{NodeId{"a"}, 0})->node, NodeId{"c"}) << "but it has a queue";
  nodes[0].replicas[0].waiting = 0;
  nodes[2].replicas[0].running = 0;
  EXPECT_EQ(choose(nodes, Tier::mini)->node, NodeId{"a"}) << "of equal ones the local";
  EXPECT_EQ(choose(nodes, Tier::mini, std::nullopt, "c")->node, NodeId{"c"});
  EXPECT_EQ(choose(nodes, Tier::mini, std::nullopt, "x")->node, NodeId{"a"}) << "or the first";
  EXPECT_FALSE(choose(nodes, Tier::heavy));
}

TEST(Placement, GoesWhereMostOfThePromptIsHeldUnlessThatNodeIsBusy) {
  std::vector nodes{node("a", NodeState::serving, {replica(0, Tier::mini)}),
                    node("b", NodeState::serving, {replica(0, Tier::mini)})};
  const auto chosen = [&](const ExpectedReuse& reuse) {
    return choose_place(nodes, places_of(nodes, Tier::mini), std::nullopt, NodeId{"a"}, reuse)->node.value;
  };
  const ExpectedReuse on_b{1000, {{NodeId{"a"}, 16}, {NodeId{"b"}, 960}}};
  EXPECT_EQ(chosen({}), "a");
  EXPECT_EQ(chosen({1000, {}}), "a");
  EXPECT_EQ(chosen(on_b), "b");
  nodes[1].replicas[0].running = 10;
  EXPECT_EQ(chosen(on_b), "b") << "computing 944 tokens is more than a row for each of ten in each step of an answer";
  nodes[1].replicas[0].running = 20;
  EXPECT_EQ(chosen(on_b), "a");
  nodes[1].replicas[0].running = 0;
  nodes[1].replicas[0].waiting = 1;
  EXPECT_EQ(chosen(on_b), "a") << "a prompt that waits before it is more than it saves";
  nodes[0].replicas[0].waiting = 1;
  EXPECT_EQ(chosen(on_b), "b");
  EXPECT_EQ(chosen({100, {{NodeId{"b"}, 5000}}}), "b") << "no more is reused than the prompt has";
}

}  // namespace
}  // namespace troupe::policy
