// Replays what the fuzzers start from, and what they once found (tests/regressions), on the properties that they check.
#include <gtest/gtest.h>

#include "tests/fuzz/remote_properties.hpp"
#include "tests/fuzz/replay.hpp"

namespace troupe {
namespace {

TEST(FuzzCorpus, OfRemoteAnswersHoldsItsProperties) {
  EXPECT_GE(tests::replay_corpus(TROUPE_SOURCE_DIR, "remote", tests::check_remote_answer), 8);
}

}  // namespace
}  // namespace troupe
