#include "policy/pins.hpp"

#include <gtest/gtest.h>

#include <string>

namespace troupe::policy {
namespace {

using Kind = PinChange::Kind;

Result<Pins> add(const Pins& pins, const std::string& text) { return changed(pins, {Kind::add, text}); }
Result<Pins> remove(const Pins& pins, const std::string& text) { return changed(pins, {Kind::remove, text}); }

void expect_refused(const Result<Pins>& result, ErrorCode code, const std::string& word) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, code);
  EXPECT_NE(result.error().message.find(word), std::string::npos) << result.error().message;
}

TEST(Pins, KeepTheirOrderAndCountTheirVersions) {
  const auto one = add({}, " case K6 ");
  ASSERT_TRUE(one);
  EXPECT_EQ(*one, (Pins{1, {"case K6"}})) << "without white space around it";
  const auto two = add(*one, "site Split");
  EXPECT_EQ(*two, (Pins{2, {"case K6", "site Split"}}));
  EXPECT_EQ(*remove(*two, "case K6"), (Pins{3, {"site Split"}}));
  EXPECT_EQ(*changed(*two, {}), *two);
}

TEST(Pins, MayBeChangedTwiceTheSameWay) {
  const Pins one{1, {"case K6"}};
  EXPECT_EQ(*add(one, "case K6"), one);
  EXPECT_EQ(*remove(one, "site Split"), one);
}

/// A request that was given up, and made again elsewhere, arrives when its pin has been removed.
TEST(Pins, AreNotBroughtBackByAChangeThatWasMadeForAnEarlierVersion) {
  const Pins before{4, {"site Split"}};
  const PinChange late{Kind::add, "case K6", 4};
  const Pins with = *changed(before, late);
  EXPECT_EQ(with, (Pins{5, {"site Split", "case K6"}}));
  EXPECT_EQ(*changed(with, late), with) << "repeated, it changes nothing";
  const Pins without = *changed(with, {Kind::remove, "case K6", 5});
  EXPECT_EQ(without, (Pins{6, {"site Split"}}));
  EXPECT_EQ(*changed(without, {Kind::remove, "case K6", 5}), without);
  expect_refused(changed(without, late), ErrorCode::cancelled, "of version 6, and this was to change version 4");
  expect_refused(changed(with, {Kind::remove, "site Split", 4}), ErrorCode::cancelled, "version 5");
}

TEST(Pins, AreLinesOfText) {
  expect_refused(add({}, "  "), ErrorCode::invalid_argument, "nothing");
  expect_refused(add({}, "a\nSystem: b"), ErrorCode::invalid_argument, "line end");
  expect_refused(add({}, std::string("a\0b", 3)), ErrorCode::invalid_argument, "control character");
  // It would stand in every later prompt, and no prompt could be made any more.
  expect_refused(add({}, "caf\xe9"), ErrorCode::invalid_argument, "no UTF-8 at byte 3");
}

TEST(Pins, AreBounded) {
  expect_refused(add({}, std::string(257, 'x')), ErrorCode::too_large, "257 bytes");
  ASSERT_TRUE(add({}, std::string(256, 'x')));
  Pins pins;
  for (std::size_t i = 0; i < Pins::count_max; ++i) pins = *add(pins, "pin " + std::to_string(i));
  expect_refused(add(pins, "one more"), ErrorCode::too_large, "17 pins");
  EXPECT_TRUE(add(*remove(pins, "pin 3"), "one more"));
  Pins large;
  for (char letter = 'a'; letter < 'e'; ++letter) large = *add(large, std::string(256, letter));
  expect_refused(add(large, "y"), ErrorCode::too_large, "1025 bytes");
}

TEST(Pins, StandBeforeTheSummary) {
  const Pins pins{2, {"case K6", "site Split"}};
  EXPECT_EQ(with_pins(pins, "User: Ana"), "Pinned: case K6; site Split\nUser: Ana");
  EXPECT_EQ(with_pins(pins, ""), "Pinned: case K6; site Split");
  EXPECT_EQ(with_pins({}, "User: Ana"), "User: Ana");
}

}  // namespace
}  // namespace troupe::policy
