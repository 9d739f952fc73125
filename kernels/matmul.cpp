#include "kernels/matmul.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "kernels/launch.hpp"

namespace troupe::kernels {
namespace {

/// Work is counted in multiply-adds. Reading a weight costs about as much as four of them, so few rows count as four.
constexpr std::int64_t rows_hidden_by_reading = 4;
/// A core does this in a few microseconds, about what it takes to hand work to another thread.
constexpr std::int64_t work_worth_waking_threads = std::int64_t{1} << 17;
/// Below this an item would cost more to begin (a cold prefetcher, a claim) than it evens out between threads.
constexpr std::int64_t work_of_smallest_item = std::int64_t{1} << 18;
constexpr std::int64_t items_per_thread = 16;
/// Rows of one item: their inputs stay in a core's L2 cache.
constexpr std::int32_t item_rows_max = 144;
/// Items begin at multiples of this where they can: a single row is fastest with four panels side by side.
constexpr std::int32_t panels_side_by_side = 4;

/// How one product is cut: each group into blocks of rows, each block into items of `panels` panels.
struct Cut {
  std::int32_t panels_in_item = 1;
  std::int32_t items_in_block = 1;
  std::int32_t blocks = 0;
  bool worth_threads = false;
};

std::int32_t blocks_of(const MatmulGroup& group) { return (group.rows + item_rows_max - 1) / item_rows_max; }

/// Rows of block `index` of a group: blocks as equal as whole tiles of twelve (or six) rows allow.
Range rows_of(const MatmulGroup& group, std::int32_t index) {
  constexpr std::int32_t tile = 12;
  const std::int32_t blocks = blocks_of(group);
  const std::int32_t even = (group.rows + blocks - 1) / blocks;
  const std::int32_t rows = blocks == 1 ? group.rows : (even + tile - 1) / tile * tile;
  return {std::min(index * rows, group.rows), std::min((index + 1) * rows, group.rows)};
}

Cut cut_work(std::span<const MatmulGroup> groups, int threads) {
  Cut result;
  std::int64_t work_of_all = 0;  // per panel
  for (const MatmulGroup& group : groups) {
    if (group.rows == 0) continue;
    result.blocks += blocks_of(group);
    work_of_all += std::max<std::int64_t>(group.rows, rows_hidden_by_reading);
  }
  if (result.blocks == 0) return result;
  const PackedMatrix& weight = groups.front().weight;
  work_of_all *= std::int64_t{weight.inputs} * panel_outputs;
  const std::int32_t panels = weight.panels();
  result.worth_threads = threads > 1 && work_of_all * panels >= work_worth_waking_threads;
  if (!result.worth_threads) {
    result.panels_in_item = panels;
    return result;
  }
  const std::int64_t work_of_item = std::max(work_of_smallest_item, work_of_all * panels / (items_per_thread * threads));
  const std::int64_t work_of_panel = std::max<std::int64_t>(1, work_of_all / result.blocks);
  const auto wanted = static_cast<std::int32_t>(std::clamp<std::int64_t>(work_of_item / work_of_panel, 1, panels));
  result.panels_in_item = wanted <= panels_side_by_side ? wanted : wanted / panels_side_by_side * panels_side_by_side;
  result.items_in_block = (panels + result.panels_in_item - 1) / result.panels_in_item;
  return result;
}

void validate(const Matmul& arguments) {
  for (const MatmulGroup& group : arguments.groups) {
    const PackedMatrix& first = arguments.groups.front().weight;
    TROUPE_CHECK(group.rows >= 0 && group.first_row >= 0, "a group is a range of rows");
    TROUPE_CHECK(group.weight.inputs > 0 && group.weight.outputs > 0, "a matrix has inputs and outputs");
    TROUPE_CHECK(group.weight.inputs == first.inputs && group.weight.outputs == first.outputs,
                 "the weights of all groups have one shape");
    TROUPE_CHECK(group.rows == 0 || group.weight.data != nullptr, "a group with rows has weights");
    TROUPE_CHECK(group.rows == 0 || (arguments.input != nullptr && arguments.output != nullptr),
                 "rows have an input and an output");
  }
}

/// The group and the block of rows in it that the block `index` of the whole product is.
std::pair<const MatmulGroup*, std::int32_t> find_block(std::span<const MatmulGroup> groups, std::int32_t index) {
  const MatmulGroup* group = groups.data();
  for (; index >= blocks_of(*group); ++group) index -= blocks_of(*group);
  return {group, index};
}

}  // namespace

void matmul(Stream& stream, const Matmul& arguments) {
  CpuStream& cpu = cpu_stream(stream);
  validate(arguments);
  const CpuStream::Timing timing(cpu);
  const Cut cut = cut_work(arguments.groups, cpu.pool().threads());
  if (cut.blocks == 0) return;

  const std::int32_t panels = arguments.groups.front().weight.panels();
  const auto multiply = [&](std::int32_t item) {
    const auto [group, block] = find_block(arguments.groups, item / cut.items_in_block);
    const std::int32_t first = item % cut.items_in_block * cut.panels_in_item;
    const Range rows = rows_of(*group, block);
    cpu.operations().matmul(arguments, *group, rows, {first, std::min(first + cut.panels_in_item, panels)});
  };
  const std::int32_t items = cut.blocks * cut.items_in_block;
  if (cut.worth_threads) {
    cpu.pool().run(items, multiply);
  } else {
    cpu.pool().run(1, [&](int) {
      for (std::int32_t item = 0; item < items; ++item) multiply(item);
    });
  }
}

}  // namespace troupe::kernels
