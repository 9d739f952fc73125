#include "policy/left_out.hpp"

#include <gtest/gtest.h>

namespace troupe::policy {
namespace {

using Found = std::vector<LeftOut>;

TEST(LeftOut, IsNothingWhereEverythingFits) {
  const std::vector<std::uint32_t> turns = {3, 5};
  const std::vector<Passage> passages = {{"a#1", "A §1"}};
  EXPECT_EQ(left_out_of({Tier::mini, 100, turns, 0, passages, 1, {0}, 2, 2}), Found{});
  EXPECT_EQ(left_out_of({}), Found{});
}

TEST(LeftOut, NamesTurnsPassagesAndWhatIsNotRecalledWithTheReason) {
  const std::vector<std::uint32_t> turns = {3, 5, 6};
  const std::vector<Passage> passages = {{"a#1", "A §1"}, {"a#2", "A §2"}, {"a#3", "A §3"}};
  const Found expected = {{"turns 3 to 5", "no room in 1280 tokens"},
                          {"A §1", "no room in 1280 tokens"},
                          {"A §3", "a prompt of medium has 2 passages at most"},
                          {"7 older entries of the summary", "the question is not about them"}};
  EXPECT_EQ(left_out_of({Tier::medium, 1280, turns, 2, passages, 2, {1}, 9, 2}), expected);
  ContextChoice one;
  one.tokens_max = 8;
  one.turns = turns;
  one.turns_left_out = 1;
  EXPECT_EQ(left_out_of(one), (Found{{"turn 3", "no room in 8 tokens"}}));
}

}  // namespace
}  // namespace troupe::policy
