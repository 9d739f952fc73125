#include "kernels/attention.hpp"

#include <algorithm>
#include <vector>

#include "kernels/launch.hpp"

namespace troupe::kernels {

namespace {

/// Rows of a range that together give as many queries of one KV head as the lanes take at a time.
constexpr std::int32_t range_queries = 24;
/// Fused multiply-adds below which waking a thread costs more than it saves.
constexpr std::int64_t attention_work_min = 131072;

std::int32_t keys_seen(const SequenceRows& sequence) { return sequence.first_position + sequence.rows; }

/// The range of rows of one sequence that an item computes for one KV head.
struct Item {
  std::int32_t sequence;
  std::int32_t kv_head;
  Range rows;
};

/// What a call needs for a while. It is kept per thread so that a step allocates nothing once it has seen its largest batch.
struct Workspace {
  std::vector<Item> items;
  std::vector<float> partials;
};

Workspace& workspace() {
  thread_local Workspace space;
  return space;
}

void check(const Attention& arguments) {
  const KvLayout& layout = arguments.layout;
  TROUPE_CHECK(layout.head_dim > 0 && layout.head_dim % 16 == 0 && layout.head_dim <= attention_head_dim_max,
               "a head has a multiple of 16 elements, at most attention_head_dim_max");
  TROUPE_CHECK(layout.kv_heads > 0 && arguments.heads > 0 && arguments.heads % layout.kv_heads == 0,
               "each KV head is read by the same number of query heads");
  TROUPE_CHECK(arguments.layer >= 0 && arguments.layer < layout.layers, "the layer is one of the block's");
  TROUPE_CHECK(arguments.query_stride >= arguments.heads * layout.head_dim, "a row's queries fit between it and the next row");
  TROUPE_CHECK(arguments.query != nullptr && arguments.output != nullptr && arguments.pool != nullptr,
               "attention's arrays are there");
  for (const SequenceRows& sequence : arguments.sequences) {
    TROUPE_CHECK(sequence.rows >= 0 && sequence.first_position >= 0 && sequence.first_row >= 0 && sequence.blocks != nullptr,
                 "a sequence's rows have positions and blocks");
  }
}

/// Fused multiply-adds of the whole call.
std::int64_t total_work(const Attention& arguments) {
  std::int64_t keys = 0;
  for (const SequenceRows& sequence : arguments.sequences) keys += std::int64_t{sequence.rows} * keys_seen(sequence);
  return 2 * keys * arguments.heads * arguments.layout.head_dim;
}

std::int32_t longest(const Attention& arguments) {
  std::int32_t keys = 0;
  for (const SequenceRows& sequence : arguments.sequences) keys = std::max(keys, keys_seen(sequence));
  return keys;
}

/// Later rows see more keys and take longer, so they come first: what is left for the end is small.
void cut(const Attention& arguments, std::int32_t rows_max, std::vector<Item>& items) {
  items.clear();
  for (std::size_t s = 0; s < arguments.sequences.size(); ++s) {
    for (std::int32_t last = arguments.sequences[s].rows; last > 0; last -= std::min(last, rows_max)) {
      for (std::int32_t kv_head = 0; kv_head < arguments.layout.kv_heads; ++kv_head) {
        items.push_back({static_cast<std::int32_t>(s), kv_head, {std::max(last - rows_max, 0), last}});
      }
    }
  }
}

/// Ranges that fill the lanes' bundles, or shorter ones where these would leave threads idle.
void cut_for_threads(const Attention& arguments, int threads, std::vector<Item>& items) {
  const std::int32_t rows_max = std::max(range_queries * arguments.layout.kv_heads / arguments.heads, 1);
  cut(arguments, rows_max, items);
  const auto count = static_cast<std::int32_t>(items.size());
  if (count == 0 || count >= threads) return;
  const std::int32_t ranges_per_item = (threads + count - 1) / count;
  cut(arguments, std::max(rows_max / ranges_per_item, 1), items);
}

/// One row whose spans are divided among the threads: most often a single token over a long context.
void attend_by_spans(CpuStream& cpu, const Attention& arguments, const SequenceRows& sequence, std::int32_t row,
                     std::vector<float>& storage) {
  const std::int32_t spans = (sequence.first_position + row) / attention_span + 1;
  const auto count = static_cast<std::size_t>(arguments.heads) * static_cast<std::size_t>(spans);
  storage.resize(std::max(storage.size(), count * (2 + static_cast<std::size_t>(arguments.layout.head_dim))));
  const SpanPartials partials{storage.data(), storage.data() + count, storage.data() + 2 * count, spans};
  const CpuOps& operations = cpu.operations();
  cpu.pool().run(arguments.layout.kv_heads * spans, [&](int item) {
    operations.attention_span_partials(arguments, sequence, row, item / spans, item % spans, partials);
  });
  cpu.pool().run(1, [&](int) {
    for (std::int32_t head = 0; head < arguments.heads; ++head) {
      operations.attention_merge_partials(arguments, sequence, row, head, partials);
    }
  });
}

}  // namespace

void attention(Stream& stream, const Attention& arguments) {
  if (arguments.sequences.empty()) return;
  check(arguments);
  CpuStream& cpu = cpu_stream(stream);
  const CpuStream::Timing timing(cpu);
  const CpuOps& operations = cpu.operations();
  const int threads = cpu.pool().threads();
  if (threads == 1 || total_work(arguments) < attention_work_min) {
    cpu.pool().run(1, [&](int) {
      for (const SequenceRows& sequence : arguments.sequences) {
        for (std::int32_t kv_head = 0; kv_head < arguments.layout.kv_heads; ++kv_head) {
          operations.attention(arguments, sequence, Range{0, sequence.rows}, kv_head);
        }
      }
    });
    return;
  }

  Workspace& space = workspace();
  cut_for_threads(arguments, threads, space.items);
  const auto items = static_cast<int>(space.items.size());
  if (items < threads && longest(arguments) > attention_span) {
    for (const SequenceRows& sequence : arguments.sequences) {
      for (std::int32_t row = 0; row < sequence.rows; ++row) attend_by_spans(cpu, arguments, sequence, row, space.partials);
    }
    return;
  }
  cpu.pool().run(items, [&](int item) {
    const Item& mine = space.items[static_cast<std::size_t>(item)];
    operations.attention(arguments, arguments.sequences[static_cast<std::size_t>(mine.sequence)], mine.rows, mine.kv_head);
  });
}

}  // namespace troupe::kernels
