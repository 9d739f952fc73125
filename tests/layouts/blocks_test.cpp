// Some wrong blocks; `dev/layouts --blocks N` asks for as many as one likes.
#include "tests/layouts/blocks.hpp"

#include <gtest/gtest.h>

#include "tests/support/temporary_folder.hpp"

namespace troupe::tests::layouts {
namespace {

BlocksSummary ask_until(std::uint64_t blocks, bool verifies) {
  const TemporaryFolder folder;
  Prompts prompts;
  WrongBlocks wrong(prompts, 1, folder.path(), verifies);
  while (wrong.summary().blocks < blocks) wrong.ask();
  return wrong.summary();
}

TEST(Blocks, AreNeverServedWhenTheyAreWrong) {
  const BlocksSummary summary = ask_until(2000, true);
  for (const std::string& complaint : summary.complaints) ADD_FAILURE() << complaint;
  EXPECT_EQ(summary.served_wrong, 0U);
  EXPECT_EQ(summary.refused, summary.blocks);
  EXPECT_EQ(summary.refused_right, 0U);
  EXPECT_EQ(summary.differing, 0U);
  EXPECT_GT(summary.right, 200U) << "and right ones are";
  EXPECT_GT(summary.missing, 0U);
  for (const char* const where : {"in memory", "on a disk", "in RocksDB", "on its way", "over UCX"}) {
    for (const char* const what : {"flipped", "torn", "stale", "foreign", "of another tenant"}) {
      if (std::string(what) == "torn" && std::string(where) == "over UCX") continue;  // UCX cannot be told to
      const std::string kind = what + (" " + std::string(where));
      EXPECT_TRUE(summary.kinds.contains(kind)) << kind;
    }
  }
}

TEST(Blocks, WouldBeServedByACacheThatDoesNotVerify) {
  const BlocksSummary summary = ask_until(50, false);
  EXPECT_GT(summary.served_wrong, 0U);
  EXPECT_GT(summary.differing, 0U);
}

}  // namespace
}  // namespace troupe::tests::layouts
