#include "kernels/swiglu.hpp"

#include "kernels/launch.hpp"

namespace troupe::kernels {

void swiglu(Stream& stream, const Swiglu& arguments) {
  TROUPE_CHECK(arguments.rows >= 0 && arguments.dim > 0, "a gated unit is over at least one element");
  if (arguments.rows == 0) return;
  TROUPE_CHECK(arguments.input != nullptr && arguments.output != nullptr, "a gated unit's arrays are there");
  CpuStream& cpu = cpu_stream(stream);
  const CpuStream::Timing timing(cpu);
  const std::int64_t work = std::int64_t{4} * arguments.dim;
  spread_rows(cpu.pool(), arguments.rows, work, [&](Range rows) { cpu.operations().swiglu(arguments, rows); });
}

}  // namespace troupe::kernels
