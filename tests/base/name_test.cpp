#include "base/name.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

using Name = Name128<struct TestTag>;

TEST(Name128, IsWrittenAsHexadecimalAndReadBack) {
  Name name;
  for (std::size_t i = 0; i < name.bytes.size(); ++i) name.bytes[i] = static_cast<std::uint8_t>(i * 17);
  EXPECT_EQ(to_string(name), "00112233445566778899aabbccddeeff");
  EXPECT_EQ(parse_name<Name>("00112233445566778899AABBCCDDEEFF"), name);
}

TEST(Name128, RefusesWhatIsNotThirtyTwoDigits) {
  EXPECT_FALSE(parse_name<Name>(""));
  EXPECT_FALSE(parse_name<Name>("00112233445566778899aabbccddeef"));
  EXPECT_FALSE(parse_name<Name>("00112233445566778899aabbccddeeff0"));
  EXPECT_FALSE(parse_name<Name>("0011223344556677889gaabbccddeeff"));
}

TEST(Name128, OfZeroesNamesNothing) {
  EXPECT_TRUE(Name{}.empty());
  EXPECT_FALSE(Name{{1}}.empty());
}

}  // namespace
}  // namespace troupe
