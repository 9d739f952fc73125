#include "base/log.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

TEST(Log, WritesOneEventALineAndQuotesWhatHasBlanks) {
  std::vector<std::string> lines;
  const Log log([&](LogLevel, const std::string& line) { lines.push_back(line); });
  log(LogLevel::info, "lease granted", {{"conversation", "00ff"}, {"why", "a \"new\"\nlife"}, {"empty", ""}});
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0], "info lease granted conversation=00ff why=\"a \\\"new\\\" life\" empty=\"\"");
}

}  // namespace
}  // namespace troupe
