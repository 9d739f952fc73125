// Runs one case of the Bits property (bits.hpp) and says what differed from what must be.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/bits_schedule.hpp"

namespace troupe::tests::bits {

struct CaseResult {
  std::uint64_t sequences = 0;  ///< answers that were compared
  std::uint64_t tokens = 0;     ///< of them
  /// One line each: a sequence that answered other bits than it does alone, a block of other contents, an engine whose books
  /// do not add up, a damaged bundle that was taken.
  std::vector<std::string> differences;
  std::set<std::string_view> features;  ///< what the case went through, in a few words each
};

/// Engines use broken kernels if `defect` names some.
CaseResult run_case(const Schedule& schedule, Universe& universe, std::string_view defect);

}  // namespace troupe::tests::bits
