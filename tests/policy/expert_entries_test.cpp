#include "policy/expert_entries.hpp"

#include <gtest/gtest.h>

#include <string>

#include "base/random.hpp"

namespace troupe::policy {
namespace {

const ExpertShape shape{.layers = 4, .experts = 8, .sparse = {0, 2, 3}, .expert_bytes = 1};

ExpertEntry entry(const char* node, const char* layers, const char* experts) {
  return {"heavy", {node}, parse_ranges(layers).value(), parse_ranges(experts).value(), std::string("p.toml:") + node};
}

TEST(IndexRanges, AreReadAndWritten) {
  EXPECT_TRUE(parse_ranges("all")->empty());
  EXPECT_EQ(parse_ranges("7").value(), (std::vector<IndexRange>{{7, 7}}));
  EXPECT_EQ(parse_ranges(" 0 - 3 , 5,4095 ").value(), (std::vector<IndexRange>{{0, 3}, {5, 5}, {4095, 4095}}));
  for (const char* text : {"all", "0", "0-3", "0-3,4", "0,2,4-4095"}) EXPECT_EQ(to_string(parse_ranges(text).value()), text);
  for (const char* wrong : {"",      " ",   ",",    "1,",     ",1",  "a",   "1-",          "-1", "3-1", "1,1",
                            "0-3,3", "5,4", "4096", "0-4096", "1 2", "1;2", "99999999999", "+1", "0x1", "all,1"}) {
    const auto refused = parse_ranges(wrong);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(refused.error().message.find("0 to 4095"), std::string::npos);
  }
}

TEST(ExpertEntries, BecomeAPlacementInTheirOrder) {
  const std::vector<ExpertEntry> entries{entry("b", "all", "0-3"), entry("a", "2-3", "all"), entry("b", "0", "4,5-7")};
  const auto placement = placement_of(entries, "heavy", shape);
  ASSERT_TRUE(placement) << placement.error().message;
  using Nodes = std::vector<NodeId>;
  EXPECT_EQ(placement->holders.at({0, 7}), (Nodes{{"b"}}));
  EXPECT_EQ(placement->holders.at({2, 0}), (Nodes{{"b"}, {"a"}}));
  EXPECT_EQ(placement->holders.at({3, 4}), (Nodes{{"a"}}));
  EXPECT_EQ(placement->holders.size(), 24U);
  EXPECT_TRUE(placement_of(entries, "other", shape)->holders.empty());
}

TEST(ExpertEntries, SayWhichOfThemIsWrong) {
  const auto refused = [](const std::vector<ExpertEntry>& entries, ErrorCode code, const std::vector<std::string>& words) {
    const auto placement = placement_of(entries, "heavy", shape);
    ASSERT_FALSE(placement);
    EXPECT_EQ(placement.error().code, code);
    for (const auto& word : words)
      EXPECT_NE(placement.error().message.find(word), std::string::npos) << placement.error().message;
  };
  refused({entry("a", "0-2", "0")}, ErrorCode::out_of_range, {"p.toml:a: expert 0 of layer 1", "layers 0,2-3"});
  refused({entry("a", "4", "0")}, ErrorCode::out_of_range, {"expert 0 of layer 4"});
  refused({entry("a", "all", "0-8")}, ErrorCode::out_of_range, {"expert 8 of layer 0", "experts 0-7"});
  refused({entry("a", "2", "1-3"), entry("a", "all", "3")}, ErrorCode::invalid_argument,
          {"p.toml:a: expert 3 of layer 2", "\"a\" a second time"});
}

TEST(ExpertEntries, SayTheSameAsThePlacementThatTheyComeFrom) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    ExpertPlacement drawn;
    for (const ExpertId id : ExpertSelection::all(shape).ids()) {
      std::vector<NodeId> nodes{{"a"}, {"b"}, {"c"}};
      for (std::size_t i = nodes.size(); i > 1; --i) std::swap(nodes[i - 1], nodes[random.below(i)]);
      nodes.resize(1 + random.below(3));
      drawn.holders[id] = nodes;
    }
    EXPECT_EQ(placement_of(entries_of(drawn, "heavy"), "heavy", shape).value(), drawn);
  }
  const auto computed = place_experts(shape, {{{"a"}, 100}, {{"b"}, 100}}, 1).value();
  EXPECT_EQ(entries_of(computed, "heavy").size(), 2U);
}

}  // namespace
}  // namespace troupe::policy
