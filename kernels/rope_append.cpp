#include "kernels/rope_append.hpp"

#include <algorithm>

#include "kernels/launch.hpp"

namespace troupe::kernels {

void rope_append(Stream& stream, const RopeAppend& arguments) {
  const KvLayout& layout = arguments.layout;
  TROUPE_CHECK(layout.head_dim > 0 && layout.head_dim % 16 == 0, "a head has a multiple of 16 elements");
  TROUPE_CHECK(layout.kv_heads > 0 && arguments.heads > 0, "a layer has query heads and KV heads");
  TROUPE_CHECK(arguments.layer >= 0 && arguments.layer < layout.layers, "the layer is one of the block's");
  if (arguments.sequences.empty()) return;
  TROUPE_CHECK(
      arguments.qkv != nullptr && arguments.pool != nullptr && arguments.cosine != nullptr && arguments.sine != nullptr,
      "rope_append's arrays are there");
  CpuStream& cpu = cpu_stream(stream);
  const CpuStream::Timing timing(cpu);
  const CpuOps& operations = cpu.operations();
  const std::int64_t row_work = std::int64_t{2} * (arguments.heads + 2 * layout.kv_heads) * layout.head_dim;
  std::int32_t rows = 0;
  for (const SequenceRows& sequence : arguments.sequences) rows += sequence.rows;

  // A range of all rows together may begin and end inside a sequence.
  spread_rows(cpu.pool(), rows, row_work, [&](Range range) {
    std::int32_t start = 0;
    for (const SequenceRows& sequence : arguments.sequences) {
      const Range own{std::max(range.first - start, 0), std::min(range.last - start, sequence.rows)};
      if (own.first < own.last) operations.rope_append(arguments, sequence, own);
      start += sequence.rows;
    }
  });
}

}  // namespace troupe::kernels
