#include "policy/citation.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace troupe::policy {
namespace {

const std::vector<Passage> passages = {{"a#1.1", "Access Rules §1.1"}, {"b#3.2", "Records Policy §3.2"}};
using Numbers = std::vector<std::int32_t>;

TEST(Citations, AreCountedOnceEachInAscendingOrder) {
  EXPECT_EQ(cited_numbers("Open [2][1]. And level 2 [2]."), (Numbers{1, 2}));
  EXPECT_EQ(cited_numbers("The sources do not say."), Numbers{});
  EXPECT_EQ(cited_numbers("[07] [12]"), (Numbers{7, 12}));
}

TEST(Citations, AreDigitsInBracketsAndNothingElse) {
  for (const char* text : {"", "[", "[]", "[1", "1]", "[a]", "[ 1]", "[1 ]", "[-1]", "[1,2]", "[Records Policy §3.2]"}) {
    EXPECT_EQ(cited_numbers(text), Numbers{}) << text;
    EXPECT_EQ(resolve_citations(text, passages), text);
  }
  EXPECT_EQ(cited_numbers("[[1]]"), Numbers{1});
  EXPECT_EQ(cited_numbers("[1[2]"), Numbers{2});
}

TEST(Citations, BecomeNamesOutsideOfTheirPrompt) {
  EXPECT_EQ(resolve_citations("Open [2]. Yes [1][2].", passages),
            "Open [Records Policy §3.2]. Yes [Access Rules §1.1][Records Policy §3.2].");
  EXPECT_EQ(resolve_citations("Open [3], [0] or [1].", passages), "Open [3], [0] or [Access Rules §1.1].");
  EXPECT_EQ(resolve_citations("[1]", {}), "[1]");
}

TEST(Citations, LeaveAnAnswerWithTheSpaceBeforeThem) {
  EXPECT_EQ(without_citations("Donor files are classified as Open [2]."), "Donor files are classified as Open.");
  EXPECT_EQ(without_citations(" A [1][2].  B  [99] "), "A.  B");
  EXPECT_EQ(without_citations("[1]"), "");
  EXPECT_EQ(without_citations("no [citation] here"), "no [citation] here");
}

TEST(Citations, OfPassagesThatAreNotThereAreReported) {
  EXPECT_EQ(check_citations("x [2] y [1] [2]", passages), (Citations{passages, {}}));
  EXPECT_EQ(check_citations("x [3][0][2]", passages), (Citations{{passages[1]}, {0, 3}}));
  EXPECT_EQ(check_citations("x [99999999999999999999]", passages), (Citations{{}, {std::numeric_limits<std::int32_t>::max()}}));
}

}  // namespace
}  // namespace troupe::policy
