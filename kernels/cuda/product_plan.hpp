// Which part of a product a block of threads has: a tile of so many outputs and rows, and all inputs of it or one of the
// weight's chunks. Values only; no choice changes a bit of any sum (matmul.hpp), so the one that takes least time is taken.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/matmul.hpp"

namespace troupe::kernels::cuda {

struct ProductPlan {
  std::int32_t outputs = 0;  ///< of a tile: 64, a warpgroup's, or 128, of two that share the rows
  std::int32_t rows = 0;
  /// Each chunk of the inputs has a block of its own, and the blocks of a tile exchange their sums; otherwise a block has all
  /// chunks, one after the other, and a second set of sums.
  bool split = false;

  friend constexpr bool operator==(const ProductPlan&, const ProductPlan&) = default;
};

/// All that there are. For up to 64 rows only the first ones are looked at: there the weights are what takes time.
inline constexpr ProductPlan product_plans[] = {
    {64, 8, false},    {64, 8, true},    {64, 16, false},   {64, 16, true},   {64, 32, false},
    {64, 32, true},    {64, 64, false},  {64, 64, true},    {64, 128, false}, {64, 128, true},
    {128, 128, false}, {128, 128, true}, {128, 192, false}, {128, 192, true}, {128, 256, false},
};

/// Whether a plan can carry out products of this weight. Two sets of 256 rows' sums are more than a thread has registers, and
/// tiles of 64 outputs are split wherever there are chunks.
constexpr bool fits(const ProductPlan& plan, const WeightTiles& weight) {
  const bool chunked = k_chunks(weight) > 1;
  if (plan.split) return chunked;
  return !chunked || (plan.outputs == 128 && plan.rows <= 192);
}

/// About how many cycles a plan takes of so many processors. The numbers are fits to measurements of an H200: tensor cores
/// multiply 64 outputs, a panel and one row in two cycles; a processor receives up to 56 bytes a cycle, and all of them
/// together 42 each; a tile's end costs what it writes; and so much passes before the first and after the last product.
constexpr std::int64_t estimated_cycles(const ProductPlan& plan, const WeightTiles& weight, std::int32_t rows,
                                        std::int32_t processors) {
  constexpr std::int64_t around = 4000;
  constexpr std::int64_t processor_bytes = 56;
  constexpr std::int64_t shared_bytes = 42;
  constexpr std::int64_t elements_ended = 10;
  const std::int32_t parts = plan.split ? k_chunks(weight) : 1;
  const std::int64_t blocks =
      std::int64_t{divided_up(weight.tiles(), plan.outputs / tile_outputs)} * divided_up(rows, plan.rows) * parts;
  const std::int64_t waves = (blocks + processors - 1) / processors;
  const std::int64_t busy = std::min<std::int64_t>(blocks, processors);
  const std::int64_t received = std::min(processor_bytes, shared_bytes * processors / busy);
  const std::int64_t multiply = std::int64_t{plan.outputs / tile_outputs} * plan.rows * 2;
  const std::int64_t copy = std::int64_t{plan.outputs + plan.rows} * panel_inputs * 2 / received;
  const std::int64_t end = std::int64_t{plan.outputs} * plan.rows / elements_ended;
  return around + waves * (weight.panels() / parts * std::max(multiply, copy) + end);
}

/// The plan for a product.
constexpr ProductPlan pick(const WeightTiles& weight, std::int32_t rows, std::int32_t processors) {
  ProductPlan best;
  std::int64_t least = INT64_MAX;
  for (const ProductPlan& plan : product_plans) {
    if (!fits(plan, weight) || plan.rows < std::min(rows, 128)) continue;
    if (rows <= 64) return plan;  // the narrowest that has all rows; these come first
    const std::int64_t cycles = estimated_cycles(plan, weight, rows, processors);
    if (cycles < least) {
      least = cycles;
      best = plan;
    }
  }
  return best;
}

/// `product` (matmul.hpp) by a given plan; cudaErrorInvalidValue if it does not fit.
cudaError_t product_by(cudaStream_t stream, const Product& arguments, const ProductPlan& plan);

}  // namespace troupe::kernels::cuda
