#include "policy/transport.hpp"

#include <gtest/gtest.h>

namespace troupe::policy {
namespace {

NodeView node(const char* name, std::vector<TransportView> transports) {
  NodeView view;
  view.id = {name};
  view.state = NodeState::serving;
  view.transports = std::move(transports);
  return view;
}

TEST(Transports, TheBestOfThoseInCommonIsChosen) {
  const NodeView one = node("one", {{"ucx", "a", ""}, {"nccl", "b", ""}, {"local", "c", "process 1"}});
  const NodeView two = node("two", {{"local", "d", "process 1"}, {"nccl", "e", ""}, {"ucx", "f", ""}});
  EXPECT_EQ(common_transports(one, two), (std::vector<std::string>{"nccl", "ucx", "local"}));
  EXPECT_EQ(common_transport(one, two), "nccl");
  EXPECT_EQ(common_transport(one, node("host memory", {{"ucx", "", ""}})), "ucx");
}

TEST(Transports, ThoseOfOneScopeReachNobodyElse) {
  const NodeView one = node("one", {{"local", "a", "process 1"}});
  EXPECT_EQ(common_transport(one, node("two", {{"local", "b", "process 2"}})), "");
  EXPECT_EQ(common_transport(one, node("three", {{"local", "b", "process 1"}})), "local");
}

TEST(Transports, WithNothingInCommonThereIsNone) {
  EXPECT_EQ(common_transport(node("one", {}), node("two", {})), "");
  EXPECT_EQ(common_transport(node("one", {{"ucx", "", ""}}), node("two", {})), "");
  EXPECT_EQ(common_transport(node("one", {{"ucx", "", ""}}), node("two", {{"nccl", "", ""}})), "");
}

TEST(Transports, ThoseOfANewerVersionAreTheLastChoiceAndEachCountsOnce) {
  const NodeView newer = node("newer", {{"photons", "", ""}, {"ucx", "", ""}, {"gossip", "", ""}, {"photons", "", ""}});
  EXPECT_EQ(common_transports(newer, newer), (std::vector<std::string>{"ucx", "gossip", "photons"}));
}

TEST(Transports, BothSeeTheSameOrder) {
  const NodeView one = node("one", {{"b", "", ""}, {"nccl", "", ""}, {"a", "", ""}});
  const NodeView two = node("two", {{"a", "", ""}, {"b", "", ""}, {"nccl", "", ""}});
  EXPECT_EQ(common_transports(one, two), common_transports(two, one));
}

TEST(Transports, TwoNodesAreJoinedOnlyByWhatBothSay) {
  NodeView one = node("one", {});
  NodeView two = node("two", {});
  EXPECT_EQ(joined_by(one, two), "");
  one.links = {{{"three"}, "nccl"}, {{"two"}, "ucx"}};
  EXPECT_EQ(joined_by(one, two), "");
  two.links = {{{"one"}, "nccl"}};
  EXPECT_EQ(joined_by(one, two), "");
  two.links = {{{"one"}, "ucx"}};
  EXPECT_EQ(joined_by(one, two), "ucx");
  EXPECT_EQ(joined_by(two, one), "ucx");
  two.state = NodeState::gone;  // what it said last
  EXPECT_EQ(joined_by(one, two), "");
}

}  // namespace
}  // namespace troupe::policy
