// How fast the fabric over NCCL moves device memory between two processes, as shares of NCCL alone in the same run.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace troupe::bench {

struct NcclBenchOptions {
  std::vector<std::size_t> sizes = {std::size_t{20} << 20, std::size_t{64} << 20};  ///< of what is moved at a time
  int transfers = 20;              ///< of each size, two under way at a time; a fifth more go before, unmeasured
  int rounds = 3;                  ///< everything in turn, so often; the numbers are medians of the rounds
  int device = 0;                  ///< CUDA's number of it, in both processes
  std::string transports = "all";  ///< UCX's, for what is not device memory
};

/// Bytes per second.
struct NcclBandwidth {
  std::size_t bytes = 0;
  double gets = 0;
  double puts = 0;
  double plain = 0;  ///< ncclSend and ncclRecv of the same memory, back to back
  double of_plain(double fabric) const { return plain > 0 ? fabric / plain : 0; }
};

/// Forks a process for the other end, which calls itself another host (NCCL_HOSTID), so that NCCL connects two processes of one
/// GPU; call it before there are threads, and before anything uses CUDA. `progress` is told what is being measured.
Result<std::vector<NcclBandwidth>> bench_nccl(const NcclBenchOptions& options,
                                              const std::function<void(const std::string&)>& progress);

}  // namespace troupe::bench
