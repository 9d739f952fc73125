// Runs one case of the Bits property (bits.hpp) and says what differed from what must be.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/bits_schedule.hpp"

namespace troupe::tests::bits {

/// Steps by how many answers get a token in them: 1, up to 8, up to 64, up to 255, and more. On a GPU a step ends one pass.
inline constexpr std::array<std::int32_t, 5> batch_classes{1, 8, 64, 255, std::numeric_limits<std::int32_t>::max()};

struct CaseResult {
  std::uint64_t sequences = 0;  ///< answers that were compared
  /// Of these: each with all of its logits, and with all log-probabilities that the answer tells. Tokens of prompts are not
  /// counted.
  std::uint64_t tokens = 0;
  std::array<std::uint64_t, batch_classes.size()> tokens_by_batch{};  ///< by the step that chose them
  std::uint64_t blocks = 0;                                           ///< of 16 positions, whose keys and values were compared
  std::uint64_t steps = 0;                                            ///< of all engines
  /// One line each: a sequence that answered other bits than it does alone, a block of other contents, an engine whose books
  /// do not add up, a damaged bundle that was taken.
  std::vector<std::string> differences;
  std::set<std::string_view> features;  ///< what the case went through, in a few words each
};

/// Engines use broken kernels if `defect` names some.
CaseResult run_case(const Schedule& schedule, Universe& universe, std::string_view defect);

}  // namespace troupe::tests::bits
