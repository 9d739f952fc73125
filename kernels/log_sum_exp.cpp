#include "kernels/log_sum_exp.hpp"

#include "kernels/launch.hpp"

namespace troupe::kernels {

void log_sum_exp(Stream& stream, const LogSumExp& arguments) {
  TROUPE_CHECK(arguments.rows >= 0 && arguments.vocabulary > 0, "a row of logits has at least one");
  if (arguments.rows == 0) return;
  TROUPE_CHECK(arguments.logits != nullptr && arguments.summary != nullptr, "the logits and their summaries are there");
  CpuStream& cpu = cpu_stream(stream);
  const CpuStream::Timing timing(cpu);
  const std::int64_t work = std::int64_t{4} * arguments.vocabulary;
  spread_rows(cpu.pool(), arguments.rows, work, [&](Range rows) { cpu.operations().log_sum_exp(arguments, rows); });
}

}  // namespace troupe::kernels
