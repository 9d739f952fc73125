// The arithmetic of matmul.hpp for one instruction set; kernels/targets/<isa>.cpp defines TROUPE_TARGET and includes this.
//
// A line of a panel holds one input's 32 weights. Read as 32-bit words, each word is two neighbouring outputs: shifted left
// it is the even one as a float, masked it is the odd one, so widening costs one operation a vector and the order of outputs
// is restored only where results are stored. A tile keeps rows x outputs of results in registers while it walks the inputs;
// where several tiles share weights, the walk is cut into blocks that stay in the L1 cache and partial results rest in the
// output in between. A float stored and loaded again is the same float, so no tiling and no block length changes a bit.
//
// Nothing here may be emitted as a function that other instruction sets could end up calling: hence the anonymous namespace,
// and no call of a shared inline function.
#include <cstddef>
#include <cstdint>

#include "kernels/matmul.hpp"
#include "kernels/matmul_units.lanes.hpp"
#include "kernels/targets.hpp"

namespace troupe::kernels::TROUPE_TARGET {
namespace matmul_detail {
namespace {

constexpr int panel_units = panel_outputs / unit_outputs;

/// rows x units of results, and the inputs that they are advanced over.
struct Tile {
  const float* input;  ///< of the first row and input
  std::size_t input_stride;
  const bf16* weight;  ///< of the first unit and input
  std::size_t panel_stride;
  float* output;  ///< of the first row and unit; every unit is whole
  std::size_t output_stride;
  std::int32_t inputs;
  bool resumes;       ///< whether earlier inputs' results are in the output
  const bf16* ahead;  ///< weights to prefetch: as many lines as are read, from here on
  int turn;           ///< which of the tiles is this that read the same lines: each prefetches some of every four
};

template <int units>
TROUPE_LANES_INLINE void prefetch_four_lines(const bf16* ahead, std::size_t panel_stride, int turn) {
  if constexpr (units < panel_units) {
    __builtin_prefetch(ahead + turn % 4 * panel_outputs);
    __builtin_prefetch(ahead + (turn + 2) % 4 * panel_outputs);
  } else {
#pragma GCC unroll 4
    for (int panel = 0; panel < units / panel_units; ++panel) {
#pragma GCC unroll 4
      for (int line = 0; line < 4; ++line) {
        __builtin_prefetch(ahead + static_cast<std::size_t>(panel) * panel_stride + line * panel_outputs);
      }
    }
  }
}

/// Advances rows x units of results over the tile's inputs.
template <int rows, int units>
__attribute__((noinline)) void advance(const Tile& tile) {
  Vector even[rows][units];
  Vector odd[rows][units];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
    for (int u = 0; u < units; ++u) even[r][u] = odd[r][u] = zero();
  }
  const std::size_t input_stride = tile.input_stride;
  const std::size_t output_stride = tile.output_stride;
  if (tile.resumes) {
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
      for (int u = 0; u < units; ++u) {
        load_outputs(tile.output + static_cast<std::size_t>(r) * output_stride + u * unit_outputs, even[r][u], odd[r][u]);
      }
    }
  }

