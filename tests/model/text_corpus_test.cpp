// Replays what the fuzzers of tokenizers and chat templates start from, and what they once found (tests/regressions), on the
// properties that they check.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "model/file.hpp"
#include "tests/fuzz/text_properties.hpp"

namespace troupe {
namespace {

template <class Check>
int replay(const std::string& name, Check check) {
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

TEST(TextCorpus, OfTokenizersHoldsItsProperties) { EXPECT_GE(replay("tokenizer", tests::check_tokenizer), 4); }

TEST(TextCorpus, OfChatTemplatesHoldsItsProperties) { EXPECT_GE(replay("chat_template", tests::check_chat_template), 4); }

}  // namespace
}  // namespace troupe
