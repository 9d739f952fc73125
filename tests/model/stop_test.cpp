#include "model/stop.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.hpp"

namespace troupe::model {
namespace {

StopMatcher matcher_of(std::vector<std::string> strings, bool show = false) {
  return StopMatcher(StopConditions{.tokens = {}, .strings = std::move(strings), .show_stop_string = show});
}

struct Ending {
  std::string shown;
  bool stopped = false;
  std::size_t by = 0;
};

/// The truth: looks at every prefix of the whole text for strings that end it.
Ending search(std::string_view text, const std::vector<std::string>& strings, bool show) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    const std::string_view seen = text.substr(0, end);
    std::size_t found = strings.size();
    for (std::size_t i = 0; i < strings.size(); ++i) {
      if (seen.ends_with(strings[i]) && (found == strings.size() || strings[i].size() > strings[found].size())) found = i;
    }
    if (found < strings.size()) {
      return {std::string(seen.substr(0, show ? end : end - strings[found].size())), true, found};
    }
  }
  return {std::string(text), false, 0};
}

/// The truth about what must be held back of a text without a match.
std::size_t held_back(std::string_view text, const std::vector<std::string>& strings) {
  std::size_t held = 0;
  for (const std::string& string : strings) {
    for (std::size_t length = 1; length < string.size(); ++length) {
      if (text.ends_with(std::string_view(string).substr(0, length))) held = std::max(held, length);
    }
  }
  return held;
}

TEST(StopMatcher, PassesEverythingOnWithoutStopStrings) {
  StopMatcher matcher;
  EXPECT_EQ(matcher.feed("one "), "one ");
  EXPECT_EQ(matcher.feed(""), "");
  EXPECT_EQ(matcher.feed("two"), "two");
  EXPECT_EQ(matcher.finish(), "");
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopMatcher, EndsTheTextBeforeTheStopString) {
  StopMatcher matcher = matcher_of({"\n\n"});
  EXPECT_EQ(matcher.feed("a line\n\nmore"), "a line");
  EXPECT_TRUE(matcher.stopped());
  EXPECT_EQ(matcher.stopped_by(), 0U);
  EXPECT_EQ(matcher.feed("more"), "");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcher, ShowsTheStopStringWhenAsked) {
  StopMatcher matcher = matcher_of({"END"}, true);
  EXPECT_EQ(matcher.feed("the EN"), "the ");
  EXPECT_EQ(matcher.feed("D of it"), "END");
  EXPECT_TRUE(matcher.stopped());
}

TEST(StopMatcher, HoldsBackWhatMayBeAStopString) {
  StopMatcher matcher = matcher_of({"User:"});
  EXPECT_EQ(matcher.feed("Yes. Us"), "Yes. ");
  EXPECT_EQ(matcher.feed("er"), "");
  EXPECT_EQ(matcher.feed("s say"), "Users say");
  EXPECT_EQ(matcher.feed(" U"), " ");
  EXPECT_EQ(matcher.finish(), "U");
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopMatcher, FindsAStringThatBeginsInsideAFailedMatch) {
  StopMatcher matcher = matcher_of({"aab"});
  EXPECT_EQ(matcher.feed("a"), "");
  EXPECT_EQ(matcher.feed("aa"), "a");
  EXPECT_EQ(matcher.feed("b"), "");
  EXPECT_TRUE(matcher.stopped());
}

TEST(StopMatcher, TakesTheMatchThatEndsFirst) {
  StopMatcher matcher = matcher_of({"abcd", "bc"});
  EXPECT_EQ(matcher.feed("xabcd"), "xa");
  EXPECT_EQ(matcher.stopped_by(), 1U);
}

TEST(StopMatcher, TakesTheLongestOfMatchesThatEndTogetherAndTheFirstOfEqualOnes) {
  StopMatcher matcher = matcher_of({"c", "abc", "bc", "abc"});
  EXPECT_EQ(matcher.feed("xab"), "x");
  EXPECT_EQ(matcher.feed("c"), "");
  EXPECT_EQ(matcher.stopped_by(), 1U);
}

TEST(StopMatcher, KeepsCharactersWhole) {
  StopMatcher matcher = matcher_of({"é!"});
  EXPECT_EQ(matcher.feed("caf"), "caf");
  EXPECT_EQ(matcher.feed("é"), "");
  EXPECT_EQ(matcher.feed("è"), "éè");  // shares its first byte with é
  EXPECT_EQ(matcher.feed("é!"), "");
  EXPECT_TRUE(matcher.stopped());
}

