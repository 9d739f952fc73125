// What happens to a tile's sums of many rows where other warps bring and write what lies in global memory: the same as in
// fragments.cuh, with the same bits, but the warps that multiply only touch registers and shared memory, in the layout in which
// the tensor cores leave the sums. So the next tile's products begin while this one's rows are still on their way.
//
// Rows of floats are one copy each. Residual rows times weights are 64 bf16 a row for each tile, gated rows for each pair of
// tiles: a row of a panel of RowTiles. In shared memory they have the panel's swizzle, and are one contiguous copy.
#pragma once

#include <cstdint>

#include "kernels/cuda/exchange.cuh"
#include "kernels/cuda/fragments.cuh"
#include "kernels/cuda/ptx.cuh"

namespace troupe::kernels::cuda {

inline constexpr int part_rows = 32;  ///< of a tile, that end together
inline constexpr int panel_row_bytes = panel_inputs * 2;

/// How many parts have some of the N rows that are there.
template <int N>
__device__ __forceinline__ int parts_of(int rows_from_first) {
  return divided_up(max(0, min(N, rows_from_first)), part_rows);
}

/// Rows of a part, of a pair of tiles, in a stage of the ring behind the panels of the pair. Residual rows arrive there.
struct CarriedPart {
  static constexpr int pitch = 2 * tile_outputs + 4;  ///< has a warp's accesses meet every bank once
  float x[part_rows * pitch];
  bf16 normed[2][part_rows * panel_inputs];
};

/// A lane's sums of a part.
template <int N>
struct PartSums {
  float sums[part_rows / 2];

  /// The part-th of a tile's. Registers have no index, so that all are looked at.
  __device__ __forceinline__ PartSums(const float (&of_tile)[N / 2], int part) {
#pragma unroll
    for (int each = 0; each < N / part_rows; ++each) {
      if (each != part) continue;
#pragma unroll
      for (int i = 0; i < part_rows / 2; ++i) sums[i] = of_tile[each * (part_rows / 2) + i];
    }
  }
};

/// Two rows' numbers of an output, as store_transposed takes them.
__device__ __forceinline__ std::uint32_t two_rows(float row, float next) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(row, next);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}

/// The next norm's weights of the two outputs of a warp's 16 that a lane has sums of; 0 beyond the rows' outputs.
struct LaneWeights {
  float upper = 0;
  float lower = 0;

  LaneWeights() = default;
  __device__ __forceinline__ LaneWeights(const ResidualRows& target, int tile) {
    const int thread = static_cast<int>(threadIdx.x) % warpgroup;
    const int dim = tile * tile_outputs + thread / 32 * 16 + thread % 32 / 4;
    if (dim < target.hidden) upper = __ldg(target.weights + dim);
    if (dim + 8 < target.hidden) lower = __ldg(target.weights + dim + 8);
  }
};

/// The sum of squares of one row of a part, and which: each of the warp's lanes has another one.
struct RowSquare {
  int row;
  float sum;
};

/// Adds eight lanes' numbers of the same rows, in the tree of add_residual: of the lanes 4 apart, then 8, then 16. Each time a
/// lane goes on with half of the rows, and its neighbour with the others.
__device__ __forceinline__ RowSquare add_squares(const float (&of)[part_rows / 8][2]) {
  constexpr unsigned all = 0xFFFFFFFF;
  const unsigned lane = threadIdx.x % 32;
  const bool odd = (lane & 4) != 0;
  float four[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) four[i] = (odd ? of[i][1] : of[i][0]) + __shfl_xor_sync(all, odd ? of[i][0] : of[i][1], 4);
  const bool late = (lane & 8) != 0;
  float two[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) two[i] = (late ? four[2 + i] : four[i]) + __shfl_xor_sync(all, late ? four[i] : four[2 + i], 8);
  const bool last = (lane & 16) != 0;
  const float sum = (last ? two[1] : two[0]) + __shfl_xor_sync(all, last ? two[0] : two[1], 16);
  const int eight = (late ? 2 : 0) + (last ? 1 : 0);
  return {eight * 8 + static_cast<int>(lane % 4) * 2 + (odd ? 1 : 0), sum};
}

/// Where a lane's sums of a part lie in CarriedPart::x: sums[4 j + i] is of row 8 j + i % 2 from the lane's first one on, and
/// of its upper or lower output.
__device__ __forceinline__ float* lane_sums(CarriedPart& part, int side) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) % warpgroup / 32;
  return part.x + lane % 4 * 2 * CarriedPart::pitch + side * tile_outputs + warp * 16 + lane / 4;
}
__device__ constexpr int place_of_sum(int i) { return (i / 4 * 8 + i % 2) * CarriedPart::pitch + i / 2 % 2 * 8; }

