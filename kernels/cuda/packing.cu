#include "kernels/cuda/packing.hpp"

#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/ptx.cuh"
#include "kernels/random_words.hpp"

namespace troupe::kernels::cuda {

namespace {

constexpr int threads = 256;
constexpr int piece = 8;  ///< elements that lie together whatever the swizzle

/// A thread a piece.
__global__ void __launch_bounds__(threads) pack_pieces(const PackTiles p) {
  let_next_begin();
  wait_for_previous();
  const std::size_t pieces_of_row = static_cast<std::size_t>(p.matrix.inputs / piece);
  const std::size_t index = static_cast<std::size_t>(blockIdx.x) * threads + threadIdx.x;
  if (index >= pieces_of_row * static_cast<std::size_t>(p.count)) return;
  const int row = static_cast<int>(index / pieces_of_row);
  const int input = static_cast<int>(index % pieces_of_row) * piece;
  const int output = stored_output(p.first_output + row, p.matrix.outputs, p.alternation);
  *reinterpret_cast<uint4*>(p.target + p.matrix.offset(output, input)) = reinterpret_cast<const uint4*>(p.rows)[index];
}

__global__ void __launch_bounds__(threads) fill_pieces(const FillTiles p) {
  let_next_begin();
  wait_for_previous();
  const std::size_t pieces_of_row = static_cast<std::size_t>(p.matrix.inputs / piece);
  const std::size_t index = static_cast<std::size_t>(blockIdx.x) * threads + threadIdx.x;
  if (index >= pieces_of_row * static_cast<std::size_t>(p.matrix.outputs)) return;
  const int output = static_cast<int>(index / pieces_of_row);
  const int input = static_cast<int>(index % pieces_of_row) * piece;
  alignas(16) bf16 values[piece];
#pragma unroll
  for (int i = 0; i < piece; ++i) values[i] = p.table[random_index(p.key, output, input + i, p.matrix.inputs)];
  const int stored = stored_output(output, p.matrix.outputs, p.alternation);
  *reinterpret_cast<uint4*>(p.target + p.matrix.offset(stored, input)) = *reinterpret_cast<const uint4*>(values);
}

dim3 blocks_for(const WeightTiles& matrix, std::int32_t rows) {
  const std::size_t pieces = static_cast<std::size_t>(matrix.inputs / piece) * static_cast<std::size_t>(rows);
  return dim3(static_cast<unsigned>((pieces + threads - 1) / threads));
}

}  // namespace

cudaError_t pack_tiles(cudaStream_t stream, const PackTiles& arguments) {
  if (arguments.matrix.inputs % piece != 0) return cudaErrorInvalidValue;
  return launch(stream, {blocks_for(arguments.matrix, arguments.count), threads}, pack_pieces, arguments);
}

cudaError_t fill_tiles(cudaStream_t stream, const FillTiles& arguments) {
  if (arguments.matrix.inputs % piece != 0) return cudaErrorInvalidValue;
  return launch(stream, {blocks_for(arguments.matrix, arguments.matrix.outputs), threads}, fill_pieces, arguments);
}

}  // namespace troupe::kernels::cuda
