// Replays what the fuzzers start from, and what they once found (tests/regressions), on the properties that they check.
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/fuzz/message_properties.hpp"
#include "tests/fuzz/replay.hpp"

namespace troupe {
namespace {

int replay(const std::string& name, const std::function<void(const std::string&)>& check) {
  return tests::replay_corpus(TROUPE_SOURCE_DIR, name, check);
}

TEST(FuzzCorpus, OfRecordsHoldsItsProperties) { EXPECT_GE(replay("records", tests::check_records), 8); }

TEST(FuzzCorpus, OfRoutingHoldsItsProperties) { EXPECT_GE(replay("routing", tests::check_routing), 4); }

TEST(FuzzCorpus, OfEndpointsHoldsItsProperties) { EXPECT_GE(replay("endpoints", tests::check_endpoints), 2); }

}  // namespace
}  // namespace troupe