/// A warp puts its sums, each row times its scale, where the part's rows are written from. Row i of the part has the scale of
/// lane i. `side` says which tile of the pair it is.
template <int N>
__device__ __forceinline__ void put_part(const PartSums<N>& of, float scale, CarriedPart& part, int side) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float* const x = lane_sums(part, side);
#pragma unroll
  for (int row = 0; row < part_rows / 4; ++row) {
    const float of_row = __shfl_sync(0xFFFFFFFF, scale, row / 2 * 8 + lane % 4 * 2 + row % 2);
    const int i = row / 2 * 4 + row % 2;
    x[place_of_sum(i)] = of.sums[i] * of_row;
    x[place_of_sum(i + 2)] = of.sums[i + 2] * of_row;
  }
}

/// A warp adds its sums to the part's rows, leaves these times the weights beside them, and writes their squares: of `rows`
/// rows, the first one's at `slice_squares`.
template <int N>
__device__ __forceinline__ void add_part(const PartSums<N>& of, CarriedPart& part, int side, const LaneWeights& weights,
                                         float* slice_squares, int rows) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) % warpgroup / 32;
  float* const x = lane_sums(part, side);
  float sums[part_rows / 2];
#pragma unroll
  for (int i = 0; i < part_rows / 2; ++i)
    sums[i] = x[place_of_sum(i)];  // all before the first store, which might be to the same place
#pragma unroll
  for (int i = 0; i < part_rows / 2; ++i) sums[i] += of.sums[i];
  float squares[part_rows / 8][2];
  std::uint32_t normed[part_rows / 4];
#pragma unroll
  for (int j = 0; j < part_rows / 8; ++j) {
    const float* const upper = sums + 4 * j;
    const float* const lower = sums + 4 * j + 2;
#pragma unroll
    for (int next = 0; next < 2; ++next) squares[j][next] = fmaf(lower[next], lower[next], upper[next] * upper[next]);
    normed[2 * j] = two_rows(upper[0] * weights.upper, upper[1] * weights.upper);
    normed[2 * j + 1] = two_rows(lower[0] * weights.lower, lower[1] * weights.lower);
  }
#pragma unroll
  for (int i = 0; i < part_rows / 2; ++i) x[place_of_sum(i)] = sums[i];
  // A quarter of the lanes says where the rows of one 8 x 8 tile go: upper outputs of eight rows, lower ones, the next eight.
  const int row = lane / 16 * 8 + lane % 8;
  const int piece = (warp * 2 + lane / 8 % 2) ^ (lane % 8);
  bf16* const target = part.normed[side] + row * panel_inputs + piece * 8;
  store_transposed(target, normed[0], normed[1], normed[2], normed[3]);
  store_transposed(target + 16 * panel_inputs, normed[4], normed[5], normed[6], normed[7]);
  const RowSquare square = add_squares(squares);
  if (square.row < rows) slice_squares[square.row] = square.sum;
}

/// silu of several numbers, side by side, by all lanes of a warp. A division has a branch for operands of extreme size, so that
/// divisions do not overlap; where none is extreme, this takes the steps that the compiler takes, which round to the same bits,
/// and branches once.
template <int Count>
__device__ __forceinline__ void silu_each(float (&x)[Count]) {
  constexpr float least = 0x1p-60f;
  constexpr float most = 40;  // whose exponential is far from the largest number, too
  float result[Count];
  bool plain = true;
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    plain = plain && fabsf(x[i]) >= least && fabsf(x[i]) <= most;
    const float divisor = 1.0f + __expf(-x[i]);
    float inverse;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(divisor));
    inverse = fmaf(inverse, fmaf(-divisor, inverse, 1.0f), inverse);
    const float quotient = x[i] * inverse;
    result[i] = fmaf(inverse, fmaf(-divisor, quotient, x[i]), quotient);
  }
  if (__any_sync(0xFFFFFFFF, !plain)) {
#pragma unroll
    for (int i = 0; i < Count; ++i) result[i] = silu(x[i]);
    __syncwarp();  // together again
  }
#pragma unroll
  for (int i = 0; i < Count; ++i) x[i] = result[i];
}

/// A warp's elements silu(gate) * up of a part, in a panel's rows of a pair of tiles; zero if its tile is not there. Row i of
/// the part is multiplied by the scale of lane i.
template <int N>
__device__ __forceinline__ void gate_part(const PartSums<N>& of, float scale, bf16* panel, int side, bool there) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) % warpgroup / 32;
  float gates[part_rows / 4];
  float ups[part_rows / 4];
