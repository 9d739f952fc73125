// What happens to a tile's sums of many rows where other warps bring and write what lies in global memory: the same as in
// fragments.cuh, with the same bits, but the warps that multiply only touch registers and shared memory, in the layout in which
// the tensor cores leave the sums. So the next tile's products begin while this one's rows are still on their way
// (row_part.cuh). Gated rows are 64 bf16 for each pair of tiles: a row of a panel of RowTiles. In shared memory they have the
// panel's swizzle, and are one contiguous copy.
#pragma once

#include <cstdint>

#include "kernels/cuda/exchange.cuh"
#include "kernels/cuda/fragments.cuh"
#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/row_part.cuh"

namespace troupe::kernels::cuda {

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

/// Each lane's scale of a row of each part, row i of which is lane i's; 1 where there are none.
template <int Parts>
struct RowScales {
  float of[Parts];

  __device__ __forceinline__ void load(const Product& p, int first_row) {
#pragma unroll
    for (int part = 0; part < Parts; ++part) {
      const int row = first_row + part * part_rows + static_cast<int>(threadIdx.x) % 32;
      of[part] = p.row_scales != nullptr && row < p.rows ? __ldcg(p.row_scales + row) : 1.0f;
    }
  }
  /// Registers have no index.
  __device__ __forceinline__ float operator[](int part) const {
    float scale = 1;
#pragma unroll
    for (int each = 0; each < Parts; ++each) scale = each == part ? of[each] : scale;
    return scale;
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

/// Where a lane's sums of a part lie in RowPart: sums[4 j + i] is of row 8 j + i % 2 from the lane's first one on, and of its
/// upper or lower output.
template <Ending E>
struct LanePlaces {
  using Part = RowPart<E>;
  float* upper;
  float* lower;

  __device__ __forceinline__ LanePlaces(Part& part, int side) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int warp = static_cast<int>(threadIdx.x) % warpgroup / 32;
    const int row = lane % 4 * 2;
    const int output = side * tile_outputs + warp * 16 + lane / 4;
    upper = part.x + Part::place(row, output);  // the same pieces are exchanged in all of the lane's rows
    lower = part.x + Part::place(row, output + 8);
  }
  /// `further` tiles behind that of `side`.
  __device__ __forceinline__ float& of(int i, int further = 0) const {
    return (i / 2 % 2 == 0 ? upper : lower)[(i / 4 * 8 + i % 2) * Part::pitch + further * tile_outputs];
  }
};

/// A warp puts its sums, each row times its scale, where the part's rows are written from. Row i of the part has the scale of
/// lane i. `side` says which tile of the pair it is.
template <int N>
__device__ __forceinline__ void put_part(const PartSums<N>& of, float scale, RowPart<Ending::rows>& part, int side) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const LanePlaces<Ending::rows> places(part, side);
#pragma unroll
  for (int row = 0; row < part_rows / 4; ++row) {
    const float of_row = __shfl_sync(0xFFFFFFFF, scale, row / 2 * 8 + lane % 4 * 2 + row % 2);
    const int i = row / 2 * 4 + row % 2;
    places.of(i) = of.sums[i] * of_row;
    places.of(i + 2) = of.sums[i + 2] * of_row;
  }
}

/// A warp adds its sums of one or both tiles of the pair, from `side` on, to the part's rows, and writes the squares of these:
/// of `rows` rows, the first one's at `slice_squares`, and those of the next tile `next_squares` further.
template <int N, int Sides>
__device__ __forceinline__ void add_part(const PartSums<N> (&of)[Sides], RowPart<Ending::residual>& part, int side,
                                         float* slice_squares, std::size_t next_squares, const int (&rows)[Sides]) {
  const LanePlaces<Ending::residual> places(part, side);
  float sums[Sides][part_rows / 2];
#pragma unroll
  for (int each = 0; each < Sides; ++each) {
#pragma unroll
    for (int i = 0; i < part_rows / 2; ++i)
      sums[each][i] = places.of(i, each);  // all before the first store, which might be to the same place
  }
  float squares[Sides][part_rows / 8][2];
#pragma unroll
  for (int each = 0; each < Sides; ++each) {
#pragma unroll
    for (int i = 0; i < part_rows / 2; ++i) {
      sums[each][i] += of[each].sums[i];
      places.of(i, each) = sums[each][i];
    }
#pragma unroll
    for (int j = 0; j < part_rows / 8; ++j) {
      const float* const upper = sums[each] + 4 * j;
      const float* const lower = sums[each] + 4 * j + 2;
#pragma unroll
      for (int next = 0; next < 2; ++next) squares[each][j][next] = fmaf(lower[next], lower[next], upper[next] * upper[next]);
    }
  }
#pragma unroll
  for (int each = 0; each < Sides; ++each) {
    const RowSquare square = add_squares(squares[each]);
    if (square.row < rows[each]) slice_squares[each * next_squares + square.row] = square.sum;
  }
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
    gated[j] = two_numbers(gates[2 * j] * ups[2 * j], gates[2 * j + 1] * ups[2 * j + 1]);
    if (!there) gated[j] = 0;
  }
  const int piece = (side * (tile_outputs / 16) + warp) ^ (lane % 8);
  store_transposed(panel + lane * panel_inputs + piece * 8, gated[0], gated[1], gated[2], gated[3]);
}

}  // namespace troupe::kernels::cuda
