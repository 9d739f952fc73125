#include "tests/gpu/moe_model.hpp"

#include <cmath>

namespace troupe::kernels::cuda {

namespace {

std::size_t product_of(int left, int right) { return static_cast<std::size_t>(left) * static_cast<std::size_t>(right); }

/// Numbers that look random and are the same each time.
std::vector<float> noise_of(std::size_t count, std::uint32_t seed) {
  std::vector<float> numbers(count);
  for (std::size_t i = 0; i < count; ++i) numbers[i] = noise(i, seed);
  return numbers;
}

}  // namespace

MoeLayer::MoeLayer(const MoeShape& shape)
    : shape_(shape),
      gate_up_(shape.gate_up(nullptr, 0).elements() * static_cast<std::size_t>(shape.experts)),
      down_(shape.down(nullptr, 0).elements() * static_cast<std::size_t>(shape.experts)),
      next_norm_(noise_of(static_cast<std::size_t>(shape.hidden), 77)) {
  for (int expert = 0; expert < shape.experts; ++expert) {
    const auto seed = static_cast<std::uint32_t>(1000 + 2 * expert);
    fill_noise(gate_up(expert), gate_up_.data() + gate_up(expert).elements() * static_cast<std::size_t>(expert), seed, 0.05f);
    fill_noise(down(expert), down_.data() + down(expert).elements() * static_cast<std::size_t>(expert), seed + 1, 0.05f);
  }
  next_norm_memory_ = DeviceArray<float>(next_norm_);
}

MoeRows random_moe_rows(const MoeShape& shape, int count, std::uint32_t seed) {
  MoeRows rows{count, shape.experts, shape.hidden, {}, {}, {}, {}};
  rows.logits = noise_of(product_of(count, shape.experts), seed);
  for (float& logit : rows.logits) logit = std::round(logit * 32) / 8;
  rows.x = noise_of(product_of(count, shape.hidden), seed + 1);
  for (const float number : noise_of(product_of(count, shape.hidden), seed + 2)) rows.input.push_back(__float2bfloat16(number));
  rows.scales = noise_of(static_cast<std::size_t>(count), seed + 3);
  for (float& scale : rows.scales) scale += 1.5f;
  return rows;
}

MoeBatch::MoeBatch(const MoeLayer& layer, int rows_max)
    : layer_(layer),
      memory_(moe_buffers(layer.shape(), rows_max, nullptr).bytes),
      buffers_(moe_buffers(layer.shape(), rows_max, memory_.data())),
      logits_(product_of(rows_max, layer.shape().experts)),
      scales_(static_cast<std::size_t>(rows_max)),
      x_(product_of(rows_max, layer.shape().hidden)),
      squares_(product_of(divided_up(rows_max, 8) * 8, layer.shape().hidden / 16)),
      input_(rows_max, layer.shape().hidden),
      normed_(rows_max, layer.shape().hidden) {}

void MoeBatch::set(const MoeRows& rows, const std::vector<int>& order) {
  const auto experts = static_cast<std::size_t>(rows.experts);
  const auto hidden = static_cast<std::size_t>(rows.hidden);
  std::vector<float> logits;
  std::vector<float> x;
  std::vector<float> scales;
  std::vector<bf16> input(input_.tiles.elements(), __float2bfloat16(0.0f));
  for (const int row : order) {
    const auto at = static_cast<std::size_t>(row);
    const auto from = [&](const std::vector<float>& all, std::size_t width, std::vector<float>& to) {
      to.insert(to.end(), all.begin() + static_cast<std::ptrdiff_t>(at * width),
                all.begin() + static_cast<std::ptrdiff_t>((at + 1) * width));
    };
    for (int i = 0; i < rows.hidden; ++i)
      input[input_.tiles.offset(static_cast<int>(scales.size()), i)] = rows.input[at * hidden + static_cast<std::size_t>(i)];
    from(rows.logits, experts, logits);
    from(rows.x, hidden, x);
    from(rows.scales, 1, scales);
  }
  logits_.write(logits);
  x_.write(x);
  scales_.write(scales);
  input_.memory.write(input);
  rows_ = static_cast<int>(order.size());
}

void MoeBatch::begin(cudaStream_t stream, const float* logits) const {
  Moe arguments;
  arguments.shape = layer_.shape();
  arguments.gate_up = layer_.all_gate_up();
  arguments.down = layer_.all_down();
  arguments.rows = rows_;
  arguments.logits = logits;
  arguments.input = input_.tiles;
  arguments.row_scales = scales_.data();
  arguments.residual = {x_.data(), layer_.next_norm_data(), normed_.tiles, squares_.data(), layer_.shape().hidden};
  arguments.buffers = buffers_;
  check_cuda(moe(stream, arguments));
}

std::vector<std::int32_t> MoeBatch::experts() const {
  std::vector<std::int32_t> experts(product_of(rows_, layer_.shape().chosen));
  check_cuda(cudaDeviceSynchronize());
  check_cuda(cudaMemcpy(experts.data(), buffers_.expert, experts.size() * sizeof(std::int32_t), cudaMemcpyDeviceToHost));
  return experts;
}

MoeResult MoeBatch::run(const MoeRows& rows, const std::vector<int>& order) {
  set(rows, order);
  const MoeShape& shape = layer_.shape();
  const std::size_t slots = product_of(rows_, shape.chosen);
  const std::size_t answers = slots * static_cast<std::size_t>(shape.hidden);
  check_cuda(cudaMemset(buffers_.expert, 0xFF, slots * sizeof(std::int32_t)));
  check_cuda(cudaMemset(buffers_.weight, 0xFF, slots * sizeof(float)));
  check_cuda(cudaMemset(buffers_.outputs, 0xFF, answers * sizeof(float)));
  squares_.fill_bytes(0xFF);
  normed_.memory.fill_bytes(0xFF);
  begin(nullptr);

  MoeResult result;
  result.expert = experts();
  result.weight.resize(slots);
  result.outputs.resize(answers);
  check_cuda(cudaMemcpy(result.weight.data(), buffers_.weight, slots * sizeof(float), cudaMemcpyDeviceToHost));
  check_cuda(cudaMemcpy(result.outputs.data(), buffers_.outputs, answers * sizeof(float), cudaMemcpyDeviceToHost));
  result.x = x_.read(0, product_of(rows_, shape.hidden));
  const auto normed = normed_.memory.read();
  const auto squares = squares_.read();
  for (int row = 0; row < rows_; ++row) {
    for (int i = 0; i < shape.hidden; ++i) result.normed.push_back(normed[normed_.tiles.offset(row, i)]);
    for (int slice = 0; slice < shape.hidden / 16; ++slice)
      result.squares.push_back(squares[product_of(slice, normed_.tiles.capacity) + static_cast<std::size_t>(row)]);
  }
  return result;
}

}  // namespace troupe::kernels::cuda
