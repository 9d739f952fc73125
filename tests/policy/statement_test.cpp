#include "policy/statement.hpp"

#include <gtest/gtest.h>

#include <string>

namespace troupe::policy {
namespace {

using Cited = std::vector<std::int32_t>;

TEST(Statements, EndWithWhatTheyCite) {
  const auto statements =
      statements_of("Logs stay 30 days [2]. Visits [x] end at 18:00 [1] [3][1], it says [see [4] and so on.");
  ASSERT_EQ(statements.size(), 3U);
  EXPECT_EQ(statements[0].text, "Logs stay 30 days ");
  EXPECT_EQ(statements[0].cited, Cited{2});
  EXPECT_EQ(statements[1].text, ". Visits [x] end at 18:00 ");
  EXPECT_EQ(statements[1].cited, (Cited{1, 3})) << "each once";
  EXPECT_EQ(statements[2].text, ", it says ");
  EXPECT_EQ(statements[2].cited, Cited{4});
  EXPECT_TRUE(statements_of("[ [] [a] 3] [3").empty());
}

TEST(Statements, AreFoundInTimeHoweverManyBracketsThereAre) {
  // A time that grows with the square would be hours.
  constexpr std::size_t many = std::size_t{1} << 21;
  const std::string opened(many, '[');
  EXPECT_TRUE(statements_of(opened + " and no end.").empty());
  const auto statements = statements_of(opened + "1] is the end.");
  ASSERT_EQ(statements.size(), 1U);
  EXPECT_EQ(statements[0].text, "");
  EXPECT_EQ(uncited_end(opened + "1] is the end."), "is the end.");
  std::string cited;
  for (std::size_t i = 0; i < many / 4; ++i) cited += "[1] ";
  ASSERT_EQ(statements_of(cited).size(), 1U);
  EXPECT_EQ(statements_of(cited)[0].cited, Cited{1});
}

}  // namespace
}  // namespace troupe::policy
