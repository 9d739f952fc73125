// Replays what the fuzzers start from, and what they once found (tests/regressions), on the properties that they check.
#include <gtest/gtest.h>

#include "tests/fuzz/question_set_properties.hpp"
#include "tests/fuzz/replay.hpp"

namespace troupe {
namespace {

TEST(FuzzCorpus, OfQuestionSetsHoldsItsProperties) {
  EXPECT_GE(tests::replay_corpus(TROUPE_SOURCE_DIR, "question_set", tests::check_question_sets), 4);
}

}  // namespace
}  // namespace troupe
