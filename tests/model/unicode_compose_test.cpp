#include "model/unicode_compose.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "base/random.hpp"
#include "model/utf8.hpp"

namespace troupe::model {
namespace {

std::string utf8(std::u32string_view codes) {
  std::string text;
  for (const char32_t code : codes) append_utf8(code, text);
  return text;
}

// Expected values are those of the Unicode Character Database's normalization test and of Annex #15's examples.
TEST(UnicodeCompose, FollowsTheExamplesOfTheStandard) {
  const std::pair<std::u32string_view, std::u32string_view> examples[] = {
      {U"plain", U"plain"},
      {U"e\u0301", U"\u00E9"},
      {U"\u1E0B\u0323", U"\u1E0D\u0307"},  // a composed character is taken apart to put its marks in order
      {U"\u0044\u0307\u0323", U"\u1E0C\u0307"},
      {U"q\u0307\u0323", U"q\u0323\u0307"},  // nothing composes, order changes
      {U"\u212B", U"\u00C5"},                // Angstrom sign: a singleton
      {U"\u2126", U"\u03A9"},
      {U"\u0958", U"\u0915\u093C"},        // excluded from composition
      {U"\u1112\u1161\u11AB", U"\uD55C"},  // Hangul, with and without a tail
      {U"\u1112\u1161", U"\uD558"},
      {U"\uD558\u11AB", U"\uD55C"},
      {U"\u0301a", U"\u0301a"},  // a mark with nothing before it
      {U"a\u0315\u0300\u05AE\u0300b", U"\u00E0\u05AE\u0300\u0315b"},
      {U"\U0001D15E", U"\U0001D157\U0001D165"},
      {U"\u0061\u0301\u0301", U"\u00E1\u0301"},
  };
  for (const auto& [text, composed] : examples) EXPECT_EQ(compose_canonically(utf8(text)), utf8(composed)) << utf8(text);
}

TEST(UnicodeCompose, ChangesNothingTwice) {
  Random random(2);
  for (int i = 0; i < 20000; ++i) {
    std::u32string codes;
    for (int length = 0; length < 8; ++length) {
      const std::pair<std::int64_t, std::int64_t> ranges[] = {{0x20, 0x17F},  {0x300, 0x36F},   {0x1100, 0x11FF},
                                                              {0x900, 0xDFF}, {0x1E00, 0x1FFF}, {0xAC00, 0xD7A3}};
      const auto [low, high] = ranges[random.below(6)];
      codes += static_cast<char32_t>(random.between(low, high));
    }
    const std::string once = compose_canonically(utf8(codes));
    ASSERT_EQ(compose_canonically(once), once) << i;
  }
}

}  // namespace
}  // namespace troupe::model
