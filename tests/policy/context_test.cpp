#include "policy/context.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "base/random.hpp"

namespace troupe::policy {
namespace {

constexpr auto largest = std::numeric_limits<std::int32_t>::max();

struct Sized {
  ContextParts parts;
  PartSizes sizes;
};

/// Parts named by their places: passages "p0", "p1", ..., exchanges "q0", "q1", ...
Sized sized(std::vector<std::int32_t> passages, std::vector<std::int32_t> recent) {
  Sized made{.parts = {.task = Task::answer, .summary = "s", .recent = {}, .passages = {}, .question = "q"},
             .sizes = {.system = 10, .summary = 20, .question = 30, .recent = recent, .passages = passages}};
  for (std::size_t i = 0; i < passages.size(); ++i) made.parts.passages.push_back({"p" + std::to_string(i), "text"});
  for (std::size_t i = 0; i < recent.size(); ++i) made.parts.recent.push_back({"q" + std::to_string(i), "answer"});
  return made;
}

std::string kept(const Assembly& assembly) {
  std::string text;
  for (const auto& exchange : assembly.parts.recent) text += exchange.question + " ";
  for (const auto& passage : assembly.parts.passages) text += passage.name + " ";
  return text;
}

using Places = std::vector<std::size_t>;

TEST(Context, KeepsEverythingThatFitsInItsOrder) {
  const auto [parts, sizes] = sized({100, 50}, {7, 8});
  const auto assembly = assemble(parts, sizes, 225);
  ASSERT_TRUE(assembly);
  EXPECT_EQ(assembly->parts, parts);
  EXPECT_EQ(assembly->tokens, 225);
  EXPECT_EQ(assembly->passages_left_out, Places{});
  EXPECT_EQ(assembly->recent_left_out, 0U);
}

TEST(Context, PrefersPassagesToTurnsAndNewTurnsToOldOnes) {
  const auto [parts, sizes] = sized({100, 50}, {1, 8, 9});
  const auto assembly = assemble(parts, sizes, 224);
  ASSERT_TRUE(assembly);
  EXPECT_EQ(kept(*assembly), "q2 p0 p1 ") << "the short oldest turn would fit, but the one after it is gone";
  EXPECT_EQ(assembly->recent_left_out, 2U);
  EXPECT_EQ(assembly->tokens, 219);
}

TEST(Context, PassesOverAPassageThatIsTooLong) {
  const auto [parts, sizes] = sized({40, 500, 50}, {});
  const auto assembly = assemble(parts, sizes, 200);
  ASSERT_TRUE(assembly);
  EXPECT_EQ(kept(*assembly), "p0 p2 ");
  EXPECT_EQ(assembly->passages_left_out, Places{1});
}

TEST(Context, OfAChatHasNoPassages) {
  auto [parts, sizes] = sized({40, 50}, {5});
  parts.task = Task::chat;
  const auto assembly = assemble(parts, sizes, 1000);
  ASSERT_TRUE(assembly);
  EXPECT_EQ(kept(*assembly), "q0 ");
  EXPECT_EQ(assembly->passages_left_out, (Places{0, 1}));
  EXPECT_EQ(assembly->tokens, 65);
}

TEST(Context, RefusesAQuestionThatFitsWithNothing) {
  auto [parts, sizes] = sized({1}, {1});
  EXPECT_EQ(kept(*assemble(parts, sizes, 60)), "");
  const auto refused = assemble(parts, sizes, 59);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::too_large);
  for (const char* word : {"30", "60", "59"}) EXPECT_NE(refused.error().message.find(word), std::string::npos);
  sizes.question = sizes.summary = largest;
  EXPECT_FALSE(assemble(parts, sizes, largest));
  EXPECT_FALSE(assemble(parts, sizes, -1));
}

TEST(Context, NeverExceedsItsBudgetAndNeverLeavesOutWhatWouldFit) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const auto some = [&random] {
      std::vector<std::int32_t> values(random.below(7));
      for (auto& value : values) value = static_cast<std::int32_t>(random.between(0, 100));
      return values;
    };
    const auto [parts, sizes] = sized(some(), some());
    const auto budget = static_cast<std::int32_t>(random.between(60, 600));
    const auto assembly = assemble(parts, sizes, budget);
    ASSERT_TRUE(assembly);
    ASSERT_LE(assembly->tokens, budget);
    ASSERT_EQ(assembly->parts.passages.size() + assembly->passages_left_out.size(), parts.passages.size());
    ASSERT_EQ(assembly->parts.recent.size() + assembly->recent_left_out, parts.recent.size());
    if (assembly->recent_left_out > 0) {
      ASSERT_GT(assembly->tokens + sizes.recent[assembly->recent_left_out - 1], budget);
    }
  }
}

std::vector<TurnSize> turns(const std::vector<std::int32_t>& tokens) {
  std::vector<TurnSize> made;
  for (const auto count : tokens) made.push_back({.number = static_cast<std::uint32_t>(made.size() + 1), .tokens = count});
  return made;
}

TEST(Fold, TakesTheFourOldestOfTenTurns) {
  EXPECT_EQ(plan_fold(turns(std::vector<std::int32_t>(9, 10)), 1000), 0U);
  EXPECT_EQ(plan_fold(turns(std::vector<std::int32_t>(10, 10)), 1000), 4U);
  EXPECT_EQ(plan_fold(turns(std::vector<std::int32_t>(10, 10)), 1000, 2, 8), 8U);
  EXPECT_EQ(plan_fold({}, 0), 0U);
}

TEST(Fold, TakesAsManyOfTheOldestAsExceedTheBudget) {
  EXPECT_EQ(plan_fold(turns({50, 30, 20}), 100), 0U);
  EXPECT_EQ(plan_fold(turns({50, 30, 20}), 99), 1U);
  EXPECT_EQ(plan_fold(turns({50, 30, 20}), 49), 2U);
  EXPECT_EQ(plan_fold(turns({1, 1, 200}), 100), 2U) << "the last turn stays, however long";
  EXPECT_EQ(plan_fold(turns({200}), 100), 0U);
  EXPECT_EQ(plan_fold(turns({1, 1, 1, 1, 40, 40, 40, 1, 1, 1}), 100), 5U) << "four by their number, one more by their size";
  EXPECT_EQ(plan_fold(turns({largest, largest - 1, 1}), largest), 1U);
}

TEST(Fold, MakesASummaryOfWhatTheSmallestModelCanRead) {
  EXPECT_EQ(fold_at_once(turns({10, 10, 10, 10, 10, 10}), 6), 4U) << "the rest goes into the next summary";
  EXPECT_EQ(fold_at_once(turns({10, 10, 10}), 2), 2U);
  EXPECT_EQ(fold_at_once(turns({fold_tokens_max, 1, 1}), 3), 1U);
  EXPECT_EQ(fold_at_once(turns({largest, largest, 1}), 3), 1U) << "one at least, however long";
  EXPECT_EQ(fold_at_once(turns({10}), 0), 0U);
}

TEST(Fold, ShortensAnExchangeThatIsTooLongForASummary) {
  const Exchange usual{"question", "answer"};
  EXPECT_EQ(shortened(usual), usual);
  std::string accents;
  for (int i = 0; i < 1000; ++i) accents += "é";
  const Exchange cut = shortened({"x" + accents, accents});
  EXPECT_EQ(cut.question.size(), 1151U) << "no half character";
  EXPECT_EQ(cut.answer.size(), 1152U);
}

}  // namespace
}  // namespace troupe::policy
