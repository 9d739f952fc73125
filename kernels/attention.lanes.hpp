// The arithmetic of attention.hpp. A *query* is one head of one row. Queries that read the same KV head are taken in bundles,
// which walk a span together in chunks that stay in the first-level cache, and in tiles, which share each load of a key or
// value.

namespace troupe::kernels::TROUPE_TARGET {

inline constexpr int bundle_queries = 24;
inline constexpr int tile_queries = register_count >= 32 ? 6 : 3;
inline constexpr int tile_keys = 4;
inline constexpr int tile_registers = 4;
inline constexpr int chunk_blocks = 4;
inline constexpr int span_blocks = attention_span / kv_block_positions;
/// Products of one query with a block's keys, sixteen lanes each, before their lanes are added.
inline constexpr int block_products = kv_block_positions * lanes;

TROUPE_INLINE int smaller(int a, int b) { return a < b ? a : b; }

struct AttentionQuery {
  const float* vector;
  float* output;
  std::int32_t keys;  ///< it sees the positions below
};

/// (max, sum, output) of the queries of a bundle.
struct SoftmaxState {
  float max[bundle_queries];
  float sum[bundle_queries];
  alignas(64) float output[bundle_queries * attention_head_dim_max];

  TROUPE_INLINE float* output_of(int query) { return output + query * attention_head_dim_max; }
};

/// One span of one KV head. After its last block each array holds what is read next: the first values, the next span's keys.
struct SpanView {
  const float* keys[span_blocks + 1];
  const float* values[span_blocks + 1];
  std::int32_t first_position;
  std::int32_t blocks;
};

struct SpanScratch {
  alignas(64) float weight[bundle_queries * attention_span];  ///< scores first, then exp(score - max)
  alignas(64) float products[tile_queries * block_products];
  SoftmaxState state;

