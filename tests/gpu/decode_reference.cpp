#include "tests/gpu/decode_reference.hpp"

#include <algorithm>
#include <cmath>

namespace troupe::kernels::cuda {

namespace {

using Numbers = std::vector<double>;

std::size_t size_of(int value) { return static_cast<std::size_t>(value); }

/// [outputs, inputs]
Numbers numbers_of(const Matrix& matrix) {
  const auto tiles = matrix.memory.read();
  Numbers numbers;
  for (int output = 0; output < matrix.weights.outputs; ++output)
    for (int input = 0; input < matrix.weights.inputs; ++input)
      numbers.push_back(__bfloat162float(tiles[matrix.weights.offset(output, input)]));
  return numbers;
}
Numbers numbers_of(const DeviceArray<float>& array) {
  const auto floats = array.read();
  return {floats.begin(), floats.end()};
}
Numbers numbers_of(const std::optional<DeviceArray<float>>& array) { return array ? numbers_of(*array) : Numbers(); }

Numbers product_of(const Numbers& matrix, const Numbers& x) {
  Numbers output(matrix.size() / x.size());
  for (std::size_t i = 0; i < output.size(); ++i)
    for (std::size_t j = 0; j < x.size(); ++j) output[i] += matrix[i * x.size() + j] * x[j];
  return output;
}

void add(Numbers& x, const Numbers& other) {
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += other[i];
}

/// Softmax of a query's scores, applied to the values: `keys` and `values` are a KV head's, `stride` apart.
void attend_head(const double* query, const double* keys, const double* values, std::size_t positions, std::size_t stride,
                 std::size_t head_dim, double scale, double* output) {
  Numbers weights(positions);
  for (std::size_t p = 0; p < positions; ++p) {
    for (std::size_t i = 0; i < head_dim; ++i) weights[p] += query[i] * keys[p * stride + i];
    weights[p] *= scale;
  }
  const double largest = *std::max_element(weights.begin(), weights.end());
  double sum = 0;
  for (double& weight : weights) sum += weight = std::exp(weight - largest);
  for (std::size_t i = 0; i < head_dim; ++i) {
    output[i] = 0;
    for (std::size_t p = 0; p < positions; ++p) output[i] += weights[p] / sum * values[p * stride + i];
  }
}

}  // namespace

DecodeReference::DecodeReference(const DecodeModel& model)
    : shape_(model.shape()),
      output_projection_(numbers_of(model.output_projection())),
      final_norm_(numbers_of(model.final_norm())) {
  embedding_ = numbers_of(model.embedding());
  for (const LayerWeights& layer : model.layers()) {
    layers_.push_back({numbers_of(layer.qkv),
                       numbers_of(layer.attention_output),
                       numbers_of(layer.gate_up),
                       numbers_of(layer.down),
                       numbers_of(layer.attention_norm),
                       numbers_of(layer.feed_forward_norm),
                       numbers_of(layer.query_norm),
                       numbers_of(layer.key_norm),
                       {},
                       {}});
  }
}

Numbers DecodeReference::normed(const double* x, std::size_t width, const Numbers& weights) const {
  double squares = 0;
  for (std::size_t i = 0; i < width; ++i) squares += x[i] * x[i];
  const double scale = 1 / std::sqrt(squares / static_cast<double>(width) + static_cast<double>(shape_.epsilon));
  Numbers output(width);
  for (std::size_t i = 0; i < width; ++i) output[i] = x[i] * scale * weights[i];
  return output;
}

void DecodeReference::rotate(double* head, const Numbers& norm) const {
  const std::size_t half = size_of(shape_.head_dim / 2);
  Numbers x(head, head + 2 * half);
  if (!norm.empty()) x = normed(head, 2 * half, norm);
  for (std::size_t i = 0; i < half; ++i) {
    const double angle = rope_angle(position_, static_cast<int>(i), shape_.head_dim);
    head[i] = x[i] * std::cos(angle) - x[i + half] * std::sin(angle);
    head[i + half] = x[i + half] * std::cos(angle) + x[i] * std::sin(angle);
  }
}

Numbers DecodeReference::attend(Layer& layer, const Numbers& x) const {
  const std::size_t head_dim = size_of(shape_.head_dim);
  const std::size_t heads = size_of(shape_.heads);
  const std::size_t kv_heads = size_of(shape_.kv_heads);
  const std::size_t kv_width = kv_heads * head_dim;
  Numbers qkv = product_of(layer.qkv, normed(x.data(), x.size(), layer.attention_norm));
  for (std::size_t head = 0; head < heads; ++head) rotate(&qkv[head * head_dim], layer.query_norm);
  for (std::size_t head = 0; head < kv_heads; ++head) rotate(&qkv[(heads + head) * head_dim], layer.key_norm);
  const auto keys = qkv.begin() + static_cast<std::ptrdiff_t>(heads * head_dim);
  const auto values = keys + static_cast<std::ptrdiff_t>(kv_width);
  layer.keys.insert(layer.keys.end(), keys, values);
  layer.values.insert(layer.values.end(), values, qkv.end());
  Numbers attended(heads * head_dim);
  for (std::size_t head = 0; head < heads; ++head) {
    const std::size_t kv_head = head / (heads / kv_heads) * head_dim;
    attend_head(&qkv[head * head_dim], &layer.keys[kv_head], &layer.values[kv_head], size_of(position_) + 1, kv_width, head_dim,
                static_cast<double>(shape_.scale), &attended[head * head_dim]);
  }
  return product_of(layer.attention_output, attended);
}

Numbers DecodeReference::feed_forward(const Layer& layer, const Numbers& x) const {
  const Numbers gates_and_ups = product_of(layer.gate_up, normed(x.data(), x.size(), layer.feed_forward_norm));
  Numbers gated(size_of(shape_.intermediate));
  for (int i = 0; i < shape_.intermediate; ++i) {
    const double gate = gates_and_ups[size_of(gate_place(i).gate)];
    gated[size_of(i)] = gate / (1 + std::exp(-gate)) * gates_and_ups[size_of(gate_place(i).up)];
  }
  return product_of(layer.down, gated);
}

Numbers DecodeReference::next(int token) {
  const auto row = embedding_.begin() + static_cast<std::ptrdiff_t>(token) * shape_.hidden;
  Numbers x(row, row + shape_.hidden);
  for (Layer& layer : layers_) {
    add(x, attend(layer, x));
    add(x, feed_forward(layer, x));
  }
  ++position_;
  return product_of(output_projection_, normed(x.data(), x.size(), final_norm_));
}

}  // namespace troupe::kernels::cuda
