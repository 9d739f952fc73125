// What the way of a token costs: from a model that needs no time, through engine, conversation, reader, gateway and network to
// a client, with everything made durable that a node makes durable.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace troupe::bench {

struct StreamBenchOptions {
  std::vector<int> streams = {1, 16, 256};
  std::int32_t tokens = 1000;                     ///< of each answer
  int answers = 8;                                ///< of each stream, one after the other; the first is not measured
  std::int32_t paced_tokens = 16;                 ///< of each answer whose first token is timed
  Duration pace = std::chrono::milliseconds(20);  ///< between its tokens: a path that is not saturated
  int slow_readers = 64;
  Duration slow_pause = std::chrono::milliseconds(2);  ///< of a slow reader, at each event
  std::filesystem::path folder;                        ///< for the node's data; on the kind of disk that is meant
};

struct StreamMeasurement {
  int streams = 0;
  double tokens_per_second = 0;
  Duration first_token_median{};  ///< from asking to the first token at the client, with paced answers
  Duration first_token_p99{};
};

struct StreamBenchResult {
  std::vector<StreamMeasurement> measured;
  std::size_t slow_bytes = 0;  ///< by which this process (node and clients) grew with the slow readers
};

/// `progress` is told what is being measured.
Result<StreamBenchResult> bench_streams(const StreamBenchOptions& options,
                                        const std::function<void(const std::string&)>& progress);

}  // namespace troupe::bench
