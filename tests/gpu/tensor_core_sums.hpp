// Sums of products by one tensor core instruction repeated, the plainest way, so that what instructions compute can be
// compared.
#pragma once

#include <vector>

#include "kernels/cuda/tiles.hpp"

namespace troupe::kernels::cuda {

/// Plain rows of `depth` elements in device memory; the depth is a multiple of 16.
struct PlainRows {
  const bf16* data = nullptr;
  int rows = 0;
  int depth = 0;
};

/// What the sums are before the first step: the instruction is told that there are none, or given zeros to add to.
enum class Start { none, zeros };

/// wgmma m64nNk16: of 64 left rows by N right rows, [64, N]. N is 8, 16, 32, 64, 128, 192 or 256.
std::vector<float> sums_of_wgmma(int n, const PlainRows& left, const PlainRows& right, Start start);
/// mma.sync m16n8k16, for the same: [left.rows, right.rows], of multiples of 64 and 8.
std::vector<float> sums_of_mma(const PlainRows& left, const PlainRows& right);

}  // namespace troupe::kernels::cuda
