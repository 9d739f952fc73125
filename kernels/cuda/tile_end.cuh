// What happens to a tile's sums of many rows once they are complete: the same as in fragments.cuh, with the same bits. There
// each lane goes on with what it holds, which for hundreds of rows is a program longer than the processor's instruction cache,
// and scattered accesses. Here a tile ends some rows after another, each through shared memory (row_staging.cuh), and can do so
// beside the products of the next tile, on which the tensor cores work by themselves.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/row_staging.cuh"

namespace troupe::kernels::cuda {

/// Where a product goes.
enum class Ending { rows, residual, gated };
inline Ending ending_of(const Product& p) {
  return p.output != nullptr ? Ending::rows : p.residual.x != nullptr ? Ending::residual : Ending::gated;
}

/// A warp's part of a tile of N rows, that ends in groups of `Rows`. All lanes of the warp call its functions together.
template <int N, Ending E, int Rows>
class TileEnd {
 public:
  float sums[N / 2];  ///< as wgmma.cuh says; free for others' use while nothing is left to end

  /// From here on the sums are those of a tile and the rows from `first_row` on.
  __device__ __forceinline__ void begin(const Product& p, int tile, int first_row) {
    tile_ = tile;
    first_row_ = first_row;
    next_ = 0;
    rows_ = min(N, p.rows - first_row);
    if constexpr (E == Ending::residual) load_old(p.residual);
  }
  __device__ __forceinline__ bool ended() const { return next_ >= rows_; }
  __device__ __forceinline__ void end_group(const Product& p, RowStaging<Rows>& staging) {
    const int first = next_;
    next_ += Rows;
    [[maybe_unused]] RowSums old[rows_each];
    [[maybe_unused]] float scales[rows_each];
    [[maybe_unused]] RowSums norm_weights;
    if constexpr (E == Ending::residual) {
#pragma unroll
      for (int i = 0; i < rows_each; ++i) old[i] = old_[i];
      load_old(p.residual);  // the next group's are on their way while this one ends
      norm_weights = weights_of(p.residual);
    } else {
#pragma unroll
      for (int i = 0; i < rows_each; ++i) scales[i] = scale_of(p, first + staged_first_row() + i * 8);
    }
    stage_group<N>(sums, first / Rows, staging);
    __syncwarp();
#pragma unroll(E == Ending::gated ? 2 : rows_each)
    for (int i = 0; i < rows_each; ++i) {
      const int row = first + staged_first_row() + i * 8;
      const RowSums of = staged_sums(staging, i);
      if constexpr (E == Ending::rows) {
        write_row(p, row, of, scales[i]);
      } else if constexpr (E == Ending::gated) {
        write_gated_row(p, row, of, scales[i]);
      } else {
        add_residual_row(p.residual, row, old[i], of, norm_weights);
      }
    }
    __syncwarp();  // the staging is free again
  }
  /// Ends what is left.
  __device__ __forceinline__ void finish(const Product& p, RowStaging<Rows>& staging) {
#pragma unroll 1
    while (!ended()) end_group(p, staging);
  }

 private:
  static constexpr int rows_each = Rows / 8;  ///< of a group, that a lane ends

  __device__ __forceinline__ float scale_of(const Product& p, int row) const {
    return p.row_scales == nullptr || row >= rows_ ? 1.0f : __ldcg(p.row_scales + first_row_ + row);
  }
  /// As write_rows.
  __device__ __forceinline__ void write_row(const Product& p, int row, const RowSums& of, float scale) const {
    if (row >= rows_) return;
    const int output = tile_ * tile_outputs + staged_output();
    const int left = p.weight.outputs - output;
    const auto stride = static_cast<std::size_t>(p.output_stride);
    const bool together =
        (stride | static_cast<std::size_t>(p.weight.outputs) | reinterpret_cast<std::size_t>(p.output) / sizeof(float)) % 2 ==
        0;
    float* const place = p.output + static_cast<std::size_t>(first_row_ + row) * stride + output;
    store_pair(place, {of.upper.x * scale, of.upper.y * scale}, left, together);
    store_pair(place + 8, {of.lower.x * scale, of.lower.y * scale}, left - 8, together);
  }
  /// As write_gated. Elements come in eights, so both of a lane's are there or none is.
  __device__ __forceinline__ void write_gated_row(const Product& p, int row, const RowSums& of, float scale) const {
    if (row >= rows_) return;
    const int place = tile_ * tile_outputs / 2 + staged_output() / 16 * 8 + staged_output() % 8;
    __nv_bfloat162 pair;
    pair.x = __float2bfloat16_rn(silu(of.upper.x * scale) * (of.lower.x * scale));
    pair.y = __float2bfloat16_rn(silu(of.upper.y * scale) * (of.lower.y * scale));
    *reinterpret_cast<__nv_bfloat162*>(p.gated.data + p.gated.offset(first_row_ + row, place)) = pair;
  }

