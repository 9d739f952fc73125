#include "policy/duplicates.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace troupe::policy {
namespace {

using Places = std::vector<std::size_t>;

TEST(Dates, AreFoundInNamesAndQuestions) {
  EXPECT_EQ(date_in("Records Policy (2024-02-15) §3.2"), "2024-02-15");
  EXPECT_EQ(date_in("On 2022-12-31: who? And 2023-01-01?"), "2022-12-31");
  for (const char* none : {"", "2024", "2024-13-01", "2024-00-10", "2024-01-32", "12024-01-01", "2024-01-011", "2024-1-1"}) {
    EXPECT_FALSE(date_in(none)) << none;
  }
}

TEST(Duplicates, AreTakenAwayAndTheRestStaysInOrder) {
  const std::vector<PassageText> passages = {
      {"A §1", "Doors are closed."}, {"B §2", "Lamps are off."}, {"C §3", "doors are  CLOSED"}, {"D §4", "Doors are open."}};
  EXPECT_EQ(without_duplicates(passages, "?"), (Places{0, 1, 3}));
  EXPECT_EQ(without_duplicates({}, "?"), Places{});
}

TEST(Duplicates, OfVersionsAreTheOneInForce) {
  const std::vector<PassageText> passages = {{"Policy (2022-05-01) §1", "Doors are closed."},
                                             {"Policy (2024-05-01) §1", "Doors are closed."},
                                             {"Policy (2023-05-01) §2", "Doors are closed."},
                                             {"Policy (2023-05-01) §3", "Lamps are off."}};
  EXPECT_EQ(without_duplicates(passages, "Are doors closed?"), (Places{1, 3}));
  EXPECT_EQ(without_duplicates(passages, "It is 2023-06-01. Are doors closed?"), (Places{2, 3}));
  EXPECT_EQ(without_duplicates(passages, "Were they on 2022-05-01?"), (Places{0, 3}));
  EXPECT_EQ(without_duplicates(passages, "Were they on 2020-01-01?"), (Places{1, 3})) << "none was in force: the newest";
}

TEST(Duplicates, AreNoneIfVersionsDiffer) {
  const std::vector<PassageText> passages = {{"Policy (2022-05-01) §1", "Keep logs for 2 years."},
                                             {"Policy (2024-05-01) §1", "Keep logs for 3 years."}};
  EXPECT_EQ(without_duplicates(passages, "How long?"), (Places{0, 1}));
}

TEST(Duplicates, AreNoneAmongTextsWithoutWords) {
  const std::vector<PassageText> passages = {{"A §1", "§"}, {"A §2", "…"}};
  EXPECT_EQ(without_duplicates(passages, "?"), (Places{0, 1}));
}

}  // namespace
}  // namespace troupe::policy
