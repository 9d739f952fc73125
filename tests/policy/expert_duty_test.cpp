#include "policy/expert_duty.hpp"

#include <gtest/gtest.h>

namespace troupe::policy {
namespace {

const ModelClass heavy{"heavy", "cpu-f32-v1"};
const ModelClass other{"other", "cpu-f32-v1"};

ExpertSelection experts(std::int32_t first, std::int32_t last) {
  ExpertSelection selection;
  for (std::int32_t expert = first; expert <= last; ++expert) selection.add({0, expert});
  return selection;
}

NodeView node(const char* name, ExpertSelection held, NodeState state = NodeState::serving) {
  NodeView view;
  view.id = {name};
  view.state = state;
  view.experts = {{"heavy", heavy, std::move(held), 8, 100, 3, 77}};
  view.expert_bytes_free = 500;
  return view;
}

std::vector<NodeId> names(const std::vector<ExpertHolder>& holders) {
  std::vector<NodeId> all;
  for (const ExpertHolder& holder : holders) all.push_back(holder.node);
  return all;
}

TEST(ExpertDuty, EnginesAskThoseThatAreReachedAndTheirOwnNode) {
  std::vector<NodeView> nodes{node("a", experts(0, 3)), node("b", experts(4, 7)), node("c", experts(0, 7)), node("d", {})};
  nodes[0].links = {{{"b"}, "ucx"}, {{"d"}, "ucx"}};
  const auto holders = holders_of(nodes, {"a"}, heavy);
  EXPECT_EQ(names(holders), (std::vector<NodeId>{{"a"}, {"b"}}));
  EXPECT_EQ(holders[1].experts, experts(4, 7));
  EXPECT_EQ(holders[1].load, 3);
  EXPECT_TRUE(holders_of(nodes, {"a"}, other).empty());
  EXPECT_TRUE(holders_of({}, {"a"}, heavy).empty());
}

TEST(ExpertDuty, ThoseWhoAreGoneAreNotAsked) {
  std::vector<NodeView> nodes{node("a", {}), node("b", experts(4, 7), NodeState::gone),
                              node("c", experts(4, 7), NodeState::draining)};
  nodes[0].links = {{{"b"}, "ucx"}, {{"c"}, "ucx"}};
  EXPECT_EQ(names(holders_of(nodes, {"a"}, heavy)), (std::vector<NodeId>{{"c"}}));
}

TEST(ExpertDuty, AnExpertIsOnlyHereIfNobodyElseHasItWhoStays) {
  const std::vector<NodeView> nodes{node("a", experts(0, 7)), node("b", experts(0, 1)),
                                    node("c", experts(2, 3), NodeState::gone), node("d", experts(4, 5), NodeState::draining),
                                    node("e", experts(6, 6))};
  ExpertSelection alone = experts(2, 5) | experts(7, 7);
  EXPECT_EQ(only_here(nodes, {"a"}, heavy), alone);
  EXPECT_TRUE(only_here(nodes, {"b"}, heavy).empty());
  EXPECT_TRUE(only_here(nodes, {"a"}, other).empty());
  EXPECT_TRUE(only_here(nodes, {"nobody"}, heavy).empty());
}

TEST(ExpertDuty, RescuersServeAndHaveTheModelAndAreReached) {
  std::vector<NodeView> nodes{node("a", {}), node("b", {}, NodeState::draining),
                              node("c", {}), node("d", {}, NodeState::joining),
                              node("e", {}), node("f", {})};
  nodes[2].experts.clear();
  nodes[0].links = {{{"b"}, "ucx"}, {{"c"}, "ucx"}, {{"d"}, "ucx"}, {{"e"}, "ucx"}};
  const auto rescuers = rescuers_of(nodes, {"a"}, heavy);
  ASSERT_EQ(rescuers.size(), 2U);
  EXPECT_EQ(rescuers[0].node, (NodeId{"a"}));
  EXPECT_EQ(rescuers[0].bytes_free, 500U);
  EXPECT_TRUE(rescuers[0].has_model);
  EXPECT_EQ(rescuers[1].node, (NodeId{"e"}));
}

TEST(ExpertDuty, PlacementsThatDifferAreFound) {
  std::vector<NodeView> nodes{node("c", {}), node("a", {}), node("b", {}), node("d", {}, NodeState::gone), node("e", {})};
  EXPECT_TRUE(placed_otherwise(nodes, {"a"}, heavy).empty());
  nodes[0].experts[0].placement = 1;
  nodes[2].experts[0].placement = 2;
  nodes[3].experts[0].placement = 3;
  nodes[4].experts.clear();  // it has no placement at all
  EXPECT_EQ(placed_otherwise(nodes, {"a"}, heavy), (std::vector<NodeId>{{"b"}, {"c"}}));
  EXPECT_TRUE(placed_otherwise(nodes, {"e"}, heavy).empty());
}

TEST(ExpertDuty, WhatWasLoadedInAnEmergencyIsKeptUntilItsHomesHaveItAgain) {
  ExpertPlacement placement;
  for (std::int32_t expert = 0; expert < 4; ++expert) placement.holders[{0, expert}] = {{"home"}};
  const auto at_home = [&](const std::vector<NodeView>& nodes) {
    return are_at_home(nodes, {"a"}, heavy, experts(0, 3), placement);
  };
  NodeView own = node("a", experts(0, 3));
  EXPECT_FALSE(at_home({own, node("home", experts(0, 3))})) << "nothing comes from there";
  own.links = {{{"another rescuer"}, "ucx"}, {{"home"}, "ucx"}};
  EXPECT_TRUE(at_home({own, node("home", experts(0, 3))}));
  EXPECT_FALSE(at_home({own, node("home", experts(0, 2))}));
  EXPECT_FALSE(at_home({own, node("home", experts(0, 3), NodeState::joining)}));
  EXPECT_FALSE(at_home({own, node("another rescuer", experts(0, 3))}));
  EXPECT_FALSE(at_home({own}));
}

}  // namespace
}  // namespace troupe::policy
