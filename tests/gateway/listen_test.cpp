#include "gateway/listen.hpp"

#include <gtest/gtest.h>

namespace troupe::gateway {
namespace {

TEST(Listen, FindsAFreePortOfTheLoopback) {
  for (const char* address : {"127.0.0.1:0", "localhost:0", "127.8.9.10:0"}) {
    const auto listener = Listener::open(address);
    ASSERT_TRUE(listener) << listener.error().message;
    EXPECT_GT(listener->port(), 0);
    EXPECT_EQ(listener->address().rfind("127.", 0), 0U) << listener->address();
  }
}

TEST(Listen, RefusesWhatOtherMachinesReachAndSaysWhy) {
  for (const char* address :
       {"0.0.0.0:7400", "[::]:7400", "10.1.2.3:7400", "example.org:7400", "128.0.0.1:7400", "[::ffff:7f00:1]:1"}) {
    const auto listener = Listener::open(address);
    ASSERT_FALSE(listener) << address;
    EXPECT_EQ(listener.error().code, ErrorCode::unsupported) << address;
    EXPECT_NE(listener.error().message.find("no credentials"), std::string::npos) << listener.error().message;
  }
}

TEST(Listen, RefusesWhatIsNoAddress) {
  for (const char* address : {"", ":", "7400", "127.0.0.1", "127.0.0.1:", ":7400", "127.0.0.1:70000", "127.0.0.1:-1",
                              "127.0.0.1:80x", "::1:7400", "[]:7400"}) {
    const auto listener = Listener::open(address);
    ASSERT_FALSE(listener) << address;
    EXPECT_EQ(listener.error().code, ErrorCode::invalid_argument) << address << ": " << listener.error().message;
  }
}

TEST(Listen, SaysThatAPortIsTaken) {
  const auto first = Listener::open("127.0.0.1:0");
  ASSERT_TRUE(first);
  const auto second = Listener::open(first->address());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::io);
  EXPECT_NE(second.error().message.find("choose another port"), std::string::npos);
}

}  // namespace
}  // namespace troupe::gateway
