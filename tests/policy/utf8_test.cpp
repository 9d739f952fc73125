#include "policy/utf8.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace troupe::policy {
namespace {

TEST(Utf8, IsAllThatUnicodeHas) {
  for (const std::string_view text : {"", "plain", "\xc3\xa9", "\xe2\x82\xac", "\xed\x9f\xbf", "\xee\x80\x80",
                                      "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\xef\xbf\xbd"}) {
    EXPECT_EQ(find_invalid_utf8(text), std::nullopt) << text;
  }
  EXPECT_EQ(find_invalid_utf8(std::string_view("a\0b", 3)), std::nullopt);
}

TEST(Utf8, NamesTheFirstByteThatIsNone) {
  const std::string before = "caf\xc3\xa9 ";
  for (const std::string_view wrong : {"\x80", "\xff", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xe2\x82",
                                       "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe9t"}) {
    EXPECT_EQ(find_invalid_utf8(before + std::string(wrong)), before.size());
  }
}

}  // namespace
}  // namespace troupe::policy
