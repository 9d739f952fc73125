// Rows of floats of a pair of tiles, a few at a time, on their way between global memory and the warps that have multiplied.
// The latter meet them in shared memory (carried_end.cuh); others bring and write them.
//
// Plain rows are one bulk copy each: who writes them only starts it. Residual rows come and go, for which bulk copies of single
// rows are slower than warps that copy all 128 floats of a row at once. On the way out these multiply them by the next norm's
// weights, since a lane has the same outputs of every row.
#pragma once

#include <cstdint>

#include "kernels/cuda/fragments.cuh"
#include "kernels/cuda/product_plan.hpp"
#include "kernels/cuda/ptx.cuh"

namespace troupe::kernels::cuda {

inline constexpr int part_rows = 32;  ///< of a tile, that end together

/// How many parts have some of the N rows that are there.
template <int N>
__device__ __forceinline__ int parts_of(int rows_from_first) {
  return divided_up(max(0, min(N, rows_from_first)), part_rows);
}

/// Rows of floats of a part, of a pair of tiles. Warps meet every bank once, whether they have a few outputs of many rows or
/// many of one: plain rows, which are copied whole, have a gap behind each; in residual rows pieces of eight outputs are
/// exchanged by the row, which takes no memory. Rows eight apart are alike, as in a panel of RowTiles: who copies such rows
/// together computes few addresses.
template <Ending E>
struct RowPart {
  static constexpr bool whole = E == Ending::rows;
  static constexpr int pitch = 2 * tile_outputs + (whole ? 4 : 0);
  static constexpr int apart = 8;
  static constexpr int alike = part_rows / apart;
  static constexpr int step = apart * pitch;  ///< of floats, between rows that are alike
  float x[part_rows * pitch];

  static __device__ __forceinline__ int place(int row, int output) {
    return row * pitch + (whole ? output : output ^ (row / 2 % 4 * 8));
  }
};

/// Two numbers side by side: of two rows of an output, as store_transposed takes them, or of two outputs of a row.
__device__ __forceinline__ std::uint32_t two_numbers(float first, float second) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}

/// The next norm's weights of the four outputs that a lane has of each row when rows are written; 0 beyond the rows' outputs.
struct LaneWeights {
  float4 of = {};

  __device__ __forceinline__ LaneWeights(const ResidualRows& target, int tile) {
    const int dim = tile * tile_outputs + static_cast<int>(threadIdx.x) % 32 * 4;
    if (dim >= target.hidden) return;  // rows are of eights
    const float* const weights = target.weights + dim;
    of = {__ldg(weights), __ldg(weights + 1), __ldg(weights + 2), __ldg(weights + 3)};
  }
};

/// A warp brings a part's residual rows from `first_row` on, of the pair of tiles that begins with `tile`; zeros beyond their
/// outputs. `rows` may be none. `brought` waits for all that is on its way, and for an arrival, which is left to the caller
/// once the warp is together again.
__device__ __forceinline__ void bring_part(const ResidualRows& source, int first_row, int rows, int tile,
                                           RowPart<Ending::residual>& part, Barrier& brought) {
  using Part = RowPart<Ending::residual>;
  const int output = static_cast<int>(threadIdx.x) % 32 * 4;
  const int dim = tile * tile_outputs + output;
  const bool there = dim < source.hidden;  // rows are of eights
  const auto hidden = static_cast<std::size_t>(source.hidden);
  const float* from = source.x + static_cast<std::size_t>(first_row) * hidden + (there ? dim : 0);
#pragma unroll 1
  for (int first = 0; first < Part::apart; ++first) {
    float* const to = part.x + Part::place(first, output);
#pragma unroll
    for (int i = 0; i < Part::alike; ++i) {
      if (first + i * Part::apart < rows)
        copy_async_or_zeros(to + i * Part::step, from + static_cast<std::size_t>(i * Part::apart) * hidden, there);
    }
    from += hidden;
  }
  brought.await_copies();
}

/// For each of the part's rows that are alike, from `first` on: calls write(i, the lane's four floats of the i-th one) if it is
/// among `rows`.
template <Ending E, class Write>
__device__ __forceinline__ void for_rows_alike(const RowPart<E>& part, int first, int rows, const Write& write) {
  using Part = RowPart<E>;
  const auto* const from = reinterpret_cast<const float4*>(part.x + Part::place(first, static_cast<int>(threadIdx.x) % 32 * 4));
  if (first + (Part::alike - 1) * Part::apart < rows) {
    float4 four[Part::alike];
#pragma unroll
    for (int i = 0; i < Part::alike; ++i) four[i] = from[i * Part::step / 4];
#pragma unroll
    for (int i = 0; i < Part::alike; ++i) write(i, four[i]);
  } else {
#pragma unroll 1
    for (int i = 0; first + i * Part::apart < rows; ++i) write(i, from[i * Part::step / 4]);
  }
}

