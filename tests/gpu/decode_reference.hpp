// The model of decode_model.hpp in double, one token after another of one sequence: plain loops, nothing shared with the
// kernel.
#pragma once

#include "tests/gpu/decode_model.hpp"

namespace troupe::kernels::cuda {

class DecodeReference {
 public:
  /// Reads the weights back from the device.
  explicit DecodeReference(const DecodeModel& model);
  /// The logits after the sequence's next token.
  std::vector<double> next(int token);

 private:
  using Numbers = std::vector<double>;
  struct Layer {
    Numbers qkv, attention_output, gate_up, down;
    Numbers attention_norm, feed_forward_norm, query_norm, key_norm;
    Numbers keys, values;  ///< [position, kv_heads * head_dim]
  };

  Numbers normed(const double* x, std::size_t width, const Numbers& weights) const;
  void rotate(double* head, const Numbers& norm) const;
  Numbers attend(Layer& layer, const Numbers& x) const;
  Numbers feed_forward(const Layer& layer, const Numbers& x) const;

  DecodeShape shape_;
  std::vector<Layer> layers_;
  Numbers embedding_;
  Numbers output_projection_;
  Numbers final_norm_;
  int position_ = 0;
};

}  // namespace troupe::kernels::cuda
