#include "kernels/cuda/prefill_attention.hpp"

#include <algorithm>

#include "kernels/cuda/attention_span.cuh"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/wgmma.cuh"

namespace troupe::kernels::cuda {

namespace {

constexpr int span_positions = attention_tile_span;
constexpr int side_rows = prefill_tile_rows / 2;  ///< of each of the two computing warpgroups
constexpr int row_bytes = panel_inputs * 2;
constexpr int score_count = span_positions / 2;  ///< that a thread holds of 64 rows
constexpr int half_count = panel_inputs / 2;     ///< values that a thread holds of 64 rows and dimensions

/// Shared memory: the queries of each side, [64 dimensions][64 rows][64]; then a ring of spans, each the keys and the values,
/// [64 dimensions][128 positions][64]. All swizzled.
template <int HeadDim>
struct TileMemory {
  static constexpr int halves = HeadDim / panel_inputs;
  static constexpr int side_bytes = side_rows * HeadDim * 2;
  static constexpr int half_bytes = span_positions * row_bytes;  ///< of a span's keys or values: 64 dimensions
  static constexpr int span_bytes = halves * half_bytes;
  static constexpr int stages = 6 / halves;
  static constexpr int shared_bytes = 1024 + 2 * side_bytes + stages * 2 * span_bytes;
  static constexpr int threads = 3 * warpgroup;
};

/// By keys (0) and values (1), and stage of the ring.
template <int HeadDim>
struct Stages {
  Barrier full[2][TileMemory<HeadDim>::stages];
  Barrier empty[2][TileMemory<HeadDim>::stages];
};

/// Which rows and positions a block's work is about.
struct Work {
  int sequence;
  int kv_head;
  int group;
  int first;  ///< packed row
  int rows;   ///< packed ones that the sequence has
  int first_row;
  int first_position;
  int end;  ///< one more than the position of the tile's last row

