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

/// Whether blocks of a plan stay, take one tile after the other, and share rows with a neighbour that has the next outputs
/// (many_rows.cuh). Otherwise each tile, or chunk of one, has a block of its own.
constexpr bool stays(const ProductPlan& plan) { return plan.outputs == 2 * tile_outputs && !plan.split; }
/// Whether a tile of theirs ends while the next one is multiplied.
constexpr bool ends_beside(const ProductPlan& plan) { return stays(plan) && plan.rows <= 192; }

/// About how many cycles a plan takes of so many processors. The numbers are fits to measurements of an H200.
constexpr std::int64_t estimated_cycles(const ProductPlan& plan, const WeightTiles& weight, std::int32_t rows,
                                        std::int32_t processors) {
  constexpr std::int64_t before = 4000;         // until a kernel's first product
  constexpr std::int64_t next_block = 7500;     // between blocks that follow each other
  constexpr std::int64_t next_tile = 1500;      // between tiles of a block, and where two blocks share a processor
  constexpr std::int64_t elements_ended = 4;    // in a cycle
  constexpr std::int64_t processor_bytes = 56;  // that arrive in a cycle
  constexpr std::int64_t shared_bytes = 42;     // that arrive if all processors ask for some, each
  constexpr std::int64_t row_quarters = 9;      // of a cycle, for 64 outputs, 64 inputs and a row; 8 at best
  const std::int32_t parts = plan.split ? k_chunks(weight) : 1;
  const std::int32_t row_tiles = divided_up(rows, plan.rows);
  const std::int32_t columns =
      stays(plan) ? divided_up(weight.tiles(), 4) * 2 : divided_up(weight.tiles(), plan.outputs / tile_outputs);
  const std::int64_t blocks = std::int64_t{columns} * row_tiles * parts;
  const std::int64_t waves = (blocks + processors - 1) / processors;
  const std::int64_t busy = std::min<std::int64_t>(blocks, processors);
  const std::int64_t multiply = plan.outputs / tile_outputs * plan.rows * row_quarters / 4;
  const std::int64_t arrives = std::int64_t{plan.outputs + plan.rows} * panel_inputs * 2;
  const std::int64_t asked = std::int64_t{plan.outputs + (stays(plan) ? plan.rows / 2 : plan.rows)} * panel_inputs * 2;
  const std::int64_t received = std::min(processor_bytes, shared_bytes * processors / busy);
  const std::int64_t panel = std::max({multiply, arrives / processor_bytes, asked / received});
  const bool share_processors = plan.outputs == tile_outputs && plan.rows <= 64 && blocks > processors;
  const std::int64_t between = stays(plan) || share_processors ? next_tile : next_block;
  const std::int64_t end = std::int64_t{plan.outputs} * plan.rows / elements_ended;
  return before + waves * (weight.panels() / parts) * panel + (waves - 1) * between + (ends_beside(plan) ? 1 : waves) * end;
}

/// The plan for a product.
constexpr ProductPlan pick(const WeightTiles& weight, std::int32_t rows, std::int32_t processors) {
  ProductPlan best;
  std::int64_t least = INT64_MAX;
  for (const ProductPlan& plan : product_plans) {
    if (!fits(plan, weight) || plan.rows < std::min(rows, 64)) continue;
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
