// Causal attention over paged keys and values, for prefill, chunked prefill and decode alike, in a form whose order depends
// on positions only (the span form of FlashAttention's online softmax: Dao et al., 2022; Milakov and Gimelshein, 2018).
//
// A query at position p visits the keys 0..p in spans of `attention_span` positions counted from position 0; the last span
// ends at p. In a span, with s[j] = dot(q, k[j]) * scale:
//   m = max s[j];  w[j] = exp(s[j] - m);  l = sum of w[j];  o[d] = sum over ascending j of w[j] v[j, d] (fused, from zero)
// dot: sixteen lanes over d (lane i takes d = i, i + 16, ... as fused multiply-adds from zero) and rms_norm's tree.
// l: sixteen lanes over positions (lane j % 16, from zero) and the same tree.
// Spans merge in ascending order into (M, L, O), which start as the first span's:
//   n = max(M, m);  a = exp(M - n);  b = exp(m - n);  L = fma(L, a, l * b);  O[d] = fma(O[d], a, o[d] * b);  M = n
// and the output is O[d] / L. Nothing here depends on which rows share a batch, or on where a chunk begins; nothing of a
// position after p is used, whatever the rest of its block holds.
// Floor: a row far into a long context reads its keys and values once, 8 x head_dim x kv_heads bytes a position.
#pragma once

#include <span>

#include "kernels/device.hpp"
#include "kernels/kv_layout.hpp"

namespace troupe::kernels {

inline constexpr int attention_span = 256;
inline constexpr int attention_head_dim_max = 256;

struct Attention {
  const float* query = nullptr;  ///< row r at query + r * query_stride: [heads, head_dim]
  float* output = nullptr;       ///< [rows, heads, head_dim]
  const float* pool = nullptr;   ///< KV blocks; those of the rows' own positions are already written
  KvLayout layout;               ///< head_dim: a multiple of 16, at most attention_head_dim_max
  std::span<const SequenceRows> sequences;
  std::int32_t query_stride = 0;  ///< in floats
  std::int32_t layer = 0;
  std::int32_t heads = 0;  ///< a multiple of layout.kv_heads; head h reads kv head h / (heads / kv_heads)
  float scale = 0;
};

void attention(Stream& stream, const Attention& arguments);

}  // namespace troupe::kernels
