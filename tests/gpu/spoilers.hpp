// Kernels that do the harm of broken_launchers.hpp, each to as little as would be noticed: a last bit, or one position.
#pragma once

#include <cstdint>

#include "kernels/cuda/decode_attention.hpp"
#include "kernels/cuda/prefill_attention.hpp"
#include "kernels/cuda/rows.hpp"
#include "kernels/cuda/sample_rows.hpp"

namespace troupe::kernels::cuda {

/// The last bit of one number in each of [rows, stride], of which `width` numbers count.
cudaError_t spoil_rows(cudaStream_t stream, float* numbers, int rows, int stride, int width);

/// The last bit of one number of each listed row that sees more than one span.
cudaError_t spoil_merged_rows(cudaStream_t stream, const DecodeAttention& attention);

/// The last bit of one number of each tile whose chunk does not begin where a span does.
cudaError_t spoil_chunks(cudaStream_t stream, const PrefillAttention& attention);

/// Rows that begin a block, from the ninth sequence on, get the keys of the position before for their own.
cudaError_t repeat_keys(cudaStream_t stream, const RotateAppend& arguments);

/// The next `shift_positions` moves each row's position by one, if a token of the batch is one that was just chosen.
cudaError_t note_chosen(cudaStream_t stream, const std::int32_t* tokens, int rows);
cudaError_t shift_positions(cudaStream_t stream, const RowSampling* rows, int count);

}  // namespace troupe::kernels::cuda
