// Asks a model what utterances are: some alone, for how long one takes, and the others many at once, for how soon all are done.
// A reply is the same in both, to the last bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "bench/intent_evaluation.hpp"
#include "engine/engine.hpp"

namespace troupe::bench {

struct IntentRun {
  static constexpr std::size_t at_once_max = 256;

  std::size_t alone = 200;      ///< rows that are asked one after the other, spread over the set
  std::int32_t tokens_max = 0;  ///< of a reply
  /// Told which share is done; false ends it.
  std::function<bool(double)> goes_on;
};

/// A reply for each row, in order. The engine is driven from here. Errors name the row: `too_large` if it does not fit, what
/// the model failed with; `unsupported` if the model has no chat template, `cancelled` if it was ended.
Result<std::vector<IntentReply>> ask_intents(engine::Engine& engine, const Clock& clock, const IntentSet& set,
                                             const IntentRun& run);

}  // namespace troupe::bench
