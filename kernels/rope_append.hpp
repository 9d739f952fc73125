// What happens between the QKV product and attention: the optional norm of each query and key head (Qwen3), the rotation by
// position (Su et al., "RoFormer", 2021; halves form: element i pairs with i + dim / 2), and writing keys and values into
// their blocks.
//
//   (a, b) = (x[i], x[i + dim / 2]);  x[i] = a cos - b sin;  x[i + dim / 2] = b cos + a sin
//   computed as fma(a, cos, -(b * sin)) and fma(b, cos, a * sin); the norm is rms_norm's over one head.
// Rows are independent, and each element is computed alone, so nothing depends on the batch.
#pragma once

#include <span>

#include "kernels/device.hpp"
#include "kernels/kv_layout.hpp"

namespace troupe::kernels {

struct RopeAppend {
  float* qkv =
      nullptr;  ///< [rows, (heads + 2 kv_heads) * head_dim]: queries (rotated in place), keys (left unspecified), values
  const float* query_norm = nullptr;  ///< [head_dim] or null
  const float* key_norm = nullptr;    ///< [head_dim] or null
  const float* cosine = nullptr;      ///< [positions, head_dim / 2], row p for position p
  const float* sine = nullptr;        ///< [positions, head_dim / 2]
  float* pool = nullptr;              ///< KV blocks, block b at pool + b * layout.block_elements()
  KvLayout layout;                    ///< head_dim: a multiple of 16
  std::span<const SequenceRows> sequences;
  std::int32_t layer = 0;
  std::int32_t heads = 0;
  float epsilon = 0;
};

void rope_append(Stream& stream, const RopeAppend& arguments);

}  // namespace troupe::kernels
