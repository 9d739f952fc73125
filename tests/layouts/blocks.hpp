// KV blocks that are not what they should be, and caches that ask for them: flipped, torn, stale, foreign, of another tenant,
// in memory, on a disk and on their way between nodes. None may be served, and every answer must have the bits that it has
// without any of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/layouts/prompts.hpp"

namespace troupe::tests::layouts {

struct BlocksSummary {
  std::uint64_t asks = 0;           ///< chains of blocks that a cache asked for
  std::uint64_t blocks = 0;         ///< that came and were wrong: in their contents, or under another name's checksum
  std::uint64_t refused = 0;        ///< of these
  std::uint64_t served_wrong = 0;   ///< of these
  std::uint64_t right = 0;          ///< blocks that came as they should
  std::uint64_t refused_right = 0;  ///< of these
  std::uint64_t missing = 0;        ///< blocks that did not come, since somebody noticed before
  std::uint64_t answers = 0;        ///< computed with what was taken
  std::uint64_t differing = 0;      ///< of these
  std::map<std::string, std::uint64_t> kinds;  ///< of wrong blocks
  std::vector<std::string> complaints;         ///< the first of them
};

class WrongBlocks {
 public:
  /// Disks lie in `folder`, which is empty. Without `verifies` a defect is planted: caches take whatever comes.
  WrongBlocks(Prompts& prompts, std::uint64_t seed, std::filesystem::path folder, bool verifies = true);
  ~WrongBlocks();
  WrongBlocks(const WrongBlocks&) = delete;
  WrongBlocks& operator=(const WrongBlocks&) = delete;

  /// One more chain.
  void ask();
  const BlocksSummary& summary() const;

 private:
  class Asker;
  std::unique_ptr<Asker> asker_;
};

}  // namespace troupe::tests::layouts
