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

/// What becomes of a product's sums (matmul.hpp).
enum class Ending { rows, residual, gated };
inline Ending ending_of(const Product& p) {
  return p.output != nullptr ? Ending::rows : p.residual.x != nullptr ? Ending::residual : Ending::gated;
}

/// About how many cycles a plan takes of so many processors. The numbers are fits to measurements of an H200
/// (gpu_kernels_bench --plans); only how plans compare matters.
constexpr std::int64_t estimated_cycles(const ProductPlan& plan, const WeightTiles& weight, std::int32_t rows,
                                        std::int32_t processors, Ending ending) {
  constexpr std::int64_t before = 5000;         // until a kernel's first product
  constexpr std::int64_t next_block = 4500;     // between blocks that follow each other
  constexpr std::int64_t next_tile = 1700;      // between tiles of a block
  constexpr std::int64_t exchange = 2300;       // of the sums of two chunks
  constexpr std::int64_t processor_bytes = 46;  // that arrive in a cycle, if all processors ask for some
  constexpr std::int64_t row_quarters = 11;     // of a cycle, for 64 outputs, 64 inputs and a row; 8 at best
  const std::int32_t parts = plan.split ? k_chunks(weight) : 1;
  const std::int64_t blocks =
      std::int64_t{divided_up(weight.tiles(), plan.outputs / tile_outputs)} * divided_up(rows, plan.rows) * parts;
  const std::int64_t waves = (blocks + processors - 1) / processors;
  const std::int64_t busy = std::min<std::int64_t>(blocks, processors);
  const std::int64_t multiply = plan.outputs / tile_outputs * plan.rows * row_quarters / 4;
  const std::int64_t receive =
      std::int64_t{plan.outputs + plan.rows} * panel_inputs * 2 * busy / (processor_bytes * processors);
  const bool stays = plan.outputs == 2 * tile_outputs && !plan.split;
  const bool share_processors = plan.outputs == tile_outputs && plan.rows <= 64 && blocks > processors;
  const std::int64_t between = stays ? next_tile : share_processors ? 0 : next_block;
  // Of a hundred elements. What residual rows read and write is much, and gates are functions, for those who do it all
  // themselves (tile_end.cuh); pairs of tiles have others who bring and write (carried_end.cuh).
  const bool carried = plan.outputs == 2 * tile_outputs && (ending == Ending::residual || !plan.split);
  const std::int64_t cycles_ended = ending == Ending::rows       ? 11
                                    : carried                    ? (plan.rows == 256 ? 19 : 13)
                                    : ending == Ending::residual ? 48
                                                                 : 25;
  const std::int64_t end = std::int64_t{plan.outputs} * plan.rows * cycles_ended / 100 + (plan.split ? exchange : 0);
  return before + waves * (weight.panels() / parts * std::max(multiply, receive) + end) + (waves - 1) * between;
}

/// The plan for a product.
constexpr ProductPlan pick(const WeightTiles& weight, std::int32_t rows, std::int32_t processors, Ending ending) {
  ProductPlan best;
  std::int64_t least = INT64_MAX;
  for (const ProductPlan& plan : product_plans) {
    if (!fits(plan, weight) || plan.rows < std::min(rows, 64)) continue;
    if (rows <= 64) return plan;  // the narrowest that has all rows; these come first
    const std::int64_t cycles = estimated_cycles(plan, weight, rows, processors, ending);
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
