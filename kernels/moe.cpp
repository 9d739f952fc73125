#include "kernels/moe.hpp"

#include <cstring>

#include "kernels/launch.hpp"

namespace troupe::kernels {

namespace {

/// Copies [dim] floats for each row in a range, from and to where `source_row` and `target_row` say.
template <class SourceRow, class TargetRow>
void move_rows(Stream& stream, const MoveRows& arguments, const SourceRow& source_row, const TargetRow& target_row) {
  TROUPE_CHECK(arguments.rows >= 0 && arguments.dim > 0, "rows that move have at least one element");
  if (arguments.rows == 0) return;
  TROUPE_CHECK(arguments.source != nullptr && arguments.target != nullptr && arguments.index != nullptr,
               "rows that move have a source, a target and an index");
  CpuStream& cpu = cpu_stream(stream);
  const CpuStream::Timing timing(cpu);
  const auto dim = static_cast<std::size_t>(arguments.dim);
  spread_rows(cpu.pool(), arguments.rows, arguments.dim, [&](Range rows) {
    for (std::int32_t row = rows.first; row < rows.last; ++row) {
      std::memcpy(arguments.target + static_cast<std::size_t>(target_row(row)) * dim,
                  arguments.source + static_cast<std::size_t>(source_row(row)) * dim, dim * sizeof(float));
    }
  });
}

}  // namespace

void moe_route(Stream& stream, const MoeRoute& arguments) {
  TROUPE_CHECK(arguments.rows >= 0 && arguments.experts > 0 && arguments.experts <= moe_experts_max,
               "a layer has 1 to moe_experts_max experts");
  TROUPE_CHECK(arguments.chosen > 0 && arguments.chosen <= arguments.experts, "a token's experts are some of the layer's");
  if (arguments.rows == 0) return;
  TROUPE_CHECK(arguments.logits != nullptr && arguments.expert != nullptr && arguments.weight != nullptr,
               "a router's arrays are there");
  CpuStream& cpu = cpu_stream(stream);
  const CpuStream::Timing timing(cpu);
  const std::int64_t work = std::int64_t{arguments.experts} * (arguments.chosen + 4);
  spread_rows(cpu.pool(), arguments.rows, work, [&](Range rows) { cpu.operations().moe_route(arguments, rows); });
}

void gather_rows(Stream& stream, const MoveRows& arguments) {
  move_rows(stream, arguments, [&](std::int32_t row) { return arguments.index[row]; }, [](std::int32_t row) { return row; });
}

void scatter_rows(Stream& stream, const MoveRows& arguments) {
  move_rows(stream, arguments, [](std::int32_t row) { return row; }, [&](std::int32_t row) { return arguments.index[row]; });
}

void moe_combine(Stream& stream, const MoeCombine& arguments) {
  TROUPE_CHECK(arguments.rows >= 0 && arguments.chosen > 0 && arguments.dim > 0, "each row adds at least one expert's output");
  if (arguments.rows == 0) return;
  TROUPE_CHECK(arguments.expert_output != nullptr && arguments.weight != nullptr && arguments.output != nullptr,
               "the experts' outputs, their weights and their sum have arrays");
  CpuStream& cpu = cpu_stream(stream);
  const CpuStream::Timing timing(cpu);
  const std::int64_t work = std::int64_t{arguments.chosen} * arguments.dim;
  spread_rows(cpu.pool(), arguments.rows, work, [&](Range rows) { cpu.operations().moe_combine(arguments, rows); });
}

}  // namespace troupe::kernels
