#include "kernels/embedding.hpp"

#include "kernels/launch.hpp"

namespace troupe::kernels {

void embedding(Stream& stream, const Embedding& arguments) {
  TROUPE_CHECK(arguments.rows >= 0 && arguments.table.inputs > 0, "an embedding has rows of at least one element");
  if (arguments.rows == 0) return;
  TROUPE_CHECK(arguments.table.data != nullptr && arguments.tokens != nullptr && arguments.output != nullptr,
               "an embedding's arrays are there");
  for (std::int32_t row = 0; row < arguments.rows; ++row) {
    TROUPE_CHECK(arguments.tokens[row] >= 0 && arguments.tokens[row] < arguments.table.outputs, "a token is in the vocabulary");
  }
  CpuStream& cpu = cpu_stream(stream);
  const CpuStream::Timing timing(cpu);
  const std::int64_t work = std::int64_t{4} * arguments.table.inputs;  // each element comes from a cache line of its own
  spread_rows(cpu.pool(), arguments.rows, work, [&](Range rows) { cpu.operations().embedding(arguments, rows); });
}

}  // namespace troupe::kernels
