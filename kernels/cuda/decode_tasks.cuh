// What a step consists of: the operations of each layer, and which block has which of their parts.
#pragma once

#include <algorithm>

#include "kernels/cuda/decode_attention.cuh"
#include "kernels/cuda/decode_run_fold.cuh"
#include "kernels/cuda/exchange.cuh"

namespace troupe::kernels::cuda {

inline constexpr int cluster_blocks = k_chunks_max;

/// Of a layer; after the last one come the logits.
enum Operation : int { op_qkv, op_attention, op_output, op_gate_up, op_down, operations, op_logits = operations };

/// The matrix of one product of the step.
struct Matrix {
  WeightTiles weight;
  int chunk_bits;  ///< log2 of the chunks of k: blocks find their next task without a division

  __host__ __device__ int chunks() const { return 1 << chunk_bits; }
  __host__ __device__ int tasks() const { return weight.tiles() << chunk_bits; }
  /// The same, with what keeps a tile's chunks within a cluster.
  __host__ __device__ int places() const { return divided_up(tasks(), cluster_blocks) * cluster_blocks; }
  __device__ int tile(int task) const { return task >> chunk_bits; }
  __device__ int chunk(int task) const { return task & (chunks() - 1); }
  /// As panels_of_chunk says.
  __device__ Panels panels(int chunk) const {
    const int pairs = weight.panels() / 2;
    return {(pairs * chunk >> chunk_bits) * 2, (pairs * (chunk + 1) >> chunk_bits) * 2};
  }
};
inline Matrix matrix_of(const DecodeShape& shape, int operation) {
  WeightTiles weight;
  switch (operation) {
    case op_qkv: weight = {nullptr, (shape.heads + 2 * shape.kv_heads) * shape.head_dim, shape.hidden}; break;
    case op_output: weight = {nullptr, shape.hidden, shape.heads * shape.head_dim}; break;
    case op_gate_up: weight = {nullptr, 2 * shape.intermediate, shape.hidden}; break;
    case op_down: weight = {nullptr, shape.hidden, shape.intermediate}; break;
    default: weight = {nullptr, shape.vocabulary, shape.hidden}; break;
  }
  static_assert(k_chunks_max == 2);
  return {weight, k_chunks(weight) == 1 ? 0 : 1};
}

struct StepArguments {
  DecodeStep step;
  StepBuffers buffers;
  Matrix matrices[operations + 1];  ///< by operation; attention has none
  std::int32_t group;               ///< query heads that share a KV head
};
inline StepArguments arguments_of(const DecodeStep& step, const StepBuffers& buffers) {
  StepArguments arguments{step, buffers, {}, step.shape.heads / step.shape.kv_heads};
  for (const int operation : {op_qkv, op_output, op_gate_up, op_down, static_cast<Operation>(op_logits)})
    arguments.matrices[operation] = matrix_of(step.shape, operation);
  return arguments;
}
__device__ inline const bf16* weights_of(const DecodeStep& step, int layer, int operation) {
  if (layer == step.shape.layers) return step.output_projection;
  const DecodeLayer& weights = step.layers[layer];
  switch (operation) {
    case op_qkv: return weights.qkv;
    case op_output: return weights.attention_output;
    case op_gate_up: return weights.gate_up;
    default: return weights.down;
  }
}
__device__ __forceinline__ const RowTiles& input_of(const LayerBuffers& buffers, int operation) {
  switch (operation) {
    case op_qkv: return buffers.attention_input.normed;
    case op_output: return buffers.attended;
    case op_gate_up: return buffers.feed_forward_input.normed;
    default: return buffers.gated;
  }
}
/// Whether products are divided by their rows' lengths.
__device__ __forceinline__ bool wants_scales(int operation) { return operation == op_qkv || operation == op_gate_up; }

/// The tasks of an operation that a block has: first, first + step, ... below end.
struct Deal {
  int first;
  int end;
  int step;
};

/// Walks the tasks of this block, the same for every role: product(layer, operation, matrix, tile, chunk), attention(layer,
/// items), and begin(layer, operation, deal) before the first of an operation (the logits are op_qkv of one layer
/// more). Blocks take products in turn over the whole step.
template <class Role>
__device__ __forceinline__ void walk(const StepArguments& arguments, const BatchShared& batch, Role& role) {
  const DecodeStep& step = arguments.step;
  const int blocks = static_cast<int>(gridDim.x);
  const int block = static_cast<int>(blockIdx.x);
  int turn = block;  // this block's next tile and chunk, counted over all, less those that are past
  Items items{0, 0};
  for (int layer = 0; layer <= step.shape.layers; ++layer) {
    const bool logits = layer == step.shape.layers;
    for (int operation = 0; operation < (logits ? 1 : operations); ++operation) {
      if (operation == op_attention) {
        if (layer == 0) {
          role.wait_for_batch();
          items = batch.items_of(step.rows, step.shape.kv_heads, block, blocks);
        }
        if (items.first == items.end) continue;
        role.begin(layer, operation, {items.first, items.end, 1});
        role.attention(layer, items);
        continue;
      }
      const Matrix& matrix = arguments.matrices[logits ? static_cast<int>(op_logits) : operation];
      const int tasks = matrix.tasks();
      const int places = matrix.places();
      if (turn < tasks) role.begin(layer, operation, {turn, tasks, blocks});
      for (; turn < places; turn += blocks) {
        if (turn < tasks) role.product(layer, operation, matrix, matrix.tile(turn), matrix.chunk(turn));
      }
      turn -= places;
    }
  }
}
/// The most blocks of which each has a product in every layer before `down` (decode_buffers.hpp says why): as many as there are
/// tasks one after the other, without places that are nobody's between them.
inline int blocks_max(const DecodeShape& shape) {
  int most = 0;
  int run = 0;
  for (const int operation : {op_qkv, op_output, op_gate_up}) {
    const Matrix matrix = matrix_of(shape, operation);
    run += matrix.tasks();
    most = std::max(most, run);
    if (matrix.tasks() != matrix.places()) run = 0;
  }
  return std::max(most / cluster_blocks, 1) * cluster_blocks;
}

template <int N>
struct StepShared {
  AttentionShared attention;
  RunFoldShared run_fold;
  Exchange<N> exchanges[2];  ///< in turn: one block may be ahead of the other by a task
  BatchShared batch;
  float row_scales[N];
  std::int32_t scales_said;  ///< so far: rows' scales of products that want them
  std::int32_t cleared;      ///< so far: layers in which this block has cleared its part
  typename Ring<N>::Barriers barriers;
};

}  // namespace troupe::kernels::cuda
