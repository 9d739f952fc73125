// Measures whole engines on the GPU, host, sampling and all: how long a token takes, how fast prompts are read, how long the
// GPU stands still between passes. Weights are random ones of the shapes in bench/shapes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace troupe::bench {

/// `batch` sequences, each with `context` tokens before the first one that is measured.
struct EngineDecodeSpeed {
  std::string model;
  std::int32_t batch = 0;
  std::int32_t context = 0;
  double seconds = 0;  ///< of a step: the median
  /// Of one part of the steps after the other: they differ where the GPU comes to the limit of its power, and slows down.
  std::vector<double> part_seconds;
  double bytes = 0;  ///< that a step must read: weights (of experts those that tokens choose, at random), keys and values
  double idle = 0;   ///< share of the time in which no pass was on the GPU

  double of_floor(double read_bytes_per_second) const { return bytes / read_bytes_per_second / seconds; }
};

/// Of prompts of `tokens` tokens, one after the other.
struct EnginePrefillSpeed {
  std::string model;
  std::int32_t tokens = 0;
  double seconds = 0;  ///< of one, to its first token
  double operations = 0;
};

struct EngineSpeeds {
  std::vector<EngineDecodeSpeed> decoding;
  std::vector<EnginePrefillSpeed> prefill;
  double weights_seconds = 0;  ///< to make the last model's weights on the GPU
};

/// What is measured of one model.
struct EngineCases {
  std::string model;  ///< a file of bench/shapes, without its ending
  struct Decode {
    std::int32_t batch = 0;
    std::int32_t context = 0;
  };
  std::vector<Decode> decoding;
  std::vector<std::int32_t> prefill;
};
const std::vector<EngineCases>& engine_cases();

/// Seconds that a checkpoint's weights take from its files to the GPU, the median of three; and their bytes there.
struct LoadSpeed {
  double seconds = 0;
  double bytes = 0;
};
Result<LoadSpeed> measure_load(const std::string& folder);

/// Adds to `speeds`. `shapes` is the folder; `say` hears what is being done.
Result<void> measure_engine_cases(const EngineCases& cases, const std::string& shapes, EngineSpeeds& speeds,
                                  const std::function<void(const std::string&)>& say);

}  // namespace troupe::bench
