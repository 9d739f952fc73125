// The Bits property: placement never changes the answer. Cases are drawn at random (which requests, in which order and batches,
// in which chunks, on how many threads and which instruction set, with which neighbours, cancellations, pool sizes and cache
// hits, with answers that another engine has begun, answers that stop as unsure, blocks that came from another engine, and
// experts that answer late from another thread), and every answer must have the bits, of all logits and tokens, that it has
// when it is computed alone in the plainest way. So must the keys and values that it leaves in the cache.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/bits_run.hpp"
#include "tests/support/bits_schedule.hpp"
#include "tests/support/bits_universe.hpp"

namespace troupe::tests::bits {

/// What many cases found together.
struct Summary {
  std::uint64_t cases = 0;
  std::uint64_t sequences = 0;
  std::uint64_t tokens = 0;
  std::array<std::uint64_t, batch_classes.size()> tokens_by_batch{};
  std::uint64_t blocks = 0;
  std::uint64_t steps = 0;
  std::uint64_t differing = 0;                         ///< sequences, blocks and books that are not as they must be
  std::vector<std::string> differences;                ///< the first of them, at most differences_max
  std::map<std::string_view, std::uint64_t> features;  ///< how many cases went through what

  static constexpr std::size_t differences_max = 20;
  void add(const CaseResult& result);
};

/// All models under one seed. A case is a function of (seed, number) alone, so that any can be run again; what its threads do
/// meanwhile is as it falls out.
class Property {
 public:
  /// `defect` names broken kernels of a CPU that everything is computed with; empty: the real ones. Those of a GPU are broken
  /// for the whole process (tests/gpu/broken_launchers.hpp).
  explicit Property(std::uint64_t seed, std::string_view defect = {}, kernels::DeviceKind kind = kernels::DeviceKind::cpu);

  CaseResult run(std::uint64_t number);
  std::string describe(std::uint64_t number);

 private:
  std::uint64_t seed_;
  std::string defect_;
  std::deque<Universe> universes_;
};

}  // namespace troupe::tests::bits
