// How fast the fabric moves bytes between two processes, as shares of what the transports do without it in the same run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace troupe::bench {

struct FabricBenchOptions {
  std::vector<std::size_t> sizes = {std::size_t{20} << 20, std::size_t{64} << 20};  ///< of what is moved at a time
  std::vector<std::size_t> small_sizes = {256, 4096, 65536};                        ///< of messages that go there and back
  int transfers = 20;      ///< of each size, two under way at a time; a fifth more go before, unmeasured
  int round_trips = 2000;  ///< of each small size; a tenth more go before, unmeasured
  int rounds = 3;          ///< everything in turn, so often; the numbers are medians of the rounds
  std::string transports = "all";
};

/// Bytes per second.
struct FabricBandwidth {
  std::size_t bytes = 0;
  double messages = 0;
  double gets = 0;
  double puts = 0;
  double raw = 0;  ///< UCX alone: active messages in a loop that never sleeps, into memory that is there
  double tcp = 0;  ///< a socket over loopback
  double of_raw(double fabric) const { return raw > 0 ? fabric / raw : 0; }
  double of_tcp(double fabric) const { return tcp > 0 ? fabric / tcp : 0; }
};
struct FabricLatency {
  std::size_t bytes = 0;
  Duration median{};  ///< of a message there and back
  Duration p99{};
  Duration raw_median{};
  Duration raw_p99{};
};
struct FabricBenchResult {
  std::vector<FabricBandwidth> bandwidth;
  std::vector<FabricLatency> latency;
};

/// Forks a process for the other end; call it before there are threads. `progress` is told what is being measured.
Result<FabricBenchResult> bench_fabric(const FabricBenchOptions& options,
                                       const std::function<void(const std::string&)>& progress);

}  // namespace troupe::bench
