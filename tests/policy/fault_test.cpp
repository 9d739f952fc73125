#include "policy/fault.hpp"

#include <gtest/gtest.h>

namespace troupe::policy {
namespace {

TEST(Fault, ComesBackAsItWasWritten) {
  for (const char* text : {"slow:500", "stuck", "rubbish,after:3", "dead", "slow:1,after:20"}) {
    const auto read = fault_of("medium=" + std::string(text));
    ASSERT_TRUE(read) << text;
    EXPECT_EQ(read->tier, Tier::medium);
    EXPECT_EQ(to_string(read->fault), text);
  }
}

TEST(Fault, ThatIsNoneIsRefusedWithWhatIsExpected) {
  for (const char* text : {"", "mini", "mini=", "huge=stuck", "mini=sleepy", "mini=slow", "mini=slow:", "mini=slow:0",
                           "mini=slow:-1", "mini=slow:5x", "mini=slow:3600001", "mini=stuck:5",
                           "mini=stuck,after:", "mini=stuck,after:-1", "mini=stuck,before:1", "mini=stuck,after:1,after:2"}) {
    const auto read = fault_of(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(read.error().message.find("expected TIER=slow:MILLISECONDS"), std::string::npos) << read.error().message;
  }
}

}  // namespace
}  // namespace troupe::policy
