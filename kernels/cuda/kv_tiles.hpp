// KV blocks as the tensor cores read them: [layer][k,v][kv_head][64 dimensions][16 positions][64] in bf16, a row's eight pieces
// of 16 bytes exchanged by the position modulo 8. A head's keys (or values) of a block are one contiguous copy.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/tiles.hpp"
#include "kernels/kv_layout.hpp"

namespace troupe::kernels::cuda {

struct KvTiles {
  bf16* data = nullptr;  ///< the pool's first block
  std::int32_t layers = 0;
  std::int32_t kv_heads = 0;
  std::int32_t head_dim = 0;  ///< 64 or 128

  __host__ __device__ int head_elements() const { return kv_block_positions * head_dim; }
  __host__ __device__ std::size_t block_elements() const {
    return static_cast<std::size_t>(layers * 2 * kv_heads) * static_cast<std::size_t>(head_elements());
  }
  /// Where a head of a block begins; `values` is 0 for keys and 1 for values.
  __host__ __device__ bf16* head(std::int32_t block, int layer, int values, int kv_head) const {
    const int before = (layer * 2 + values) * kv_heads + kv_head;
    return data + static_cast<std::size_t>(block) * block_elements() +
           static_cast<std::size_t>(before) * static_cast<std::size_t>(head_elements());
  }
  /// Where a position's dimension lies in its head.
  __host__ __device__ static constexpr int place(int position, int dim) {
    return dim / panel_inputs * (kv_block_positions * panel_inputs) +
           swizzled(position % kv_block_positions, dim % panel_inputs);
  }
};

}  // namespace troupe::kernels::cuda
