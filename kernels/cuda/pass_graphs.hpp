// Passes of few rows as CUDA graphs: their kernels are short, and the host would be busy launching hundreds of them for each
// token. A graph is made when a pass of its kind comes for the first time, and serves all that follow: what a batch is, its
// kernels read from memory that the host writes before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>

#include "kernels/cuda/device.hpp"

struct CUgraphExec_st;

namespace troupe::kernels::cuda {

/// What a pass's kernels are given directly.
struct PassKind {
  const void* results = nullptr;  ///< where it leaves what it has chosen
  const void* chosen = nullptr;   ///< where the pass before has left that
  std::int32_t rows = 0;
  const void* pool = nullptr;
  bool shows_logits = false;
  friend bool operator==(const PassKind&, const PassKind&) = default;
};

/// Owns the graphs, the ones used last of each kind. Used by one thread at a time.
class PassGraphs {
 public:
  PassGraphs() = default;
  PassGraphs(const PassGraphs&) = delete;
  PassGraphs& operator=(const PassGraphs&) = delete;
  ~PassGraphs();

  /// Puts on the stream what `launch` puts there, from a graph if there is one of that kind; else makes one.
  void run(const CudaStream& stream, const PassKind& kind, const std::function<void()>& launch);

 private:
  static constexpr std::size_t graphs_max = 64;

  struct Graph {
    PassKind kind;
    CUgraphExec_st* executable = nullptr;
  };
  std::list<Graph> graphs_;  ///< used last first
};

}  // namespace troupe::kernels::cuda
