#include "tests/gpu/spoilers.hpp"

namespace troupe::kernels::cuda {

namespace {

constexpr int threads = 128;
constexpr int span_positions = 128;
constexpr int sequences_spared = 8;

__device__ int ran_ahead = 0;

__device__ int thread_of_grid() { return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); }

__device__ void flip_last_bit(bf16& number) { reinterpret_cast<unsigned short&>(number) ^= 1U; }

/// Calls `spoil(i)` for each i below count, after everything that was launched before.
template <class Spoil>
__global__ void each(int count, Spoil spoil) {
  if (const int i = thread_of_grid(); i < count) spoil(i);
}
template <class Spoil>
cudaError_t for_each(cudaStream_t stream, int count, const Spoil& spoil) {
  if (count > 0) each<<<divided_up(count, threads), threads, 0, stream>>>(count, spoil);
  return cudaGetLastError();
}

struct FlipOfRow {
  float* numbers;
  int stride;
  int width;
  __device__ void operator()(int row) const {
    reinterpret_cast<std::uint32_t&>(numbers[static_cast<std::size_t>(row) * stride + row * 7 % width]) ^= 1U;
  }
};

struct FlipMerged {
  DecodeAttention attention;
  __device__ void operator()(int i) const {
    const DecodeRow& row = attention.rows[i];
    if (row.position < span_positions) return;
    flip_last_bit(attention.attended.data[attention.attended.offset(row.row, i % attention.attended.inputs)]);
  }
};

struct FlipOfChunk {
  PrefillAttention attention;
  __device__ void operator()(int i) const {
    const PrefillTile& tile = attention.tiles[i];
    const PrefillSequence& sequence = attention.sequences[tile.sequence];
    if (sequence.first_position % span_positions == 0) return;
    const int row = sequence.first_row + tile.first / (attention.heads / attention.kv.kv_heads);
    flip_last_bit(attention.attended.data[attention.attended.offset(row, i % attention.attended.inputs)]);
  }
};

struct RepeatKeys {
  RotateAppend arguments;
  __device__ void operator()(int row) const {
    const int position = arguments.positions[row];
    const int sequence = arguments.sequences[row];
    if (sequence < sequences_spared || position == 0 || position % kv_block_positions != 0) return;
    const std::int32_t* const blocks = arguments.blocks + static_cast<std::size_t>(sequence) * arguments.blocks_stride;
    const int block = position / kv_block_positions;
    for (int head = 0; head < arguments.kv.kv_heads; ++head) {
      bf16* const own = arguments.kv.head(blocks[block], arguments.layer, 0, head);
      const bf16* const before = arguments.kv.head(blocks[block - 1], arguments.layer, 0, head);
      for (int dim = 0; dim < arguments.kv.head_dim; ++dim)
        own[KvTiles::place(position, dim)] = before[KvTiles::place(position - 1, dim)];
    }
  }
};

struct NoteChosen {
  const std::int32_t* tokens;
  __device__ void operator()(int row) const {
    if (tokens[row] < 0) ran_ahead = 1;
  }
};

struct ShiftPosition {
  RowSampling* rows;
  __device__ void operator()(int row) const { rows[row].position += ran_ahead; }
};
struct Forget {
  __device__ void operator()(int /*one*/) const { ran_ahead = 0; }
};

}  // namespace

cudaError_t spoil_rows(cudaStream_t stream, float* numbers, int rows, int stride, int width) {
  return for_each(stream, rows, FlipOfRow{numbers, stride, width});
}

cudaError_t spoil_merged_rows(cudaStream_t stream, const DecodeAttention& attention) {
  return for_each(stream, attention.row_count, FlipMerged{attention});
}

cudaError_t spoil_chunks(cudaStream_t stream, const PrefillAttention& attention) {
  return for_each(stream, attention.tile_count, FlipOfChunk{attention});
}

cudaError_t repeat_keys(cudaStream_t stream, const RotateAppend& arguments) {
  return for_each(stream, arguments.rows, RepeatKeys{arguments});
}

cudaError_t note_chosen(cudaStream_t stream, const std::int32_t* tokens, int rows) {
  return for_each(stream, rows, NoteChosen{tokens});
}

cudaError_t shift_positions(cudaStream_t stream, const RowSampling* rows, int count) {
  // A pass's own memory, which the host writes before each of its batches.
  const cudaError_t shifted = for_each(stream, count, ShiftPosition{const_cast<RowSampling*>(rows)});
  return shifted != cudaSuccess ? shifted : for_each(stream, 1, Forget{});
}

}  // namespace troupe::kernels::cuda
