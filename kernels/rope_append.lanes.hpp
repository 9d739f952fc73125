// The arithmetic of rope_append.hpp.

namespace troupe::kernels::TROUPE_TARGET {

/// Rotates one head from `x` into `target`, which may be x. Half a head need not fill the lanes.
TROUPE_INLINE void rotate(const float* x, const float* cosine, const float* sine, int head_dim, float* target) {
  const int half = head_dim / 2;
  for (int i = 0; i < half; i += lanes) {
    const int count = half - i < lanes ? half - i : lanes;
    const F32x16 a = F32x16::load_first(x + i, count);
    const F32x16 b = F32x16::load_first(x + half + i, count);
    const F32x16 c = F32x16::load_first(cosine + i, count);
    const F32x16 s = F32x16::load_first(sine + i, count);
    fma(a, c, -(b * s)).store_first(target + i, count);
    fma(b, c, a * s).store_first(target + half + i, count);
  }
}

TROUPE_INLINE void copy(const float* source, int count, float* target) {
  for (int i = 0; i < count; i += lanes) F32x16::load(source + i).store(target + i);
}

/// Normalises in place if there is a weight.
TROUPE_INLINE void normalize_head(float* x, const float* weight, int head_dim, float epsilon) {
  if (weight != nullptr) scale_by_norm(x, inverse_root_mean_square(x, head_dim, epsilon), weight, x, head_dim);
}

void rope_append(const RopeAppend& arguments, const SequenceRows& sequence, Range rows_of_sequence) {
  const int head_dim = arguments.layout.head_dim;
  const int kv_heads = arguments.layout.kv_heads;
  const auto width = static_cast<std::size_t>(arguments.heads + 2 * kv_heads) * static_cast<std::size_t>(head_dim);
  const std::size_t head_elements = static_cast<std::size_t>(kv_block_positions) * static_cast<std::size_t>(head_dim);
  const std::size_t half_elements = static_cast<std::size_t>(kv_heads) * head_elements;
  const std::size_t block_elements = static_cast<std::size_t>(arguments.layout.layers) * 2 * half_elements;
  for (std::int32_t i = rows_of_sequence.first; i < rows_of_sequence.last; ++i) {
    const std::int32_t position = sequence.first_position + i;
    const std::size_t angles = static_cast<std::size_t>(position) * static_cast<std::size_t>(head_dim / 2);
    const float* cosine = arguments.cosine + angles;
    const float* sine = arguments.sine + angles;

    float* query = arguments.qkv + static_cast<std::size_t>(sequence.first_row + i) * width;
    for (std::int32_t head = 0; head < arguments.heads; ++head, query += head_dim) {
      normalize_head(query, arguments.query_norm, head_dim, arguments.epsilon);
      rotate(query, cosine, sine, head_dim, query);
    }

    float* key = query;
    const float* value = key + kv_heads * head_dim;
    float* keys = arguments.pool + static_cast<std::size_t>(sequence.blocks[position / kv_block_positions]) * block_elements +
                  static_cast<std::size_t>(arguments.layer) * 2 * half_elements +
                  static_cast<std::size_t>(position % kv_block_positions) * static_cast<std::size_t>(head_dim);
    for (std::int32_t head = 0; head < kv_heads; ++head, key += head_dim, value += head_dim, keys += head_elements) {
      normalize_head(key, arguments.key_norm, head_dim, arguments.epsilon);
      rotate(key, cosine, sine, head_dim, keys);
      copy(value, head_dim, keys + half_elements);
    }
  }
}

}  // namespace troupe::kernels::TROUPE_TARGET
