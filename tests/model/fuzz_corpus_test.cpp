// Replays what the fuzzers start from, and what they once found (tests/regressions), on the properties that they check.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>

#include "model/file.hpp"
#include "tests/fuzz/properties.hpp"
#include "tests/fuzz/text_properties.hpp"

namespace troupe {
namespace {

/// Returns how many inputs there were.
int replay(const std::string& name, const std::function<void(const std::string&)>& check) {
  int inputs = 0;
  for (const char* folder : {"tests/fuzz/corpus", "tests/regressions"}) {
    const auto path = std::filesystem::path(TROUPE_SOURCE_DIR) / folder / name;
    if (!std::filesystem::is_directory(path)) continue;  // nothing was ever found
    for (const auto& file : std::filesystem::directory_iterator(path)) {
      const auto input = model::read_file(file.path(), std::size_t{1} << 24);
      EXPECT_TRUE(input) << input.error().message;
      if (!input) continue;
      SCOPED_TRACE(file.path().string());
      check(*input);
      ++inputs;
    }
  }
  return inputs;
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
