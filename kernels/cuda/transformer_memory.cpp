#include "kernels/cuda/transformer_memory.hpp"

#include <algorithm>
#include <cmath>
#include <string>

namespace troupe::kernels::cuda {

namespace {

constexpr int span_positions = 128;
constexpr int decode_spans_max = 4096;  // half a million positions; batches of more are passes of many rows

/// Of what blocks of decode_attention leave to each other; with less they share less evenly.
constexpr int single_rows_bytes = 64 << 20;

class Slicer {
 public:
  explicit Slicer(std::byte* base) : base_(base) {}

  template <class T>
  void slice(T*& array, std::size_t count) {
    constexpr std::size_t alignment = 1024;
    if (base_ != nullptr) array = reinterpret_cast<T*>(base_ + used_);
    used_ += (count * sizeof(T) + alignment - 1) / alignment * alignment;
  }
  void slice(RowTiles& tiles, std::int32_t rows, std::int32_t inputs) {
    tiles.capacity = divided_up(rows, 8) * 8;
    tiles.inputs = inputs;
    slice(tiles.data, tiles.elements());
  }
  std::byte* next() const { return base_ == nullptr ? nullptr : base_ + used_; }
  void skip(std::size_t bytes) {
    std::byte* skipped = nullptr;
    slice(skipped, bytes);
  }
  std::size_t used() const { return used_; }

 private:
  std::byte* base_;
  std::size_t used_ = 0;
};

std::size_t area(std::int64_t rows, std::int64_t width) { return static_cast<std::size_t>(rows * width); }

Error unsupported(const std::string& what) {
  return Error{ErrorCode::unsupported, "the GPU kernels do not compute this model: " + what + "; compute it on the CPU"};
}

}  // namespace

Result<void> check(const TransformerShape& shape) {
  if (shape.head_dim != 64 && shape.head_dim != 128) {
    return unsupported("its heads have " + std::to_string(shape.head_dim) + " dimensions, expected 64 or 128");
  }
  if (shape.heads / shape.kv_heads > decode_group_max) {
    return unsupported(std::to_string(shape.heads / shape.kv_heads) + " query heads share a KV head, expected at most " +
                       std::to_string(decode_group_max));
  }
  if (shape.intermediate % 32 != 0 || shape.expert_intermediate % 32 != 0) {
    return unsupported("its feed-forward layers are " +
                       std::to_string(shape.intermediate % 32 != 0 ? shape.intermediate : shape.expert_intermediate) +
                       " wide, expected a multiple of 32");
  }
  if (shape.vocabulary > sampled_vocabulary_max) {
    return unsupported("its vocabulary has " + std::to_string(shape.vocabulary) + " tokens, expected at most " +
                       std::to_string(sampled_vocabulary_max));
  }
  if (shape.experts > moe_experts_max || shape.experts_per_token > moe_chosen_max) {
    return unsupported("each token takes " + std::to_string(shape.experts_per_token) + " of " + std::to_string(shape.experts) +
                       " experts, expected at most " + std::to_string(moe_chosen_max) + " of " +
                       std::to_string(moe_experts_max));
  }
  return {};
}

DecodeShape decode_shape(const TransformerShape& shape) {
  DecodeShape decode;
  decode.layers = shape.layers;
  decode.hidden = shape.hidden;
  decode.intermediate = shape.intermediate;
  decode.heads = shape.heads;
  decode.kv_heads = shape.kv_heads;
  decode.head_dim = shape.head_dim;
  decode.vocabulary = shape.vocabulary;
  decode.epsilon = shape.epsilon;
  decode.scale = 1.0F / std::sqrt(static_cast<float>(shape.head_dim));
  return decode;
}

MoeShape moe_shape(const TransformerShape& shape) {
  MoeShape moe;
  moe.hidden = shape.hidden;
  moe.intermediate = shape.expert_intermediate;
  moe.experts = shape.experts;
  moe.chosen = shape.experts_per_token;
  moe.normalize = shape.normalize_expert_weights;
  return moe;
}

TransformerMemory::TransformerMemory(const TransformerShape& shape, const TransformerLimits& limits, std::byte* base) {
  Slicer memory(base);
  const int rows = std::max(limits.rows_max, decode_rows_max);
  const int slices = divided_up(shape.hidden, 16);
  const int query_width = shape.heads * shape.head_dim;
  const int qkv_width = query_width + 2 * shape.kv_heads * shape.head_dim;
  memory.slice(x, area(rows, shape.hidden));
  memory.slice(normed, rows, shape.hidden);
  memory.slice(squares, area(slices, normed.capacity));
  memory.slice(scales, static_cast<std::size_t>(rows));
  memory.slice(qkv, area(rows, qkv_width));
  memory.slice(queries, area(rows, query_width));
  memory.slice(attended, rows, query_width);
  memory.slice(gated, rows, shape.intermediate);
  const int group = shape.heads / shape.kv_heads;
  single_rows.entries = single_rows_bytes / (group * shape.head_dim * static_cast<int>(sizeof(float)));
  memory.slice(single_rows.shares, static_cast<std::size_t>(decode_attention_blocks()));
  memory.slice(single_rows.counters, area(2, decode_attention_blocks()));
  memory.slice(single_rows.values, area(single_rows.entries, group * shape.head_dim));
  memory.slice(single_rows.sums, area(single_rows.entries, group));
  memory.slice(last, limits.logit_rows_max, shape.hidden);
  memory.slice(last_scales, static_cast<std::size_t>(last.capacity));
  if (shape.experts > 0) {
    memory.slice(router, area(rows, shape.experts));
    moe = moe_buffers(moe_shape(shape), rows, memory.next());
    memory.skip(moe.bytes);
  } else {
    spans_max = std::min(decode_rows_max * divided_up(limits.context_max, span_positions), decode_spans_max);
    memory.slice(decode_layers, static_cast<std::size_t>(shape.layers));
    memory.slice(decode_workspace, decode_workspace_bytes(decode_shape(shape), decode_rows_max, spans_max));
  }
  memory.slice(logits, area(std::max(limits.logit_rows_max, decode_rows_max), shape.vocabulary));
  bytes = memory.used();
}

}  // namespace troupe::kernels::cuda
