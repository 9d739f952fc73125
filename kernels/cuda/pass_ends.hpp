// How a pass begins and ends on the stream, without the copy engines and the host in between: kernels that may overlap with
// the others (programmatic dependent launch) read the batch's description from page-locked memory and write the results there.
// So one stream is all there is to wait for, and the next pass's first kernels are there before the one before has ended.
#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_runtime.h>

#include "kernels/cuda/sample_rows.hpp"

namespace troupe::kernels::cuda {

/// What the GPU tells the host of a pass; page-locked memory.
struct PassReport {
  std::uint64_t begun = 0;  ///< nanoseconds of the GPU's clock: what was before on the stream had ended
  std::uint64_t ended = 0;
  std::uint32_t ended_count = 0;  ///< written last: how many of the passes with this report have ended
};

/// Brings what the host has written for a pass, also while the pass before computes: nothing that is computed then may read
/// `to` or `blocks`.
struct PassBegin {
  const std::byte* from = nullptr;           ///< page-locked, like all that is read here
  std::byte* to = nullptr;                   ///< device memory, both aligned to 16 bytes
  std::size_t bytes = 0;                     ///< a multiple of 16
  const std::int32_t* all_blocks = nullptr;  ///< [sequences, blocks_each]
  std::int32_t* blocks = nullptr;            ///< [sequences, blocks_stride]
  std::int32_t sequences = 0;
  std::int32_t blocks_each = 0;
  std::int32_t blocks_stride = 0;
  PassReport* report = nullptr;
};
cudaError_t begin_pass(cudaStream_t stream, const PassBegin& arguments);

/// Takes what was chosen to the host, and says that the pass has ended.
struct PassEnd {
  const SampledRow* from = nullptr;
  SampledRow* to = nullptr;  ///< page-locked
  std::int32_t rows = 0;
  PassReport* report = nullptr;
  std::uint32_t count = 0;  ///< what the report will say; the host counts along
};
cudaError_t end_pass(cudaStream_t stream, const PassEnd& arguments);

}  // namespace troupe::kernels::cuda
