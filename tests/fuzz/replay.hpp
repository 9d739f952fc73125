// Replays what the fuzzers start from, and what they once found (tests/regressions), without a fuzzer. The file that includes
// this mentions TROUPE_SOURCE_DIR.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>

#include "model/file.hpp"

namespace troupe::tests {

/// Calls `check` with each input of a target; returns how many there were.
inline int replay_corpus(const std::filesystem::path& source_dir, const std::string& name,
                         const std::function<void(const std::string&)>& check) {
  int inputs = 0;
  for (const char* folder : {"tests/fuzz/corpus", "tests/regressions"}) {
    const auto path = source_dir / folder / name;
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

}  // namespace troupe::tests
