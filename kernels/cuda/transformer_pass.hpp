// What a transformer keeps of its passes, for transformer.cpp and transformer_launch.cpp alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/pass_graphs.hpp"
#include "kernels/cuda/transformer.hpp"
#include "kernels/cuda/transformer_memory.hpp"

namespace troupe::kernels::cuda {

inline const __nv_bfloat16* data_of(const PackedMatrix& matrix) { return reinterpret_cast<const __nv_bfloat16*>(matrix.data); }

struct Transformer::Buffers : TransformerMemory {
  using TransformerMemory::TransformerMemory;
};
struct Transformer::Graphs : PassGraphs {};

/// What the host and the GPU tell each other about one pass. The host's side is page-locked.
struct Transformer::Pass {
  /// Where each array of a batch lies, on both sides; a function of the number of rows' class alone, so that a graph can be
  /// used for many batches.
  struct Layout {
    std::size_t tokens = 0;
    std::size_t positions = 0;
    std::size_t row_sequences = 0;
    std::size_t spans_before = 0;
    std::size_t sequences = 0;
    std::size_t single_rows = 0;
    std::size_t logit_rows = 0;
    std::size_t samples = 0;
    std::size_t tiles = 0;
    std::size_t bytes = 0;  ///< to where tiles begin
    Layout(std::int32_t rows, std::int32_t sequences_max) {
      const auto place = [this](std::size_t& offset, std::int32_t count, std::size_t size) {
        offset = bytes;
        bytes += (static_cast<std::size_t>(count) * size + 15) / 16 * 16;
      };
      place(tokens, rows, sizeof(std::int32_t));
      place(positions, rows, sizeof(std::int32_t));
      place(row_sequences, rows, sizeof(std::int32_t));
      place(spans_before, rows + 1, sizeof(std::int32_t));
      place(sequences, sequences_max, sizeof(PrefillSequence));
      place(single_rows, sequences_max, sizeof(DecodeRow));
      place(logit_rows, sequences_max, sizeof(std::int32_t));
      place(samples, sequences_max, sizeof(RowSampling));
      tiles = bytes;
    }
  };

  Memory host;
  Memory device;
  Memory host_blocks;  ///< [sequences, as many as this batch needs]
  Memory blocks;       ///< [sequences, blocks_stride]
  Memory results;
  Memory host_results;
  Memory chosen;
  Memory logits;  ///< only once somebody wants some
  Memory report;  ///< a PassReport
  std::uint32_t begun_count = 0;
  std::int32_t logit_rows = 0;
  bool under_way = false;
};

}  // namespace troupe::kernels::cuda