/// Where a part of plain rows goes, of the pair of tiles that begins with `tile`: `width` outputs of each of `rows`, which may
/// be none.
struct PlainRows {
  float* target;
  std::size_t stride;
  int rows;
  int width;

  __device__ __forceinline__ PlainRows(const Product& p, int first_row, int tile)
      : target(p.output + static_cast<std::size_t>(first_row) * static_cast<std::size_t>(p.output_stride) +
               tile * tile_outputs),
        stride(static_cast<std::size_t>(p.output_stride)),
        rows(min(part_rows, p.rows - first_row)),
        width(min(2 * tile_outputs, p.weight.outputs - tile * tile_outputs)) {}
  /// Whether all rows begin and end at multiples of 16 bytes.
  __device__ __forceinline__ bool aligned() const {
    return ((stride | static_cast<std::size_t>(width)) * sizeof(float) | reinterpret_cast<std::size_t>(target)) % 16 == 0;
  }
};

/// One of so many warps that write a part of plain rows together.
template <int Warps>
__device__ __forceinline__ void write_part(const PlainRows& to, const RowPart<Ending::rows>& part, int warp) {
  using Part = RowPart<Ending::rows>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (to.aligned()) {
    if (lane * 4 >= to.width) return;
#pragma unroll 1
    for (int first = warp; first < Part::apart; first += Warps) {
      float* const target = to.target + static_cast<std::size_t>(first) * to.stride + lane * 4;
      for_rows_alike(part, first, to.rows, [&](int i, const float4& four) {
        *reinterpret_cast<float4*>(target + static_cast<std::size_t>(i * Part::apart) * to.stride) = four;
      });
    }
    return;
  }
  for (int row = warp; row < to.rows; row += Warps) {
    for (int i = lane; i < to.width; i += 32)
      to.target[static_cast<std::size_t>(row) * to.stride + static_cast<std::size_t>(i)] = part.x[Part::place(row, i)];
  }
}

/// A warp writes a part of plain rows by bulk copies, where these are possible. It returns once its lanes have read the part; a
/// kernel has not ended before all is written.
__device__ __forceinline__ void copy_part(const PlainRows& to, const RowPart<Ending::rows>& part) {
  if (!to.aligned()) return write_part<1>(to, part, 0);
  const int row = static_cast<int>(threadIdx.x) % 32;
  if (row < to.rows) {
    write_bulk(to.target + static_cast<std::size_t>(row) * to.stride, part.x + RowPart<Ending::rows>::place(row, 0),
               static_cast<std::uint32_t>(to.width) * sizeof(float));
  }
  end_writes();
  wait_for_writes_read();
}

/// One of so many warps that write a part of residual rows together, and these times the weights.
template <int Warps>
__device__ __forceinline__ void write_part(const ResidualRows& target, int first_row, int rows, int tile,
                                           const RowPart<Ending::residual>& part, const LaneWeights& weights, int warp) {
  using Part = RowPart<Ending::residual>;
  const int dim = tile * tile_outputs + static_cast<int>(threadIdx.x) % 32 * 4;
  if (dim >= target.hidden) return;
  const auto hidden = static_cast<std::size_t>(target.hidden);
  float* x = target.x + static_cast<std::size_t>(first_row + warp) * hidden + dim;
  // Parts begin at multiples of eight rows, which a panel's swizzle repeats itself after.
  bf16* const panel = target.normed.data + target.normed.offset(first_row, dim / panel_inputs * panel_inputs) + dim % 8;
  const int piece = dim % panel_inputs / 8;
#pragma unroll 1
  for (int first = warp; first < Part::apart; first += Warps) {
    bf16* const normed = panel + first * panel_inputs + (piece ^ first) * 8;
    for_rows_alike(part, first, rows, [&](int i, const float4& four) {
      *reinterpret_cast<float4*>(x + static_cast<std::size_t>(i * Part::apart) * hidden) = four;
      store_together(normed + i * Part::apart * panel_inputs, two_numbers(four.x * weights.of.x, four.y * weights.of.y),
                     two_numbers(four.z * weights.of.z, four.w * weights.of.w));
    });
    x += Warps * hidden;
  }
}

/// A warp writes a part from `first_row` on, of the pair of tiles that begins with `tile`, alone.
template <Ending E>
__device__ __forceinline__ void write_part_alone(const Product& p, int first_row, int tile, const RowPart<E>& part,
                                                 const LaneWeights& weights) {
  if constexpr (E == Ending::residual) {
    write_part<1>(p.residual, first_row, p.rows - first_row, tile, part, weights, 0);
  } else {
    copy_part(PlainRows(p, first_row, tile), part);
  }
}

}  // namespace troupe::kernels::cuda
