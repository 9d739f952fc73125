// One case of the Bits property (bits.hpp): everything around some requests that must not change their answers, drawn from a
// seed as plain values.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "engine/options.hpp"
#include "engine/request.hpp"
#include "kernels/targets.hpp"
#include "tests/support/bits_universe.hpp"

namespace troupe::tests::bits {

/// Where experts are computed if not by the engine.
struct LateLayout {
  kernels::InstructionSet instruction_set = kernels::InstructionSet::plain;
  int threads = 1;
  std::int32_t pause_us_max = 0;
  std::uint64_t seed = 0;
};

struct EngineLayout {
  bool on_gpu = false;  ///< then there are no threads and no instruction set
  kernels::InstructionSet instruction_set = kernels::InstructionSet::plain;
  int threads = 1;
  engine::EngineOptions options;
  std::optional<LateLayout> late_experts;
};

/// A request. Time is counted in ticks: steps of all engines of the case.
struct Visit {
  std::size_t spec = 0;
  std::size_t engine = 0;
  std::int32_t tick = 0;  ///< of its submission
  engine::Priority priority = engine::Priority::standard;
  bool use_prefix_cache = true;
  std::string tenant;
  std::optional<std::int32_t> ends_after;  ///< ticks after which it is cancelled, or its deadline is over
  bool by_deadline = false;
  /// It is to be as probable as so many of its tokens are together, or all but the last if there are fewer: it stops as unsure
  /// there. 0: however improbable it is.
  std::int32_t unsure_after = 0;
  /// Another engine has answered so many tokens, or all but the last if there are fewer: they are computed again as a prompt
  /// is.
  std::int32_t answered = 0;
};

/// Something that happens to the caches between two steps.
struct CacheEvent {
  enum class Kind : std::uint8_t { clear, transfer, damaged_transfer };
  Kind kind = Kind::clear;
  std::int32_t tick = 0;
  std::size_t source = 0;  ///< engine
  std::size_t target = 0;  ///< engine
  std::size_t visit = 0;   ///< whose blocks move
};

struct Schedule {
  std::uint64_t number = 0;
  std::size_t universe = 0;
  std::vector<EngineLayout> engines;
  std::vector<Visit> visits;
  std::vector<CacheEvent> cache_events;
  Duration tick{};  ///< by which the engines' clock moves
};

/// A pure function of the seed, the number and the universes (which are functions of the seed).
Schedule draw_schedule(std::uint64_t seed, std::uint64_t number, std::deque<Universe>& universes);

/// For a person who looks into a case.
std::string describe(const Schedule& schedule, Universe& universe);

}  // namespace troupe::tests::bits