#pragma unroll
  for (int i = 0; i < part_rows / 4; ++i) {
    const int row = i / 2 * 8 + lane % 4 * 2 + i % 2;
    const float of_row = __shfl_sync(0xFFFFFFFF, scale, row);
    gates[i] = of.sums[i / 2 * 4 + i % 2] * of_row;
    ups[i] = of.sums[i / 2 * 4 + 2 + i % 2] * of_row;
  }
  silu_each(gates);
  std::uint32_t gated[part_rows / 8];
#pragma unroll
  for (int j = 0; j < part_rows / 8; ++j) {
    gated[j] = two_rows(gates[2 * j] * ups[2 * j], gates[2 * j + 1] * ups[2 * j + 1]);
    if (!there) gated[j] = 0;
  }
  const int piece = (side * (tile_outputs / 16) + warp) ^ (lane % 8);
  store_transposed(panel + lane * panel_inputs + piece * 8, gated[0], gated[1], gated[2], gated[3]);
}

/// A warp brings a part's residual rows from `first_row` on, of the pair of tiles that begins with `tile`; zeros beyond their
/// outputs. `rows` may be none. What comes is counted at the barrier, and is to be expected there by `part_bytes`.
__device__ __forceinline__ void bring_part(const ResidualRows& source, int first_row, int rows, int tile, CarriedPart& part,
                                           Barrier& full) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int dim = tile * tile_outputs;
  const int width = min(2 * tile_outputs, source.hidden - dim);
  if (lane >= min(part_rows, rows)) return;
  float* const to = part.x + lane * CarriedPart::pitch;
  const auto row = static_cast<std::size_t>(first_row + lane);
  copy_bulk(to, source.x + row * static_cast<std::size_t>(source.hidden) + dim,
            static_cast<std::uint32_t>(width) * sizeof(float), full);
}
__device__ __forceinline__ std::uint32_t part_bytes(const ResidualRows& source, int rows, int tile) {
  const int width = min(2 * tile_outputs, source.hidden - tile * tile_outputs);
  return static_cast<std::uint32_t>(max(0, min(part_rows, rows)) * width) * sizeof(float);
}
/// Before a part is brought: zeros beyond the outputs of the last pair of tiles.
__device__ __forceinline__ void clear_beyond(const ResidualRows& source, int tile, CarriedPart& part) {
  const int width = source.hidden - tile * tile_outputs;  // rows are of eights
  float* const to = part.x + static_cast<int>(threadIdx.x) % 32 * CarriedPart::pitch;
  for (int i = width; i < 2 * tile_outputs; i += 4) *reinterpret_cast<float4*>(to + i) = float4{};
  fence_proxy_async();
}

/// A warp writes a part of plain rows, `width` outputs of each, from `target` on.
__device__ __forceinline__ void write_part_rows(float* target, std::size_t stride, int rows, int width,
                                                const CarriedPart& part) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int count = min(part_rows, rows);
  const bool sixteens =
      (stride * sizeof(float) | static_cast<std::size_t>(width) * sizeof(float) | reinterpret_cast<std::size_t>(target)) % 16 ==
      0;
  if (sixteens) {
    if (lane < count)
      write_bulk(target + static_cast<std::size_t>(lane) * stride, part.x + lane * CarriedPart::pitch,
                 static_cast<std::uint32_t>(width) * sizeof(float));
    return;
  }
  for (int row = 0; row < count; ++row) {
    for (int i = lane; i < width; i += 32)
      target[static_cast<std::size_t>(row) * stride + static_cast<std::size_t>(i)] = part.x[row * CarriedPart::pitch + i];
  }
}

/// A warp writes a part of residual rows, and these times the weights.
__device__ __forceinline__ void write_part(const ResidualRows& target, int first_row, int rows, int tile,
                                           const CarriedPart& part) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int count = min(part_rows, rows);
  if (count <= 0) return;
  const int dim = tile * tile_outputs;
  const auto hidden = static_cast<std::size_t>(target.hidden);
  write_part_rows(target.x + static_cast<std::size_t>(first_row) * hidden + dim, hidden, rows,
                  min(2 * tile_outputs, target.hidden - dim), part);
  if (lane < 2) {
    const std::size_t first = static_cast<std::size_t>(tile + lane) * static_cast<std::size_t>(target.normed.capacity) +
                              static_cast<std::size_t>(first_row);
    write_bulk(target.normed.data + first * panel_inputs, part.normed[lane],
               static_cast<std::uint32_t>(count * panel_row_bytes));
  }
}

}  // namespace troupe::kernels::cuda
