// output[row, :] = table[token of row, :], widened exactly. The table is packed, since a model with tied embeddings
// multiplies by it as well; a token's elements lie in lines of their own there, so a row reads dim x 64 bytes.
#pragma once

#include "kernels/device.hpp"
#include "kernels/packed_matrix.hpp"

namespace troupe::kernels {

struct Embedding {
  PackedMatrix table;                    ///< outputs: vocabulary; inputs: dim
  const std::int32_t* tokens = nullptr;  ///< [rows], host memory, each in [0, vocabulary)
  float* output = nullptr;               ///< [rows, dim]
  std::int32_t rows = 0;
};

void embedding(Stream& stream, const Embedding& arguments);

}  // namespace troupe::kernels
