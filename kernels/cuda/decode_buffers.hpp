// What the blocks of a decoding step write for each other (published.cuh), and who makes it unwritten again.
//
// Layers take turns with four generations of buffers. Before a step, and after all of the step before, begin_step clears three
// of them. In layer l the blocks that have products of `qkv` clear the fourth, layer l - 1's: each does so once it has seen all
// of layer l's input, so every product of layer l - 1 is complete and what it read is not needed any more; and it publishes
// nothing of layer l + 1 before that is done. Whoever reads the generation again, in layer l + 3, or writes to it, in layer
// l + 2's `down`, has read something that follows from all products of layer l + 1. For that each block must have a product at
// least in every layer, before `down` (decode_step chooses so many blocks).
#pragma once

#include "kernels/cuda/decode_step.hpp"

namespace troupe::kernels::cuda {

/// The residual rows, and what the next norm needs of them.
struct ResidualBuffers {
  float* x;         ///< [row_capacity, hidden]
  RowTiles normed;  ///< hidden wide: x times the norm's weights, not yet divided by its length
  float* squares;   ///< [slices of 16 of hidden, row_capacity]: their sums of squares
};

/// In the order in which a layer writes them, but for the first, which the layer before has written.
struct LayerBuffers {
  ResidualBuffers attention_input;
  float* qkv;  ///< [row_capacity, (heads + 2 kv_heads) head_dim]
  /// [spans, heads, head_dim]: weighted values, by sequence, KV head, span and query head. Where two blocks share a KV head,
  /// what the first one has folded is in its first span's place; the other places stay unwritten.
  float* spans;
  float2* span_sums;  ///< [spans, heads]: largest score and sum of weights
  RowTiles attended;  ///< heads * head_dim wide
  ResidualBuffers feed_forward_input;
  RowTiles gated;  ///< intermediate wide
};

inline constexpr int generations = 4;

struct StepBuffers {
  LayerBuffers generation[generations];
  __host__ __device__ const LayerBuffers& of(int layer) const { return generation[layer % generations]; }
};

/// Lays buffers out from an aligned address on, which may be null to learn how many bytes they need.
class BufferPlacer {
 public:
  explicit BufferPlacer(std::byte* begin) : begin_(begin) {}
  template <class Element>
  Element* array(std::size_t count) {
    auto* const place = reinterpret_cast<Element*>(begin_ + bytes_);
    bytes_ += (count * sizeof(Element) + alignment - 1) / alignment * alignment;
    return place;
  }
  RowTiles rows(int capacity, int inputs) {
    RowTiles tiles{nullptr, capacity, inputs};
    tiles.data = array<bf16>(tiles.elements());
    return tiles;
  }
  ResidualBuffers residual(int capacity, int hidden) {
    const auto rows_of = static_cast<std::size_t>(capacity);
    ResidualBuffers buffers{};
    buffers.x = array<float>(rows_of * static_cast<std::size_t>(hidden));
    buffers.normed = rows(capacity, hidden);
    buffers.squares = array<float>(rows_of * static_cast<std::size_t>(divided_up(hidden, 16)));
    return buffers;
  }
  LayerBuffers layer(const DecodeShape& shape, int capacity, int spans) {
    const auto heads_of_spans = static_cast<std::size_t>(spans) * static_cast<std::size_t>(shape.heads);
    const auto head_dim = static_cast<std::size_t>(shape.head_dim);
    LayerBuffers buffers{};
    buffers.attention_input = residual(capacity, shape.hidden);
    buffers.qkv = array<float>(static_cast<std::size_t>(capacity) * static_cast<std::size_t>(shape.heads + 2 * shape.kv_heads) *
                               head_dim);
    buffers.spans = array<float>(heads_of_spans * head_dim);
    buffers.span_sums = array<float2>(heads_of_spans);
    buffers.attended = rows(capacity, shape.heads * shape.head_dim);
    buffers.feed_forward_input = residual(capacity, shape.hidden);
    buffers.gated = rows(capacity, shape.intermediate);
    return buffers;
  }
  StepBuffers step(const DecodeShape& shape, int capacity, int spans) {
    StepBuffers buffers{};
    for (LayerBuffers& generation : buffers.generation) generation = layer(shape, capacity, spans);
    return buffers;
  }
  std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t alignment = 128;
  std::byte* begin_;
  std::size_t bytes_ = 0;
};

}  // namespace troupe::kernels::cuda
