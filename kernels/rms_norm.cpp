#include "kernels/rms_norm.hpp"

#include "kernels/launch.hpp"

namespace troupe::kernels {

void rms_norm(Stream& stream, const RmsNorm& arguments) {
  TROUPE_CHECK(arguments.rows >= 0 && arguments.dim > 0, "a norm is over at least one element");
  if (arguments.rows == 0) return;
  TROUPE_CHECK(arguments.x != nullptr && arguments.weight != nullptr && arguments.output != nullptr,
               "a norm's arrays are there");
  TROUPE_CHECK(arguments.output != arguments.x, "a norm leaves the residual stream as it is");
  CpuStream& cpu = cpu_stream(stream);
  const CpuStream::Timing timing(cpu);
  spread_rows(cpu.pool(), arguments.rows, arguments.dim, [&](Range rows) { cpu.operations().rms_norm(arguments, rows); });
}

}  // namespace troupe::kernels
