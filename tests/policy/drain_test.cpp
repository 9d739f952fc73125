#include "policy/drain.hpp"

#include <gtest/gtest.h>

namespace troupe::policy {
namespace {

NodeView node(const std::string& name, std::vector<Tier> served, NodeState state = NodeState::serving) {
  NodeView view;
  view.id = {name};
  view.state = state;
  for (const Tier tier : served) {
    ReplicaView replica;
    replica.tier = tier;
    view.replicas.push_back(replica);
  }
  return view;
}

/// "a" grants leases; "b" and "c" have the same tiers.
std::vector<NodeView> three() {
  std::vector<NodeView> nodes{node("a", {Tier::mini}), node("b", {Tier::mini, Tier::heavy}),
                              node("c", {Tier::mini, Tier::heavy})};
  nodes[0].leases = true;
  return nodes;
}

TEST(LeftToMove, CountsWhatANodeHoldsAndIsEmptyWhenThatIsNothing) {
  NodeView view = node("b", {Tier::mini, Tier::heavy});
  EXPECT_TRUE(left_to_move(view).empty());
  EXPECT_EQ(to_string(left_to_move(view)), "nothing");
  view.replicas[1].running = 1;
  view.replicas[1].waiting = 2;
  EXPECT_EQ(to_string(left_to_move(view)), "3 running sequences");
  view.conversations_stored = 12;
  EXPECT_EQ(left_to_move(view), (std::vector<Holding>{{"conversations", 12}, {"running sequences", 3}}));
  EXPECT_EQ(to_string(left_to_move(view)), "12 conversations, 3 running sequences");
  view.experts_alone = 5;
  EXPECT_EQ(to_string(left_to_move(view)), "12 conversations, 3 running sequences, 5 experts");
}

void expect_refused(const std::vector<NodeView>& nodes, const std::string& name, ErrorCode code, const std::string& words) {
  const auto checked = check_drain(nodes, {name});
  ASSERT_FALSE(checked) << name;
  EXPECT_EQ(checked.error().code, code) << checked.error().message;
  EXPECT_NE(checked.error().message.find(words), std::string::npos) << checked.error().message;
}

TEST(CheckDrain, LetsANodeGoThatOthersCanReplace) {
  EXPECT_TRUE(check_drain(three(), {"b"}));
  EXPECT_TRUE(check_drain(three(), {"c"}));
}

TEST(CheckDrain, RefusesANodeWhoseExpertsNobodyElseHasRoomFor) {
  auto nodes = three();
  ExpertsView experts{"heavy", {"fingerprint", "class"}, {}, 8, 100, 0, 0};
  nodes[0].experts = nodes[2].experts = {experts};
  experts.experts.add({3, 1});
  experts.experts.add({3, 2});
  nodes[1].experts = {experts};
  nodes[1].links = {{{"a"}, "ucx"}, {{"c"}, "ucx"}};
  nodes[2].expert_bytes_free = 100;
  expect_refused(nodes, "b", ErrorCode::unavailable, "model heavy and room for its experts of layer 3: 2");
  nodes[0].expert_bytes_free = 100;
  EXPECT_TRUE(check_drain(nodes, {"b"}));
  nodes[0].expert_bytes_free = nodes[2].expert_bytes_free = 0;
  nodes[0].experts = {experts};  // they are there already
  EXPECT_TRUE(check_drain(nodes, {"b"}));
}

TEST(CheckDrain, CountsANodesRoomOnceForAllModels) {
  auto nodes = three();
  for (const char* name : {"first", "second"}) {
    ExpertsView experts{name, {name, "class"}, {}, 8, 100, 0, 0};
    nodes[0].experts.push_back(experts);
    experts.experts.add({3, 1});
    nodes[1].experts.push_back(experts);
  }
  nodes[1].links = {{{"a"}, "ucx"}};
  nodes[0].expert_bytes_free = 100;
  expect_refused(nodes, "b", ErrorCode::unavailable, "model second and room for its experts of layer 3: 1");
  nodes[0].expert_bytes_free = 200;
  EXPECT_TRUE(check_drain(nodes, {"b"}));
}

TEST(CheckDrain, JoinsADrainThatRuns) {
  auto nodes = three();
  nodes[1].state = NodeState::draining;
  nodes[1].conversations_stored = 5;
  EXPECT_TRUE(check_drain(nodes, {"b"}));
}

TEST(CheckDrain, RefusesANodeThatIsNotThere) {
  expect_refused(three(), "d", ErrorCode::not_found, "there are a, b, c");
  auto nodes = three();
  nodes[2].state = NodeState::gone;
  expect_refused(nodes, "c", ErrorCode::unavailable, "node c is gone");
  nodes[2].state = NodeState::joining;
  expect_refused(nodes, "c", ErrorCode::unavailable, "node c is joining");
}

TEST(CheckDrain, RefusesTheNodeThatGrantsTheLeases) {
  expect_refused(three(), "a", ErrorCode::unsupported, "grants the leases");
}

TEST(CheckDrain, RefusesTheLastThatServes) {
  auto nodes = three();
  nodes[0].state = NodeState::gone;
  nodes[2].state = NodeState::gone;
  expect_refused(nodes, "b", ErrorCode::unavailable, "no other node is serving");
}

TEST(CheckDrain, RefusesTheLastOfATier) {
  auto nodes = three();
  nodes[2].replicas.pop_back();
  expect_refused(nodes, "b", ErrorCode::unavailable, "tier heavy");
  EXPECT_TRUE(check_drain(nodes, {"c"})) << "what it has, others have";
}

TEST(CheckDrain, RefusesASecondWhileOneRunsAndNotAfterIt) {
  auto nodes = three();
  nodes.push_back(node("d", {Tier::heavy}));
  nodes[1].state = NodeState::draining;
  nodes[1].replicas[0].running = 1;
  expect_refused(nodes, "c", ErrorCode::unavailable, "node b is being drained and still holds 1 running sequences");
  nodes[1].replicas[0].running = 0;
  EXPECT_TRUE(check_drain(nodes, {"c"}));
  nodes.pop_back();
  expect_refused(nodes, "c", ErrorCode::unavailable, "tier heavy");
}

TEST(ChooseHome, TakesTheServingNodeWithTheFewestConversations) {
  auto nodes = three();
  nodes[0].conversations_stored = 1;
  nodes.push_back(node("d", {Tier::mini, Tier::heavy}));
  nodes[1].conversations_stored = 9;
  nodes[2].conversations_stored = 5;
  nodes[3].conversations_stored = 3;
  EXPECT_EQ(choose_home(nodes, {"b"}, {})->value, "d") << "a has fewer, and no heavy";
  EXPECT_EQ(choose_home(nodes, {"b"}, {{{"d"}, 3}})->value, "c") << "d has been given some";
  nodes[2].state = NodeState::gone;
  nodes[3].state = NodeState::draining;
  EXPECT_EQ(choose_home(nodes, {"b"}, {})->value, "a");
  nodes[0].state = NodeState::joining;
  EXPECT_FALSE(choose_home(nodes, {"b"}, {}));
  EXPECT_FALSE(choose_home(nodes, {"nobody"}, {}));
}

TEST(ChooseHome, PrefersANodeThatAnswersFromTheSameCorpus) {
  auto nodes = three();
  nodes[1].corpus_version = "one";
  nodes[2].corpus_version = "two";
  nodes[0].corpus_version = "one";
  EXPECT_EQ(choose_home(nodes, {"b"}, {})->value, "a");
  nodes[2].corpus_version = "one";
  EXPECT_EQ(choose_home(nodes, {"b"}, {})->value, "c");
}

}  // namespace
}  // namespace troupe::policy