  /// The position of a packed row; of those after the last one, the last one's.
  __device__ __forceinline__ int position(int row) const { return first_position + min(row, rows - 1) / group; }
  __device__ __forceinline__ int spans() const { return divided_up(end, span_positions); }
};

__device__ __forceinline__ Work work_of(const PrefillAttention& p) {
  const PrefillTile tile = p.tiles[blockIdx.y];
  const PrefillSequence sequence = p.sequences[tile.sequence];
  Work work;
  work.sequence = tile.sequence;
  work.kv_head = static_cast<int>(blockIdx.x);
  work.group = p.heads / p.kv.kv_heads;
  work.first = tile.first;
  work.rows = sequence.rows * work.group;
  work.first_row = sequence.first_row;
  work.first_position = sequence.first_position;
  work.end = work.position(work.first + prefill_tile_rows - 1) + 1;
  return work;
}

/// Brings the spans' keys and values, by one warp: each lane copies 64 dimensions of a block. What is after the last row's
/// position stays behind: scores of such positions are not looked at, and their values are zero.
template <int HeadDim>
__device__ void stream_spans(const PrefillAttention& p, const Work& work, std::byte* ring, Stages<HeadDim>& barriers) {
  using Shape = TileMemory<HeadDim>;
  constexpr int span_blocks = span_positions / kv_block_positions;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int half = lane / span_blocks;
  const int place = lane % span_blocks;
  const std::int32_t* const blocks = p.blocks + static_cast<std::size_t>(work.sequence) * p.blocks_stride;
  const int spans = work.spans();
  for (int span = 0; span < spans; ++span) {
    const int stage = span % Shape::stages;
    const int positions = min(span_positions, work.end - span * span_positions);
    const int rows = half < Shape::halves ? min(kv_block_positions, positions - place * kv_block_positions) : 0;
    const std::int32_t block = rows > 0 ? blocks[span * span_blocks + place] : 0;
#pragma unroll
    for (int values = 0; values < 2; ++values) {
      std::byte* const target = ring + (stage * 2 + values) * Shape::span_bytes;
      Barrier& full = barriers.full[values][stage];
      if (span >= Shape::stages) barriers.empty[values][stage].wait(static_cast<std::uint32_t>(span / Shape::stages - 1) & 1);
      if (values == 1 && positions < span_positions) {
        for (int at = positions * row_bytes + lane * 16; at < Shape::half_bytes; at += 32 * 16) {
#pragma unroll
          for (int i = 0; i < Shape::halves; ++i) *reinterpret_cast<int4*>(target + i * Shape::half_bytes + at) = int4{};
        }
        fence_proxy_async();
      }
      __syncwarp();
      if (lane == 0) full.arrive_expecting(static_cast<std::uint32_t>(positions * row_bytes * Shape::halves));
      __syncwarp();
      if (rows > 0) {
        copy_bulk(target + half * Shape::half_bytes + place * kv_block_positions * row_bytes,
                  p.kv.head(block, p.layer, values, work.kv_head) + half * kv_block_positions * panel_inputs,
                  static_cast<std::uint32_t>(rows * row_bytes), full);
      }
    }
  }
}

/// Brings a side's queries; rows after the last one are zero.
template <int HeadDim>
__device__ __forceinline__ void load_queries(const PrefillAttention& p, const Work& work, int first, std::byte* queries) {
  constexpr int pieces = HeadDim / 8;
  constexpr int ahead = side_rows * pieces / warpgroup;
  const int thread = static_cast<int>(threadIdx.x) % warpgroup;
  int4 loaded[ahead];
#pragma unroll
  for (int i = 0; i < ahead; ++i) {
    const int row = first + (thread + i * warpgroup) / pieces;
    const int token = work.first_row + row / work.group;
    const int head = work.kv_head * work.group + row % work.group;
    const std::size_t at = (static_cast<std::size_t>(token) * static_cast<std::size_t>(p.heads) + head) * HeadDim;
    loaded[i] = row < work.rows ? *reinterpret_cast<const int4*>(p.queries + at + thread % pieces * 8) : int4{};
  }
#pragma unroll
  for (int i = 0; i < ahead; ++i) {
    const int row = (thread + i * warpgroup) / pieces;
    const int dim = thread % pieces * 8;
    *reinterpret_cast<int4*>(queries + dim / panel_inputs * (side_rows * row_bytes) + swizzled(row, dim % panel_inputs) * 2) =
        loaded[i];
  }
  fence_proxy_async();
  warpgroup_sync();
}

// Products are asynchronous, which the compiler does not know.

/// Keeps the compiler from moving what reads or writes these registers across a point where wgmma is waited for.
template <int Count>
__device__ __forceinline__ void settle(float (&registers)[Count]) {
#pragma unroll
  for (int i = 0; i < Count; ++i) asm volatile("" : "+f"(registers[i])::"memory");
}

/// Has `value` computed before what follows. Without, the assembler moves a wait for wgmma up as far as it can, and nothing is
/// computed meanwhile. (The predicate is of what never is; were it true, nothing would come of it.)
__device__ __forceinline__ void compute_now(float value) {
  asm volatile("{\n.reg .pred p;\nsetp.eq.f32 p, %0, 0f7F800000;\n@p nanosleep.u32 0;\n}" ::"f"(value) : "memory");
}

/// Asynchronous, one group: scores of a side's rows and a span's positions.
template <int HeadDim>
__device__ __forceinline__ void multiply_keys(float (&scores)[score_count], const std::byte* queries, const std::byte* keys) {
  wgmma_fence();
#pragma unroll
  for (int half = 0; half < TileMemory<HeadDim>::halves; ++half) {
    const std::uint64_t a = tile_descriptor(queries + half * side_rows * row_bytes);
    const std::uint64_t b = tile_descriptor(keys + half * TileMemory<HeadDim>::half_bytes);
#pragma unroll
    for (int step = 0; step < panel_inputs / 16; ++step) {
      Wgmma<span_positions>::step(scores, a + step * descriptor_step, b + step * descriptor_step, half > 0 || step > 0);
    }
  }
  wgmma_commit();
}

/// Asynchronous, one group: a span's weighted values of 64 dimensions.
__device__ __forceinline__ void multiply_values(float (&sums)[half_count], const std::uint32_t (&weights)[score_count / 2],
                                                const std::byte* values) {
  constexpr std::uint64_t step_bytes = 16 * row_bytes;
  const std::uint64_t b = tile_descriptor(values);
  wgmma_fence();
#pragma unroll
  for (int step = 0; step < span_positions / 16; ++step) {
    WgmmaOfRegisters<panel_inputs>::step(sums, weights[4 * step], weights[4 * step + 1], weights[4 * step + 2],
                                         weights[4 * step + 3], b + step * (step_bytes >> 4), step > 0);
  }
  wgmma_commit();
}

/// Scores of positions after a row's own do not count; `room` is its own position, less that of the thread's first score.
__device__ __forceinline__ void mask(float (&scores)[score_count], const int (&room)[2]) {
#pragma unroll
  for (int at = 0; at < score_count; ++at) {
    if (at / 4 * 8 + at % 2 > room[at / 2 % 2]) scores[at] = -INFINITY;
  }
}

__device__ __forceinline__ void find_largest(const float (&scores)[score_count], float (&largest)[2]) {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    largest[i] = fmaxf(scores[2 * i], scores[2 * i + 1]);
#pragma unroll
    for (int at = 4 + 2 * i; at < score_count; at += 4) largest[i] = fmaxf(largest[i], fmaxf(scores[at], scores[at + 1]));
    largest[i] = fmaxf(largest[i], __shfl_xor_sync(0xFFFFFFFF, largest[i], 1));
    largest[i] = fmaxf(largest[i], __shfl_xor_sync(0xFFFFFFFF, largest[i], 2));
  }
}

/// Makes weights of scores. Sums them in decode's order: 32 positions are a warp's there.
__device__ __forceinline__ void weigh(float (&scores)[score_count], const float (&largest)[2], float factor, float (&sum)[2]) {
  constexpr int quarter = score_count / 4;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const float shift = largest[i] == -INFINITY ? 0.0f : largest[i] * factor;
    float quarters[4] = {0, 0, 0, 0};
#pragma unroll
    for (int tile = 0; tile < score_count; tile += 4) {
#pragma unroll
      for (int at = tile + 2 * i; at < tile + 2 * i + 2; ++at) {
        scores[at] = exp2_fast(fmaf(scores[at], factor, -shift));
        quarters[tile / quarter] += scores[at];
      }
    }
    sum[i] = (quarters[0] + quarters[1]) + (quarters[2] + quarters[3]);
    sum[i] += __shfl_xor_sync(0xFFFFFFFF, sum[i], 1);
    sum[i] += __shfl_xor_sync(0xFFFFFFFF, sum[i], 2);
  }
}