TEST(StopMatcher, AgreesWithASearchOfTheWholeTextHoweverItIsCut) {
  Random random(7);
  int stops = 0;
  for (int i = 0; i < 20000; ++i) {
    SCOPED_TRACE("case " + std::to_string(i));
    const auto word = [&](std::int64_t shortest, std::int64_t longest) {
      std::string text;
      const std::int64_t length = random.between(shortest, longest);
      while (static_cast<std::int64_t>(text.size()) < length)
        text.push_back(random.chance(0.6F) ? 'a' : random.chance(0.6F) ? 'b' : 'c');
      return text;
    };
    std::vector<std::string> strings(random.below(4) + 1);
    for (std::string& string : strings) string = word(1, 7);
    const std::string text = word(0, 30);
    const bool show = random.chance(0.5F);
    const Ending expected = search(text, strings, show);

    StopMatcher matcher = matcher_of(strings, show);
    std::string shown;
    std::size_t fed = 0;
    while (fed < text.size()) {
      const std::size_t size = std::min<std::size_t>(random.below(6), text.size() - fed);
      shown += matcher.feed(std::string_view(text).substr(fed, size));
      fed += size;
      if (matcher.stopped()) break;
      const std::string_view seen = std::string_view(text).substr(0, fed);
      ASSERT_EQ(shown, seen.substr(0, fed - held_back(seen, strings))) << "depends on the text alone, not on how it was cut";
    }
    shown += matcher.finish();
    ASSERT_EQ(shown, expected.shown) << text;
    ASSERT_EQ(matcher.stopped(), expected.stopped) << text;
    if (expected.stopped) {
      ASSERT_EQ(matcher.stopped_by(), expected.by);
    }
    stops += expected.stopped ? 1 : 0;
  }
  EXPECT_GT(stops, 5000);
  EXPECT_LT(stops, 19000);
}

TEST(StopConditions, KnowTheirTokens) {
  const StopConditions conditions{.tokens = {2, 7}, .strings = {}};
  EXPECT_TRUE(conditions.stops_at(7));
  EXPECT_FALSE(conditions.stops_at(3));
}

TEST(StopConditions, AreRefusedWithTheLimitThatTheyBreak) {
  const auto expect_error = [](const StopConditions& conditions, ErrorCode code, std::string_view message) {
    const auto result = validate(conditions, 4096);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code);
    EXPECT_EQ(result.error().message, message);
  };
  const std::string longest(stop_string_bytes_max, 'x');
  EXPECT_TRUE(validate({}, 4096));
  EXPECT_TRUE(validate({.tokens = std::vector<TokenId>(64, 4095), .strings = std::vector<std::string>(16, longest)}, 4096));
  expect_error({.tokens = std::vector<TokenId>(65, 1), .strings = {}}, ErrorCode::too_large,
               "65 stop tokens, expected at most 64");
  expect_error({.tokens = {4096}, .strings = {}}, ErrorCode::out_of_range,
               "stop token 4096 is not in the vocabulary, expected 0 to 4095");
  expect_error({.tokens = {3, -1}, .strings = {}}, ErrorCode::out_of_range,
               "stop token -1 is not in the vocabulary, expected 0 to 4095");
  expect_error({.tokens = {}, .strings = std::vector<std::string>(17, "x")}, ErrorCode::too_large,
               "17 stop strings, expected at most 16");
  expect_error({.tokens = {}, .strings = {"ok", ""}}, ErrorCode::invalid_argument,
               "stop string 1 is empty, expected at least one character");
  expect_error({.tokens = {}, .strings = {longest + "x"}}, ErrorCode::too_large,
               "257 bytes in stop string 0, expected at most 256");
  expect_error({.tokens = {}, .strings = {"ab\xFF"}}, ErrorCode::invalid_argument,
               "stop string 0 is not UTF-8 from its byte 2 on, so no text could contain it");
}

TEST(StopMatcherDeathTest, StopsOnConditionsThatNobodyValidated) {
  EXPECT_DEATH(matcher_of({""}), "validated where they come in");
}

}  // namespace
}  // namespace troupe::model