  const bf16* weight = tile.weight;
  // One pointer for three rows: they are reached by scaled addressing, where a pointer each would not fit the registers.
  constexpr int rows_per_pointer = 3;
  constexpr int pointers = (rows + rows_per_pointer - 1) / rows_per_pointer;
  const float* inputs[pointers];
#pragma GCC unroll 16
  for (int i = 0; i < pointers; ++i) {
    inputs[i] = tile.input + static_cast<std::size_t>(i * rows_per_pointer) * input_stride;
    asm volatile("" : "+r"(inputs[i]));
  }
  const std::size_t panel_stride = tile.panel_stride;
  const auto step = [&](int k) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int u = 0; u < units; ++u) {
      Vector weight_even;
      Vector weight_odd;
      load_weights(weight + u / panel_units * panel_stride + u % panel_units * unit_outputs + k * panel_outputs, weight_even,
                   weight_odd);
#pragma GCC unroll 16
      for (int r = 0; r < rows; ++r) {
        const Vector x = broadcast(inputs[r / rows_per_pointer] + r % rows_per_pointer * input_stride + k);
        even[r][u] = multiply_add(x, weight_even, even[r][u]);
        odd[r][u] = multiply_add(x, weight_odd, odd[r][u]);
        // Else the compiler gathers the loads of several steps and runs out of registers for the results.
        keep_in_register(even[r][u]);
        keep_in_register(odd[r][u]);
      }
      if (rows > 2) asm volatile("" ::: "memory");  // nor are there registers to keep the rows' inputs for the next unit
    }
  };
  const bf16* ahead = tile.ahead;
  std::int32_t left = tile.inputs;
  for (; left >= 4; left -= 4) {
    prefetch_four_lines<units>(ahead, panel_stride, tile.turn);
    step(0);
    step(1);
    step(2);
    step(3);
    ahead += 4 * panel_outputs;
    weight += 4 * panel_outputs;
#pragma GCC unroll 16
    for (int i = 0; i < pointers; ++i) inputs[i] += 4;
  }
  for (; left > 0; --left) {
    step(0);
    weight += panel_outputs;
#pragma GCC unroll 16
    for (int i = 0; i < pointers; ++i) ++inputs[i];
  }

#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
    for (int u = 0; u < units; ++u) {
      store_outputs(tile.output + static_cast<std::size_t>(r) * output_stride + u * unit_outputs, even[r][u], odd[r][u]);
    }
  }
}

/// As many units as are left, up to `units`: halves until it fits. Returns how many were advanced.
template <int rows, int units>
int advance_units(const Tile& tile, int left) {
  if constexpr (units > 1) {
    if (left < units) return advance_units<rows, units / 2>(tile, left);
  }
  advance<rows, units>(tile);
  return units;
}

/// The same for `count` rows, found at run time.
template <int rows = tile_rows_max>
int advance_rows(const Tile& tile, int count, int left) {
  if constexpr (rows > 1) {
    if (count < rows) return advance_rows<rows - 1>(tile, count, left);
  }
  return advance_units<rows, tile_units(rows)>(tile, left);
}

/// The last unit of a matrix whose outputs end inside it: results pass through a whole unit beside the output.
void advance_partial_unit(Tile tile, int rows, int width) {
  float whole[tile_rows_max * unit_outputs] = {};
  float* const output = tile.output;
  const std::size_t stride = tile.output_stride;
  tile.output = whole;
  tile.output_stride = unit_outputs;
  if (tile.resumes) {
    for (int r = 0; r < rows; ++r) {
      for (int i = 0; i < width; ++i) whole[r * unit_outputs + i] = output[static_cast<std::size_t>(r) * stride + i];
    }
  }
  advance_rows(tile, rows, 1);
  for (int r = 0; r < rows; ++r) {
    for (int i = 0; i < width; ++i) output[static_cast<std::size_t>(r) * stride + i] = whole[r * unit_outputs + i];
  }
}

/// Rows of the next tile if so many are left: two equal ones at the end rather than a full one and a sliver.
constexpr int tile_rows(int left) {
  return left <= tile_rows_max ? left : left < 2 * tile_rows_max ? (left + 1) / 2 : tile_rows_max;
}

constexpr int smaller(int a, int b) { return a < b ? a : b; }

/// Inputs between two rests of partial results: 12 KiB of a panel, so that an L1 cache holds them and what a tile reads beside.
constexpr int block_inputs = 192;
/// For one tile of rows there is less to compute while the next block comes from memory: smaller ones keep it coming evenly.
constexpr int lone_block_inputs = 64;
/// Rows whose block of inputs stays in the L2 cache while panel after panel is multiplied with it.
constexpr int block_rows = 96;
/// Up to here a panel is finished before the next begins, so that weights come from memory in one stream.
constexpr int streaming_rows = 24;
/// How far ahead of its reading a lone stream of weights is asked for: 2 KiB, across the page ends where hardware stops.
constexpr int prefetch_distance = 32 * panel_outputs;