/// Rounds weights: the sums' layout is, pair by pair, that of the tile in registers which the values are multiplied by.
__device__ __forceinline__ void round_weights(const float (&scores)[score_count], std::uint32_t (&weights)[score_count / 2]) {
#pragma unroll
  for (int i = 0; i < score_count / 2; ++i) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(scores[2 * i], scores[2 * i + 1]);
    weights[i] = *reinterpret_cast<const std::uint32_t*>(&pair);
  }
}

/// The sides take turns in giving the tensor cores work, so that one computes weights while the other's products are computed.
__device__ __forceinline__ void wait_for_turn(int side) {
  asm volatile("bar.sync %0, %1;" ::"r"(4 + side), "n"(2 * warpgroup) : "memory");
}
__device__ __forceinline__ void give_turn(int side) {
  asm volatile("bar.arrive %0, %1;" ::"r"(4 + 1 - side), "n"(2 * warpgroup) : "memory");
}

/// The output of a thread's two rows, as far as they are rows.
template <int HeadDim>
__device__ __forceinline__ void write_rows(const PrefillAttention& p, const Work& work,
                                           const float (&values)[TileMemory<HeadDim>::halves][half_count],
                                           const RowState& state) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int row = work.first + static_cast<int>(threadIdx.x - warpgroup) / 32 * 16 + lane / 4 + 8 * i;
    if (row >= work.rows) continue;
    const float inverse = __frcp_rn(state.total[i]);
    const int token = work.first_row + row / work.group;
    const int column = (work.kv_head * work.group + row % work.group) * HeadDim;