  /// Residual rows have a multiple of eight elements, so both of a lane's pairs are there or none is.
  __device__ __forceinline__ int residual_dim() const { return tile_ * tile_outputs + staged_output(); }
  __device__ __forceinline__ RowSums weights_of(const ResidualRows& target) const {
    const int dim = residual_dim();
    return {load_pair(target.weights + dim, dim < target.hidden), load_pair(target.weights + dim + 8, dim + 8 < target.hidden)};
  }
  /// Reads what the next group is added to.
  __device__ __forceinline__ void load_old(const ResidualRows& target) {
    const int dim = residual_dim();
#pragma unroll
    for (int i = 0; i < rows_each; ++i) {
      const int row = next_ + staged_first_row() + i * 8;
      const float* const place =
          target.x + static_cast<std::size_t>(first_row_ + row) * static_cast<std::size_t>(target.hidden) + dim;
      old_[i] = {load_pair(place, row < rows_ && dim < target.hidden),
                 load_pair(place + 8, row < rows_ && dim + 8 < target.hidden)};
    }
  }
  /// As add_residual.
  __device__ __forceinline__ void add_residual_row(const ResidualRows& target, int row, const RowSums& old, const RowSums& of,
                                                   const RowSums& weights) const {
    const int dim = residual_dim();
    const bool there = row < rows_ && dim < target.hidden;
    // What is not there is zero: so are its weights' products and its square.
    const float2 upper{old.upper.x + of.upper.x, old.upper.y + of.upper.y};
    const float2 lower{old.lower.x + of.lower.x, old.lower.y + of.lower.y};
    if (there) store_residual(target, row, dim, upper, weights.upper);
    if (there && dim + 8 < target.hidden) store_residual(target, row, dim + 8, lower, weights.lower);
    float square = fmaf(lower.x, lower.x, upper.x * upper.x) + fmaf(lower.y, lower.y, upper.y * upper.y);
    square += __shfl_xor_sync(0xFFFFFFFF, square, 1);
    square += __shfl_xor_sync(0xFFFFFFFF, square, 2);
    if (threadIdx.x % 4 == 0 && there) {
      target.squares[static_cast<std::size_t>(dim / 16) * static_cast<std::size_t>(target.normed.capacity) + first_row_ + row] =
          square;
    }
  }
  __device__ __forceinline__ void store_residual(const ResidualRows& target, int row, int dim, float2 sum,
                                                 float2 weights) const {
    *reinterpret_cast<float2*>(target.x + static_cast<std::size_t>(first_row_ + row) * static_cast<std::size_t>(target.hidden) +
                               dim) = sum;
    __nv_bfloat162 normed;
    normed.x = __float2bfloat16_rn(sum.x * weights.x);
    normed.y = __float2bfloat16_rn(sum.y * weights.y);
    *reinterpret_cast<__nv_bfloat162*>(target.normed.data + target.normed.offset(first_row_ + row, dim)) = normed;
  }

  int tile_ = 0;
  int first_row_ = 0;
  int next_ = 0;  ///< the first row that has not ended
  int rows_ = 0;
  RowSums old_[E == Ending::residual ? rows_each : 1];  ///< what the next group is added to
};

}  // namespace troupe::kernels::cuda
