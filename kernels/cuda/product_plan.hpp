// Which part of a product a block of threads has: a tile of so many outputs and rows, and all inputs of it or one of the
// weight's chunks. Values only; no choice changes a bit of any sum (matmul.hpp), so the one that takes least time is taken.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/matmul.hpp"

namespace troupe::kernels::cuda {

struct ProductPlan {
  std::int32_t outputs = 0;  ///< of a tile: 64, or two tiles of weights' 128
  std::int32_t rows = 0;
  /// Each chunk of the inputs has a block of its own, and the blocks of a tile exchange their sums; otherwise a block has all
  /// chunks, one after the other, and a second set of sums.
  bool split = false;

  friend constexpr bool operator==(const ProductPlan&, const ProductPlan&) = default;
};

/// All that there are. For up to 64 rows only the first ones are looked at: there the weights are what takes time.
inline constexpr ProductPlan product_plans[] = {
    {64, 8, false},    {64, 8, true},    {64, 16, false},   {64, 16, true},    {64, 32, false},
    {64, 32, true},    {64, 64, false},  {64, 64, true},    {64, 128, false},  {64, 128, true},
    {128, 128, false}, {128, 128, true}, {128, 192, false}, {128, 256, false},
};

/// Whether a tile has 128 outputs and rows. If blocks have several, two warpgroups have one each and multiply in turn, while
/// the other one ends its own (many_rows_in_turn.cuh); if they have one, both multiply and end it together
/// (many_rows_together.cuh).
constexpr bool square(const ProductPlan& plan) { return plan.outputs == 128 && plan.rows == 128; }

/// Whether a plan can carry out products of this weight: where there are chunks, tiles are split, or square.
constexpr bool fits(const ProductPlan& plan, const WeightTiles& weight) {
  const bool chunked = k_chunks(weight) > 1;
  return plan.split ? chunked : !chunked || square(plan);
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
  constexpr std::int64_t before = 5000;      // until a kernel's first product
  constexpr std::int64_t next_block = 4500;  // between blocks that follow each other
  constexpr std::int64_t next_tile = 1700;   // between tiles of a block
  constexpr std::int64_t next_turn = 1000;   // between tiles in turn
  constexpr std::int64_t exchange = 2300;    // of the sums of two chunks
  constexpr std::int64_t exchange_in_turn = 1300;
  constexpr std::int64_t processor_bytes = 43;  // that arrive in a cycle, if all processors ask for some
  constexpr std::int64_t row_quarters = 11;     // of a cycle, for 64 outputs, 64 inputs and a row; 8 at best
  const bool wide = plan.outputs == 2 * tile_outputs;
  const std::int32_t parts = plan.split ? k_chunks(weight) : 1;
  const std::int64_t blocks =
      std::int64_t{divided_up(weight.tiles(), plan.outputs / tile_outputs)} * divided_up(rows, plan.rows) * parts;
  const std::int64_t waves = (blocks + processors - 1) / processors;
  const std::int64_t busy = std::min<std::int64_t>(blocks, processors);
  const std::int64_t multiply = plan.outputs / tile_outputs * plan.rows * row_quarters / 4;
  const std::int64_t receive =
      std::int64_t{plan.outputs + plan.rows} * panel_inputs * 2 * busy / (processor_bytes * processors);
  const std::int64_t products = weight.panels() / parts * std::max(multiply, receive);
  if (square(plan)) {  // the last tile's end is all that is seen of ends; both warpgroups share that of an only one
    const std::int64_t end = ending == Ending::gated ? 2000 : waves == 1 ? 4000 : ending == Ending::residual ? 8000 : 6000;
    return before + waves * (products + (plan.split ? exchange_in_turn : 0)) + (waves - 1) * next_turn + end / parts;
  }
  const bool share_processors = !wide && plan.rows <= 64 && blocks > processors;
  const std::int64_t between = wide ? next_tile : share_processors ? 0 : next_block;
  // Of a hundred elements. What residual rows read and write is much, and gates are functions, for those who do it all
  // themselves (tile_end.cuh); pairs of tiles have others who bring and write (carried_end.cuh).
  const std::int64_t cycles_ended = ending == Ending::rows       ? (wide ? 30 : 11)
                                    : ending == Ending::residual ? (wide ? 30 : 48)
                                                                 : (wide ? 15 : 25);
  const std::int64_t end = std::int64_t{plan.outputs} * plan.rows * cycles_ended / 100 + (plan.split ? exchange : 0);
  return before + waves * (products + end) + (waves - 1) * between;
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