#pragma unroll
    for (int half = 0; half < TileMemory<HeadDim>::halves; ++half) {
      bf16* const target = p.attended.data + p.attended.offset(token, column + half * panel_inputs) - swizzled(token, 0);
#pragma unroll
      for (int at = 2 * i; at < half_count; at += 4) {
        *reinterpret_cast<__nv_bfloat162*>(target + swizzled(token, at / 4 * 8 + lane % 4 * 2)) =
            __floats2bfloat162_rn(values[half][at] * inverse, values[half][at + 1] * inverse);
      }
    }
  }
}

/// One side: all spans for its 64 rows. The scores of a span are multiplied together with the values of the span before, and
/// its weights computed while the tensor cores are at those.
template <int HeadDim>
__device__ void attend_rows(const PrefillAttention& p, const Work& work, std::byte* all_queries, const std::byte* ring,
                            Stages<HeadDim>& barriers) {
  using Shape = TileMemory<HeadDim>;
  const int side = static_cast<int>(threadIdx.x) / warpgroup - 1;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp_row = work.first + side * side_rows + static_cast<int>(threadIdx.x) % warpgroup / 32 * 16;
  const int first_row = warp_row + lane / 4;
  std::byte* const queries = all_queries + side * Shape::side_bytes;
  load_queries<HeadDim>(p, work, work.first + side * side_rows, queries);

  const float factor = p.scale * log2_e;
  const int position[2] = {work.position(first_row), work.position(first_row + 8)};  // each row's own
  const int first_masked = (work.position(warp_row) + 1) / span_positions;  // the first span with a position not of all rows
  const int spans = work.spans();
  const auto phase = [](int span) { return static_cast<std::uint32_t>(span / Shape::stages) & 1; };
  const auto keys_of = [&](int span) { return ring + span % Shape::stages * 2 * Shape::span_bytes; };
  const auto values_of = [&](int span) { return keys_of(span) + Shape::span_bytes; };
  const auto release = [&](int values, int span) {
    if (lane == 0) barriers.empty[values][span % Shape::stages].arrive();
  };

  float scores[score_count];
  std::uint32_t weights[score_count / 2];
  float sums[half_count];
  float values[Shape::halves][half_count] = {};
  RowState rows;
  float largest[2];
  float total[2];
  const auto end_scores = [&](int span) {
    settle(scores);
    release(0, span);
    if (span >= first_masked) {
      const int before = span * span_positions + lane % 4 * 2;
      const int room[2] = {position[0] - before, position[1] - before};
      mask(scores, room);
    }
    find_largest(scores, largest);
  };
  const auto end_half = [&](int half) {
    wgmma_wait<0>();
    settle(sums);
    rows.fold(values[half], sums);
  };

  if (side == 1) give_turn(1);
  barriers.full[0][0].wait(0);
  wait_for_turn(side);
  multiply_keys<HeadDim>(scores, queries, keys_of(0));
  if (side == 0 || spans > 1) give_turn(side);
  wgmma_wait<0>();
  end_scores(0);
  weigh(scores, largest, factor, total);
  rows.add_span(largest, total, factor);
  round_weights(scores, weights);
  for (int span = 1; span < spans; ++span) {
    barriers.full[1][(span - 1) % Shape::stages].wait(phase(span - 1));
    barriers.full[0][span % Shape::stages].wait(phase(span));
    wait_for_turn(side);
    multiply_keys<HeadDim>(scores, queries, keys_of(span));
    multiply_values(sums, weights, values_of(span - 1));
    if (side == 0 || span + 1 < spans) give_turn(side);
    wgmma_wait<1>();
    end_scores(span);
    weigh(scores, largest, factor, total);
    compute_now(total[0] + total[1]);
    end_half(0);
    if constexpr (Shape::halves == 2) {
      multiply_values(sums, weights, values_of(span - 1) + Shape::half_bytes);
      end_half(1);
    }
    release(1, span - 1);
    rows.add_span(largest, total, factor);
    round_weights(scores, weights);
  }
  barriers.full[1][(spans - 1) % Shape::stages].wait(phase(spans - 1));
#pragma unroll
  for (int half = 0; half < Shape::halves; ++half) {
    multiply_values(sums, weights, values_of(spans - 1) + half * Shape::half_bytes);
    end_half(half);
  }

  write_rows<HeadDim>(p, work_of(p), values, rows);  // work anew, so that it takes no registers meanwhile
}

