// mma.sync: a warp's product of a 16 x 16 by a 16 x 8 tile of bf16 in registers, added to float sums, and loads of such tiles
// from shared memory. It gives the bits of wgmma (docs/numerics.md).
//
// Lane l holds of the sums d[0], d[1] at row l / 4, columns 2 (l % 4) and the next; d[2], d[3] eight rows below.
#pragma once

#include <cstdint>

#include "kernels/cuda/ptx.cuh"

namespace troupe::kernels::cuda {

__device__ __forceinline__ void mma(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// Four 8 x 8 tiles; lane l names row l % 8 of tile l / 8.
__device__ __forceinline__ void load_tiles(std::uint32_t (&tiles)[4], std::uint32_t row_address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(tiles[0]), "=r"(tiles[1]), "=r"(tiles[2]), "=r"(tiles[3])
               : "r"(row_address)
               : "memory");
}
__device__ __forceinline__ void load_tiles_transposed(std::uint32_t (&tiles)[4], std::uint32_t row_address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(tiles[0]), "=r"(tiles[1]), "=r"(tiles[2]), "=r"(tiles[3])
               : "r"(row_address)
               : "memory");
}

}  // namespace troupe::kernels::cuda
