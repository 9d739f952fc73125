#include "bench/matmul.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "base/check.hpp"
#include "bench/onednn_matmul.hpp"
#include "kernels/matmul.hpp"

namespace troupe::bench {
namespace {

constexpr double seconds_per_round = 0.03;
/// OpenMP's workers spin on after a loop and would take the processors from what is measured next.
constexpr auto onednn_rest = std::chrono::milliseconds(20);

/// The fastest run of about `seconds_per_round` of them, after one that warms up.
template <class Body>
double best_seconds(const Body& body) {
  body();
  double best = 1e300;
  double total = 0;
  for (int runs = 0; runs < 2 || total < seconds_per_round; ++runs) {
    const auto start = std::chrono::steady_clock::now();
    body();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::min(best, seconds);
    total += seconds;
  }
  return best;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Values of ordinary size, so that no product meets denormals or infinities.
void fill(kernels::Memory& input, kernels::Memory& weights) {
  auto* values = input.as<float>();
  for (std::size_t i = 0; i < input.bytes() / sizeof(float); ++i) values[i] = static_cast<float>(i % 61 + 1) * 0x1p-6F;
  auto* numbers = weights.as<kernels::bf16>();
  for (std::size_t i = 0; i < weights.bytes() / sizeof(kernels::bf16); ++i) {
    numbers[i].bits = static_cast<std::uint16_t>(0x3C00 + (i * 7 & 255));
  }
}

}  // namespace

Result<MatmulMeasurement> measure_matmul(kernels::CpuDevice& device, Ceilings& ceilings, const MatmulShape& shape, int rounds) {
  TROUPE_CHECK(rounds >= 1, "a median needs a value");
  if (shape.rows < 1 || shape.inputs < 1 || shape.outputs < 1) {
    return Error{ErrorCode::out_of_range, "a product needs rows, inputs and outputs of at least 1, got " +
                                              std::to_string(shape.rows) + " x " + std::to_string(shape.inputs) + " x " +
                                              std::to_string(shape.outputs)};
  }
  const kernels::PackedMatrix packed{.data = nullptr, .outputs = shape.outputs, .inputs = shape.inputs};
  const auto rows = static_cast<std::size_t>(shape.rows);
  TROUPE_TRY(kernels::Memory weights, device.allocate(packed.elements() * sizeof(kernels::bf16)));
  TROUPE_TRY(kernels::Memory input, device.allocate(rows * static_cast<std::size_t>(shape.inputs) * sizeof(float)));
  TROUPE_TRY(kernels::Memory output, device.allocate(rows * static_cast<std::size_t>(shape.outputs) * sizeof(float)));
  fill(input, weights);
  const kernels::MatmulGroup group{{weights.as<const kernels::bf16>(), shape.outputs, shape.inputs}, 0, shape.rows};
  const kernels::Matmul arguments{.input = input.as<const float>(), .output = output.as<float>(), .groups = {&group, 1}};
  auto onednn = OnednnMatmul::create(shape.rows, shape.inputs, shape.outputs, device.stream().pool().threads());
  if (!onednn && onednn.error().code != ErrorCode::unsupported) return std::move(onednn).error();

  std::vector<double> ours;
  std::vector<double> reads;
  std::vector<double> arithmetic;
  std::vector<double> read_shares;
  std::vector<double> arithmetic_shares;
  std::vector<double> theirs;
  std::vector<double> ratios;
  for (int round = 0; round < rounds; ++round) {
    reads.push_back(ceilings.measure_read());
    arithmetic.push_back(ceilings.measure_arithmetic());
    ours.push_back(best_seconds([&] { kernels::matmul(device.stream(), arguments); }));
    read_shares.push_back(shape.weight_bytes() / ours.back() / reads.back());
    arithmetic_shares.push_back(shape.operations() / ours.back() / arithmetic.back());
    if (onednn) {
      theirs.push_back(best_seconds([&] { onednn->run(); }));
      ratios.push_back(theirs.back() / ours.back());
      std::this_thread::sleep_for(onednn_rest);
    }
  }
  MatmulMeasurement result;
  result.seconds = median(ours);
  result.read_share = median(read_shares);
  result.arithmetic_share = median(arithmetic_shares);
  result.read_ceiling = median(reads);
  result.arithmetic_ceiling = median(arithmetic);
  if (onednn) {
    result.onednn_seconds = median(theirs);
    result.onednn_ratio = median(ratios);
  }
  return result;
}

}  // namespace troupe::bench
