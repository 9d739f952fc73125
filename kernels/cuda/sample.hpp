// Which tokens follow the rows of a batch, chosen on the GPU: what log_sum_exp and model::sample do on a CPU, in one kernel
// whose results the next step's embedding can read.
//
// The choice is model::sample's (model/sampler.hpp says what it is), bit for bit: weights are the same integers, since exp is
// the same sequence of operations, and sums of integers have no order. Only the log-sum-exp is this class's own:
//   log_sum_exp = max + log(sum / 2^44), each exp(x - max) cut to an integer in units of 2^-44 before it is added,
// which again has no order, and is within 2^-26 of the sum of the uncut ones, relative to it.
//
// A cluster of 7, 8 or 16 blocks has a row, and keeps it in shared memory: the logits are read from memory once. What a rank
// decides (top_k, top_p, the most likely tokens) is found without sorting:
// - top_p of the whole vocabulary by one histogram of weights over (best logit - logit), as a rule: all blocks take the tokens
//   of the bin in which the nucleus ends, up to 2048, and find its last one (sample_nucleus.cuh).
// - What ranks by number, and top_p of what top_k keeps, by a histogram of counts that says down to where it may be decided; if
//   at most 2048 tokens are not below, the first block lists them and does the rest alone, else all blocks go on together.
//   Either way the last token that stays is narrowed down by histograms of 256 bins, over the distance to the best logit and
//   then over the bits of the logits, three of them in all as a rule (sample_rank.cuh).
// Neither the other rows nor the number of blocks can show in a row's result.
#pragma once

#include <cstdint>

#include <cuda_runtime.h>

#include "kernels/cuda/sample_rows.hpp"

namespace troupe::kernels::cuda {

/// Everything is device memory.
struct Sample {
  const float* logits = nullptr;  ///< [rows, logits_stride]; read fastest if 16-byte aligned, with a stride of whole fours
  std::int64_t logits_stride = 0;
  std::int32_t rows = 0;
  std::int32_t vocabulary = 0;              ///< at most `sampled_vocabulary_max`
  const RowSampling* parameters = nullptr;  ///< [rows]
  SampledRow* results = nullptr;            ///< [rows]
  std::int32_t* tokens = nullptr;           ///< [rows], or null: the chosen tokens once more
  std::int32_t blocks_per_row = 0;          ///< 7, 8 or 16; 0: what is fastest for so many rows
};

/// Begins on the stream, and can be captured in a graph. `cudaErrorInvalidValue` for arguments that make no sense.
cudaError_t sample(cudaStream_t stream, const Sample& arguments);

}  // namespace troupe::kernels::cuda
