// Replays what the fuzzers start from, and what they once found (tests/regressions), on the properties that they check.
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/fuzz/properties.hpp"
#include "tests/fuzz/replay.hpp"
#include "tests/fuzz/text_properties.hpp"

namespace troupe {
namespace {

int replay(const std::string& name, const std::function<void(const std::string&)>& check) {
  return tests::replay_corpus(TROUPE_SOURCE_DIR, name, check);
}

TEST(FuzzCorpus, OfSafetensorsHoldsItsProperties) {
  EXPECT_GE(replay("safetensors", [](const std::string& input) { tests::check_safetensors(std::as_bytes(std::span(input))); }),
            8);
}

TEST(FuzzCorpus, OfConfigHoldsItsProperties) {
  EXPECT_GE(replay("config", [](const std::string& input) { tests::check_config(input); }), 6);
}

TEST(FuzzCorpus, OfTokenizersHoldsItsProperties) { EXPECT_GE(replay("tokenizer", tests::check_tokenizer), 4); }

TEST(FuzzCorpus, OfChatTemplatesHoldsItsProperties) { EXPECT_GE(replay("chat_template", tests::check_chat_template), 4); }

}  // namespace
}  // namespace troupe
