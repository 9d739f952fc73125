#include "base/result.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace troupe {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return Error{ErrorCode::invalid_argument, std::to_string(number) + " is odd"};
  return number / 2;
}

Result<void> require_small(int number) {
  if (number > 10) return Error{ErrorCode::too_large, std::to_string(number) + " is more than 10"};
  return {};
}

Result<std::pair<int, int>> half_and_quarter(int number) {
  TROUPE_TRY(const int first, half(number));
  TROUPE_TRY(const int second, half(first));
  return std::pair(first, second);
}

Result<std::string> describe(int number) {
  TROUPE_TRY_DO(require_small(number));
  TROUPE_TRY(const auto parts, half_and_quarter(number));
  TROUPE_TRY_DO(require_small(parts.first));
  return std::to_string(parts.first) + " and " + std::to_string(parts.second);
}

TEST(Result, HoldsAValueOrAnError) {
  const Result<int> value = half(6);
  ASSERT_TRUE(value);
  EXPECT_EQ(*value, 3);
  const Result<int> error = half(7);
  ASSERT_FALSE(error);
  EXPECT_EQ(error.error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(error.error().message, "7 is odd");
}

TEST(Result, TryPassesValuesOn) {
  const Result<std::string> description = describe(8);
  ASSERT_TRUE(description);
  EXPECT_EQ(*description, "4 and 2");
}

TEST(Result, TryReturnsTheFirstErrorWithItsCodeMessageAndPlace) {
  const Result<std::string> result = describe(6);  // 3 is odd, two calls further down
  ASSERT_FALSE(result);
  const Error origin = half(3).error();
  EXPECT_EQ(result.error().code, origin.code);
  EXPECT_EQ(result.error().message, "3 is odd");
  EXPECT_EQ(result.error().where.line(), origin.where.line());
  EXPECT_EQ(std::string_view(result.error().where.file_name()), origin.where.file_name());
  EXPECT_EQ(std::string_view(result.error().where.function_name()), origin.where.function_name());
}

TEST(Result, TryDoReturnsTheErrorOfAStepWithoutAValue) {
  const Result<std::string> result = describe(12);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::too_large);
  EXPECT_EQ(result.error().message, "12 is more than 10");
  EXPECT_TRUE(describe(8));
}

TEST(Result, TryTakesExpressionsWithCommas) {
  const auto lookup = [](std::map<std::string, int> map, const std::string& key) -> Result<int> {
    const auto found = map.find(key);
    if (found == map.end()) return Error{ErrorCode::not_found, "no " + key};
    return found->second;
  };
  const auto sum = [&]() -> Result<int> {
    TROUPE_TRY(const int a, lookup({{"a", 1}, {"b", 2}}, "a"));
    TROUPE_TRY(const int b, lookup(std::map<std::string, int>{{"b", 2}}, "b"));
    return a + b;
  };
  EXPECT_EQ(sum().value(), 3);
}

TEST(Result, TryEvaluatesItsExpressionOnce) {
  int calls = 0;
  const auto count = [&]() -> Result<int> { return ++calls; };
  const auto run = [&]() -> Result<void> {
    TROUPE_TRY(const int seen, count());
    EXPECT_EQ(seen, 1);
    TROUPE_TRY_DO(count());
    return {};
  };
  EXPECT_TRUE(run());
  EXPECT_EQ(calls, 2);
}

TEST(Result, TryStopsAtTheFirstError) {
  bool went_on = false;
  const auto run = [&]() -> Result<void> {
    TROUPE_TRY_DO(half(1));
    went_on = true;
    return {};
  };
  EXPECT_FALSE(run());
  EXPECT_FALSE(went_on);
}

TEST(Result, MovesValuesThatCannotBeCopied) {
  const auto make = []() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(5); };
  const auto pass_on = [&]() -> Result<std::unique_ptr<int>> {
    TROUPE_TRY(auto owner, make());
    return owner;
  };
  EXPECT_EQ(**pass_on(), 5);
}

TEST(Result, TryAssignsToWhatExists) {
  const auto run = []() -> Result<int> {
    int number = 0;
    TROUPE_TRY(number, half(4));
    return number;
  };
  EXPECT_EQ(run().value(), 2);
}

TEST(Error, RemembersWhereItArose) {
  const auto line = static_cast<unsigned>(__LINE__) + 1;
  const Error error{ErrorCode::io, "disk"};
  EXPECT_EQ(error.where.line(), line);
  EXPECT_NE(std::string_view(error.where.file_name()).find("result_test.cpp"), std::string_view::npos);
}

TEST(Error, PutsContextInFrontAndKeepsTheRest) {
  const Error inner{ErrorCode::corrupt, "hidden is \"x\", expected a number"};
  const auto line = inner.where.line();
  const Error outer = Error(inner).within("config.json").within("loading mini");
  EXPECT_EQ(outer.message, "loading mini: config.json: hidden is \"x\", expected a number");
  EXPECT_EQ(outer.code, ErrorCode::corrupt);
  EXPECT_EQ(outer.where.line(), line);
}

TEST(ErrorCode, HasANameOfItsOwn) {
  std::set<std::string_view> names;
  const int last = static_cast<int>(ErrorCode::io);
  for (int code = 0; code <= last; ++code) {
    const std::string_view name = to_string(static_cast<ErrorCode>(code));
    EXPECT_NE(name, "unknown") << code;
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string_view::npos) << name;
    names.insert(name);
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(last) + 1);
  EXPECT_EQ(to_string(ErrorCode::deadline_exceeded), "deadline_exceeded");
}

}  // namespace
}  // namespace troupe