/// Some rows of one group, as one loop nest sees them.
struct Product {
  const float* input;
  float* output;
  const bf16* weight;
  std::size_t inputs;
  std::size_t outputs;
  int rows;
};

/// All rows with the units [first, last), over the inputs [begin, end).
void multiply_block(const Product& product, int first, int last, int begin, int end, bool streaming, bool one_pass) {
  const int width_end = static_cast<int>(product.outputs) / unit_outputs;  // units before this one are whole
  const std::size_t panel_stride = product.inputs * panel_outputs;
  for (int unit = first; unit < last;) {
    int advanced = 1;
    for (int row = 0, turn = unit % panel_units; row < product.rows; turn += panel_units) {
      const int rows = tile_rows(product.rows - row);
      const bool alone = rows == product.rows;  // nobody else needs these weights: take as many units as registers allow
      Tile tile;
      tile.input = product.input + static_cast<std::size_t>(row) * product.inputs + begin;
      tile.input_stride = product.inputs;
      tile.weight = product.weight + static_cast<std::size_t>(unit / panel_units) * panel_stride +
                    static_cast<std::size_t>(begin) * panel_outputs + unit % panel_units * unit_outputs;
      tile.panel_stride = panel_stride;
      tile.output =
          product.output + static_cast<std::size_t>(row) * product.outputs + static_cast<std::size_t>(unit) * unit_outputs;
      tile.output_stride = product.outputs;
      tile.inputs = end - begin;
      tile.resumes = begin > 0;
      tile.ahead = tile.weight + (!streaming ? panel_stride : one_pass ? prefetch_distance : (end - begin) * panel_outputs);
      tile.turn = turn;
      if (unit < width_end) {
        advanced = advance_rows(tile, rows, alone ? smaller(last, width_end) - unit : 1);
      } else {
        advance_partial_unit(tile, rows, static_cast<int>(product.outputs) - unit * unit_outputs);
      }
      row += rows;
    }
    unit += advanced;
  }
}

void multiply(const Product& product, Range panels) {
  const int inputs = static_cast<int>(product.inputs);
  const int first = panels.first * panel_units;
  const int last = smaller(panels.last * panel_units, (static_cast<int>(product.outputs) + unit_outputs - 1) / unit_outputs);
  const bool streaming = product.rows <= streaming_rows;
  const int tile_width = tile_units(tile_rows(product.rows));
  const bool one_pass = product.rows <= tile_rows_max && tile_width >= panel_units;
  const int block = one_pass ? inputs : product.rows <= tile_rows_max ? lone_block_inputs : block_inputs;
  const int span = streaming ? (tile_width > panel_units ? tile_width : panel_units) : last - first;
  for (int unit = first; unit < last; unit += span) {
    for (int begin = 0; begin < inputs; begin += block) {
      multiply_block(product, unit, smaller(unit + span, last), begin, smaller(begin + block, inputs), streaming, one_pass);
    }
  }
}

#undef TROUPE_LANES_INLINE

}  // namespace
}  // namespace matmul_detail

/// Rows [first, last) of a group with its panels [first, last).
void matmul(const Matmul& arguments, const MatmulGroup& group, Range rows, Range panels) {
  matmul_detail::Product product;
  product.weight = group.weight.data;
  product.inputs = static_cast<std::size_t>(group.weight.inputs);
  product.outputs = static_cast<std::size_t>(group.weight.outputs);
  for (std::int32_t row = rows.first; row < rows.last; row += product.rows) {
    const auto place = static_cast<std::size_t>(group.first_row + row);
    product.rows = matmul_detail::smaller(rows.last - row, matmul_detail::block_rows);
    product.input = arguments.input + place * product.inputs;
    product.output = arguments.output + place * product.outputs;
    matmul_detail::multiply(product, panels);
  }
}

}  // namespace troupe::kernels::TROUPE_TARGET
