#include "kernels/cuda/rows.hpp"

#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/rows.cuh"

namespace troupe::kernels::cuda {

namespace {

constexpr int threads = 128;

__global__ void __launch_bounds__(threads) embed_rows(const Embed p) {
  let_next_begin();
  wait_for_previous();
  const int row = static_cast<int>(blockIdx.x);
  embed_row<threads>(p.embedding, known_token(p.tokens[row], p.chosen), p.residual, row);
}

/// A warp a head: the queries, then the keys, then the values of a row.
template <int HeadDim>
__global__ void __launch_bounds__(threads) rotate_append_rows(const RotateAppend p) {
  let_next_begin();
  wait_for_previous();
  constexpr int each = HeadDim / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int all_heads = p.heads + 2 * p.kv.kv_heads;
  const int task = static_cast<int>(blockIdx.x) * (threads / 32) + static_cast<int>(threadIdx.x) / 32;
  const int row = task / all_heads;
  const int head = task % all_heads;
  if (row >= p.rows) return;
  const float* const source = p.qkv + static_cast<std::size_t>(task) * HeadDim;
  const int position = p.positions[row];
  const float* const cosine = p.cosine + static_cast<std::size_t>(position) * (HeadDim / 2);
  const float* const sine = p.sine + static_cast<std::size_t>(position) * (HeadDim / 2);
  float value[each];
  float out[each];
#pragma unroll
  for (int i = 0; i < each; ++i) value[i] = __ldcg(source + lane + 32 * i);
  HeadRotation<HeadDim> rotation;
  rotation.load(head < p.heads ? p.query_norm : p.key_norm, cosine, sine);
  if (head < p.heads) {
    rotate_head<HeadDim>(value, rotation, p.epsilon, out);
    bf16* const target = p.queries + (static_cast<std::size_t>(row) * static_cast<std::size_t>(p.heads) + head) * HeadDim;
#pragma unroll
    for (int i = 0; i < each; ++i) target[lane + 32 * i] = __float2bfloat16_rn(out[i]);
    return;
  }
  const int values = head < p.heads + p.kv.kv_heads ? 0 : 1;
  if (values == 0) {
    rotate_head<HeadDim>(value, rotation, p.epsilon, out);
  } else {
#pragma unroll
    for (int i = 0; i < each; ++i) out[i] = value[i];
  }
  const std::int32_t block = p.blocks[p.sequences[row] * p.blocks_stride + position / kv_block_positions];
  bf16* const target = p.kv.head(block, p.layer, values, head - p.heads - values * p.kv.kv_heads);
#pragma unroll
  for (int i = 0; i < each; ++i) target[KvTiles::place(position, lane + 32 * i)] = __float2bfloat16_rn(out[i]);
}

/// A block a row.
__global__ void __launch_bounds__(threads) gather_tiles(const GatherRows p) {
  let_next_begin();
  wait_for_previous();
  constexpr int piece = 8;
  const int target_row = static_cast<int>(blockIdx.x);
  const int source_row = p.rows[target_row];
  for (int input = static_cast<int>(threadIdx.x) * piece; input < p.source.inputs; input += threads * piece) {
    *reinterpret_cast<uint4*>(p.target.data + p.target.offset(target_row, input)) =
        *reinterpret_cast<const uint4*>(p.source.data + p.source.offset(source_row, input));
  }
  if (threadIdx.x == 0) p.target_scales[target_row] = p.source_scales[source_row];
}

}  // namespace

cudaError_t gather_rows(cudaStream_t stream, const GatherRows& arguments) {
  return launch(stream, {dim3(static_cast<unsigned>(arguments.count)), threads}, gather_tiles, arguments);
}

cudaError_t embed(cudaStream_t stream, const Embed& arguments) {
  return launch(stream, {dim3(static_cast<unsigned>(arguments.rows)), threads}, embed_rows, arguments);
}

cudaError_t rotate_append(cudaStream_t stream, const RotateAppend& arguments) {
  const int tasks = arguments.rows * (arguments.heads + 2 * arguments.kv.kv_heads);
  const LaunchShape shape{dim3(static_cast<unsigned>(divided_up(tasks, threads / 32))), threads};
  switch (arguments.kv.head_dim) {
    case 64: return launch(stream, shape, rotate_append_rows<64>, arguments);
    case 128: return launch(stream, shape, rotate_append_rows<128>, arguments);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace troupe::kernels::cuda