  TROUPE_INLINE float* weight_of(int query) { return weight + query * attention_span; }
};

TROUPE_INLINE SpanView view_span(const Attention& arguments, const SequenceRows& sequence, int kv_head, int span, int keys) {
  const KvLayout& layout = arguments.layout;
  const std::size_t head_elements = static_cast<std::size_t>(kv_block_positions) * static_cast<std::size_t>(layout.head_dim);
  const std::size_t half_elements = static_cast<std::size_t>(layout.kv_heads) * head_elements;
  const std::size_t block_elements = static_cast<std::size_t>(layout.layers) * 2 * half_elements;
  const float* start = arguments.pool + static_cast<std::size_t>(arguments.layer) * 2 * half_elements +
                       static_cast<std::size_t>(kv_head) * head_elements;
  SpanView view;
  view.first_position = span * attention_span;
  view.blocks = (smaller(keys - view.first_position, attention_span) + kv_block_positions - 1) / kv_block_positions;
  const std::int32_t* blocks = sequence.blocks + span * span_blocks;
  for (int i = 0; i < view.blocks; ++i) {
    view.keys[i] = start + static_cast<std::size_t>(blocks[i]) * block_elements;
    view.values[i] = view.keys[i] + half_elements;
  }
  view.keys[view.blocks] = view.values[0];
  const bool is_last = keys <= view.first_position + attention_span;
  view.values[view.blocks] = is_last ? view.values[0] : start + static_cast<std::size_t>(blocks[span_blocks]) * block_elements;
  return view;
}

/// Asks for a block before it is needed: blocks lie anywhere in the pool, and the processor's own prefetch ends at a page.
TROUPE_INLINE void prefetch_floats(const float* source, int count) {
  for (int i = 0; i < count; i += lanes) prefetch(source + i);
}

/// Of query q's row of weights the first 16 = scale * dot(query q, each key of a block). Lanes over d stay apart until
/// tree_sums. `ahead` is the block to be read after this one, or null if another tile has asked for it.
template <int Queries>
void score_block(const AttentionQuery* queries, const float* keys, const float* ahead, int head_dim, float scale,
                 float* products, float* weight) {
  for (int key = 0; key < kv_block_positions; key += tile_keys) {
    if (ahead != nullptr) prefetch_floats(ahead + key * head_dim, tile_keys * head_dim);
    for (int part = 0; part < lanes; part += Register::width) {
      Register sum[Queries][tile_keys];
      for (auto& row : sum) {
        for (auto& element : row) element = Register::zero();
      }
      for (int d = part; d < head_dim; d += lanes) {
        Register query[Queries];
        for (int q = 0; q < Queries; ++q) query[q] = Register::load(queries[q].vector + d);
        for (int k = 0; k < tile_keys; ++k) {
          const Register key_part = Register::load(keys + (key + k) * head_dim + d);
          for (int q = 0; q < Queries; ++q) sum[q][k] = fma(query[q], key_part, sum[q][k]);
        }
      }
      for (int q = 0; q < Queries; ++q) {
        for (int k = 0; k < tile_keys; ++k) sum[q][k].store(products + q * block_products + (key + k) * lanes + part);
      }
    }
  }
  for (int q = 0; q < Queries; ++q) {
    (tree_sums(products + q * block_products) * F32x16::broadcast(scale)).store(weight + q * attention_span);
  }
}

/// output[q][d..] += weight[q][j] * value[j][d..] over ascending j in [first, last) of a chunk, in Registers registers.
template <int Queries, int Registers>
TROUPE_INLINE void mix_slice(const float* const* values, int head_dim, int d, Range positions, const float* weight,
                             float* output) {
  Register sum[Queries][Registers];
  for (int q = 0; q < Queries; ++q) {
    for (int r = 0; r < Registers; ++r)
      sum[q][r] = Register::load(output + q * attention_head_dim_max + d + r * Register::width);
  }
  int j = positions.first;
  while (j < positions.last) {
    const float* value = values[j / kv_block_positions] + j % kv_block_positions * head_dim + d;
    const float* ahead = values[j / kv_block_positions + 1] + j % kv_block_positions * head_dim + d;
    const int end = smaller(positions.last, (j / kv_block_positions + 1) * kv_block_positions);
    for (; j < end; ++j, value += head_dim, ahead += head_dim) {
      prefetch_floats(ahead, Registers * Register::width);
      Register share[Queries];
      for (int q = 0; q < Queries; ++q) share[q] = Register::broadcast(weight[q * attention_span + j]);
      for (int r = 0; r < Registers; ++r) {
        const Register part = Register::load(value + r * Register::width);
        for (int q = 0; q < Queries; ++q) sum[q][r] = fma(share[q], part, sum[q][r]);
      }
    }
  }
  for (int q = 0; q < Queries; ++q) {
    for (int r = 0; r < Registers; ++r) sum[q][r].store(output + q * attention_head_dim_max + d + r * Register::width);
  }
}

template <int Queries>
void mix_chunk(const float* const* values, int head_dim, Range positions, const float* weight, float* output) {
  constexpr int slice = tile_registers * Register::width;
  int d = 0;
  for (; d + slice <= head_dim; d += slice) {
    mix_slice<Queries, tile_registers>(values, head_dim, d, positions, weight, output);
  }
  for (; d < head_dim; d += lanes) {
    mix_slice<Queries, lanes / Register::width>(values, head_dim, d, positions, weight, output);
  }
}

template <int Queries = tile_queries>
TROUPE_INLINE void score_tile(int count, const AttentionQuery* queries, const float* keys, const float* ahead, int head_dim,
                              float scale, float* products, float* weight) {
  if constexpr (Queries > 0) {
    if (count == Queries) return score_block<Queries>(queries, keys, ahead, head_dim, scale, products, weight);
    score_tile<Queries - 1>(count, queries, keys, ahead, head_dim, scale, products, weight);
  }
}

template <int Queries = tile_queries>
TROUPE_INLINE void mix_tile(int count, const float* const* values, int head_dim, Range positions, const float* weight,
                            float* output) {
  if constexpr (Queries > 0) {
    if (count == Queries) return mix_chunk<Queries>(values, head_dim, positions, weight, output);
    mix_tile<Queries - 1>(count, values, head_dim, positions, weight, output);
  }
}

/// Scores become weights exp(s - max). Lanes past the end get -infinity, hence weight 0.
TROUPE_INLINE void weigh(float* weight, int keys, float& max_out, float& sum_out) {
  const float nothing = -__builtin_inff();
  F32x16 highest = F32x16::broadcast(nothing);
  for (int j = 0; j < keys; j += lanes) {
    highest = max(F32x16::load_first(weight + j, smaller(keys - j, lanes), nothing), highest);
  }
  max_out = tree_max(highest);
  const F32x16 shift = F32x16::broadcast(max_out);
  F32x16 sums = F32x16::zero();
  for (int j = 0; j < keys; j += lanes) {
    const F32x16 value = exp(F32x16::load_first(weight + j, smaller(keys - j, lanes), nothing) - shift);
    sums = sums + value;
    value.store(weight + j);
  }
  sum_out = tree_sum(sums);
}

/// How many positions of the chunk that starts at `start` in the span a query sees.
TROUPE_INLINE int positions_seen(const AttentionQuery& query, const SpanView& view, int start) {
  const int seen = smaller(query.keys - view.first_position - start, chunk_blocks * kv_block_positions);
  return seen > 0 ? seen : 0;
}

/// The values of one chunk for one tile. Later rows see more keys: what all see is shared, the rest each query does alone,
/// since a chain must end at its own last key.
TROUPE_INLINE void mix_tile_causally(const AttentionQuery* queries, int count, const SpanView& view, int block, int head_dim,
                                     const float* weight, float* output) {
  const int start = block * kv_block_positions;
  const float* shares = weight + start;
  const int common = positions_seen(queries[0], view, start);
  if (common > 0) mix_tile(count, view.values + block, head_dim, Range{0, common}, shares, output);
  for (int q = 1; q < count; ++q) {
    const int seen = positions_seen(queries[q], view, start);
    if (seen <= common) continue;
    mix_chunk<1>(view.values + block, head_dim, Range{common, seen}, shares + q * attention_span,
                 output + q * attention_head_dim_max);
  }
}

/// (max, sum, output) of one span for queries in ascending order of position, each of which sees a part of it at least.
void attend_span(const Attention& arguments, const SpanView& view, const AttentionQuery* queries, int count,
                 SpanScratch& scratch) {
  const int head_dim = arguments.layout.head_dim;
  for (int chunk = 0; chunk < view.blocks; chunk += chunk_blocks) {
    for (int tile = 0; tile < count; tile += tile_queries) {
      const int tile_count = smaller(count - tile, tile_queries);
      const int seen = queries[tile + tile_count - 1].keys - view.first_position;
      for (int block = chunk; block < smaller(chunk + chunk_blocks, view.blocks); ++block) {
        if (block * kv_block_positions >= seen) break;
        score_tile(tile_count, queries + tile, view.keys[block], tile == 0 ? view.keys[block + 1] : nullptr, head_dim,
                   arguments.scale, scratch.products, scratch.weight_of(tile) + block * kv_block_positions);
      }
    }
  }
  for (int q = 0; q < count; ++q) {
    weigh(scratch.weight_of(q), smaller(queries[q].keys - view.first_position, attention_span), scratch.state.max[q],
          scratch.state.sum[q]);
    for (int d = 0; d < head_dim; d += lanes) F32x16::zero().store(scratch.state.output_of(q) + d);
  }
  for (int chunk = 0; chunk < view.blocks; chunk += chunk_blocks) {
    for (int tile = 0; tile < count; tile += tile_queries) {
      mix_tile_causally(queries + tile, smaller(count - tile, tile_queries), view, chunk, head_dim, scratch.weight_of(tile),
                        scratch.state.output_of(tile));
    }
  }
}

/// Merges a span's (m, l, o) into (M, L, O).
TROUPE_INLINE void merge_span(float& max_all, float& sum_all, float* output_all, float max_span, float sum_span,
                              const float* output_span, int head_dim) {
  const float highest = max_all > max_span ? max_all : max_span;
  const F32x16 a = exp(F32x16::broadcast(max_all - highest));
  const F32x16 b = exp(F32x16::broadcast(max_span - highest));
  sum_all = __builtin_fmaf(sum_all, a.first(), sum_span * b.first());
  for (int d = 0; d < head_dim; d += lanes) {
    fma(F32x16::load(output_all + d), a, F32x16::load(output_span + d) * b).store(output_all + d);
  }
  max_all = highest;
}

TROUPE_INLINE void divide(const float* source, float sum, int head_dim, float* target) {
  const F32x16 divisor = F32x16::broadcast(sum);
  for (int d = 0; d < head_dim; d += lanes) (F32x16::load(source + d) / divisor).store(target + d);
}

/// Queries [first, first + count) of a sequence's rows for one KV head, numbered by row and then by head of the group.
TROUPE_INLINE void collect_queries(const Attention& arguments, const SequenceRows& sequence, int kv_head, int first, int count,
                                   AttentionQuery* queries) {
  const int head_dim = arguments.layout.head_dim;
  const int group = arguments.heads / arguments.layout.kv_heads;
  for (int i = 0; i < count; ++i) {
    const int row_of_sequence = (first + i) / group;
    const int head = kv_head * group + (first + i) % group;
    const auto row = static_cast<std::size_t>(sequence.first_row + row_of_sequence);
    queries[i].vector = arguments.query + row * static_cast<std::size_t>(arguments.query_stride) + head * head_dim;
    queries[i].output = arguments.output + (row * static_cast<std::size_t>(arguments.heads) + static_cast<std::size_t>(head)) *
                                               static_cast<std::size_t>(head_dim);
    queries[i].keys = sequence.first_position + row_of_sequence + 1;
  }
}

void attention(const Attention& arguments, const SequenceRows& sequence, Range rows_of_sequence, std::int32_t kv_head) {
  const int head_dim = arguments.layout.head_dim;
  const int group = arguments.heads / arguments.layout.kv_heads;
  SpanScratch scratch;
  SoftmaxState all;
  AttentionQuery queries[bundle_queries];
  for (int first = rows_of_sequence.first * group; first < rows_of_sequence.last * group; first += bundle_queries) {
    const int count = smaller(rows_of_sequence.last * group - first, bundle_queries);
    collect_queries(arguments, sequence, kv_head, first, count, queries);
    const int keys = queries[count - 1].keys;
    for (int span = 0, done = 0; span * attention_span < keys; ++span) {
      while (queries[done].keys <= span * attention_span) ++done;
      const SpanView view = view_span(arguments, sequence, kv_head, span, keys);
      attend_span(arguments, view, queries + done, count - done, scratch);
      for (int q = done; q < count; ++q) {
        const float* output = scratch.state.output_of(q - done);
        if (span == 0) {
          all.max[q] = scratch.state.max[q];
          all.sum[q] = scratch.state.sum[q];
          copy(output, head_dim, all.output_of(q));
        } else {
          merge_span(all.max[q], all.sum[q], all.output_of(q), scratch.state.max[q - done], scratch.state.sum[q - done], output,
                     head_dim);
        }
      }
    }
    for (int q = 0; q < count; ++q) divide(all.output_of(q), all.sum[q], head_dim, queries[q].output);
  }
}

void attention_span_partials(const Attention& arguments, const SequenceRows& sequence, std::int32_t row_of_sequence,
                             std::int32_t kv_head, std::int32_t span, const SpanPartials& partials) {
  const int head_dim = arguments.layout.head_dim;
  const int group = arguments.heads / arguments.layout.kv_heads;
  SpanScratch scratch;
  AttentionQuery queries[bundle_queries];
  for (int first = 0; first < group; first += bundle_queries) {
    const int count = smaller(group - first, bundle_queries);
    collect_queries(arguments, sequence, kv_head, row_of_sequence * group + first, count, queries);
    const SpanView view = view_span(arguments, sequence, kv_head, span, queries[0].keys);
    attend_span(arguments, view, queries, count, scratch);
    for (int q = 0; q < count; ++q) {
      const auto index = static_cast<std::size_t>(kv_head * group + first + q) * static_cast<std::size_t>(partials.spans) +
                         static_cast<std::size_t>(span);
      partials.max[index] = scratch.state.max[q];
      partials.sum[index] = scratch.state.sum[q];
      copy(scratch.state.output_of(q), head_dim, partials.output + index * static_cast<std::size_t>(head_dim));
    }
  }
}

void attention_merge_partials(const Attention& arguments, const SequenceRows& sequence, std::int32_t row_of_sequence,
                              std::int32_t head, const SpanPartials& partials) {
  const int head_dim = arguments.layout.head_dim;
  const auto width = static_cast<std::size_t>(head_dim);
  const std::size_t first = static_cast<std::size_t>(head) * static_cast<std::size_t>(partials.spans);
  float* output = partials.output + first * width;
  for (std::size_t span = 1; span < static_cast<std::size_t>(partials.spans); ++span) {
    merge_span(partials.max[first], partials.sum[first], output, partials.max[first + span], partials.sum[first + span],
               output + span * width, head_dim);
  }
  const auto row = static_cast<std::size_t>(sequence.first_row + row_of_sequence);
  divide(output, partials.sum[first], head_dim,
         arguments.output + (row * static_cast<std::size_t>(arguments.heads) + static_cast<std::size_t>(head)) * width);
}

}  // namespace troupe::kernels::TROUPE_TARGET