template <int HeadDim>
__global__ void __launch_bounds__(TileMemory<HeadDim>::threads, 1) attend_tile(const PrefillAttention p) {
  using Shape = TileMemory<HeadDim>;
  extern __shared__ std::byte unaligned[];
  __shared__ Stages<HeadDim> barriers;
  std::byte* const queries = unaligned + (1024 - shared_address(unaligned) % 1024) % 1024;
  std::byte* const ring = queries + 2 * Shape::side_bytes;
  if (threadIdx.x == 0) {
    for (int values = 0; values < 2; ++values) {
      for (int stage = 0; stage < Shape::stages; ++stage) {
        barriers.full[values][stage].init(1);
        barriers.empty[values][stage].init(2 * warpgroup / 32);
      }
    }
    fence_barrier_init();
  }
  __syncthreads();
  let_next_begin();
  wait_for_previous();
  const Work work = work_of(p);
  if (threadIdx.x < warpgroup) {
    give_registers<24>();
    if (threadIdx.x < 32) stream_spans<HeadDim>(p, work, ring, barriers);
  } else {
    take_registers<240>();
    attend_rows<HeadDim>(p, work, queries, ring, barriers);
  }
}

template <int HeadDim>
cudaError_t launch_tiles(cudaStream_t stream, const PrefillAttention& p) {
  const LaunchShape shape{dim3(static_cast<unsigned>(p.kv.kv_heads), static_cast<unsigned>(p.tile_count)),
                          TileMemory<HeadDim>::threads, TileMemory<HeadDim>::shared_bytes, 1};
  return launch(stream, shape, attend_tile<HeadDim>, p);
}

}  // namespace

std::vector<PrefillTile> prefill_tiles(std::span<const PrefillSequence> sequences, int group) {
  std::vector<PrefillTile> tiles;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    for (int first = 0; first < sequences[i].rows * group; first += prefill_tile_rows)
      tiles.push_back({static_cast<std::int32_t>(i), first});
  }
  const auto position = [&](const PrefillTile& tile) { return sequences[tile.sequence].first_position + tile.first / group; };
  std::ranges::stable_sort(tiles, [&](const auto& a, const auto& b) { return position(a) > position(b); });
  return tiles;
}

cudaError_t prefill_attention(cudaStream_t stream, const PrefillAttention& arguments) {
  if (arguments.tile_count == 0) return cudaSuccess;
  if (arguments.kv.kv_heads <= 0 || arguments.heads % arguments.kv.kv_heads != 0) return cudaErrorInvalidValue;
  if (arguments.kv.head_dim == 64) return launch_tiles<64>(stream, arguments);
  if (arguments.kv.head_dim == 128) return launch_tiles<128>(stream, arguments);
  return cudaErrorInvalidValue;
}

}  // namespace troupe::kernels::cuda
