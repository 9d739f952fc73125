// Weights on the GPU are those on the CPU, each where the tensor cores' tiles have it: from a checkpoint, and random ones.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

#include "base/random.hpp"
#include "kernels/cpu_device.hpp"
#include "kernels/cuda/tiles.hpp"
#include "kernels/open_device.hpp"
#include "kernels/weight_writer.hpp"
#include "tests/gpu/hopper_test.hpp"
#include "tests/support/tiny_models.hpp"

namespace troupe {
namespace {

using kernels::OutputKind;
using kernels::PackedMatrix;
using kernels::cuda::WeightTiles;

class CudaWeights : public kernels::cuda::OnHopper {
 protected:
  void SetUp() override {
    OnHopper::SetUp();
    if (!IsSkipped())
      gpu_ = std::move(kernels::open_device({.wish = kernels::DeviceWish::cuda, .gpu = 0, .cpu = {}}).value().device);
  }
  /// As plain rows, [outputs, inputs], gates before ups.
  std::vector<std::uint16_t> rows_of(const PackedMatrix& matrix, OutputKind kind) {
    const WeightTiles tiles{nullptr, matrix.outputs, matrix.inputs};
    std::vector<std::uint16_t> stored(tiles.elements());
    gpu_->stream().copy(stored.data(), matrix.data, stored.size() * sizeof(std::uint16_t));
    gpu_->stream().synchronize();
    std::vector<std::uint16_t> rows;
    const int half = matrix.outputs / 2;
    for (int output = 0; output < matrix.outputs; ++output) {
      const int element = output < half ? output : output - half;
      const int place = kind == OutputKind::plain ? output : element / 8 * 16 + element % 8 + (output < half ? 0 : 8);
      for (int input = 0; input < matrix.inputs; ++input) rows.push_back(stored[tiles.offset(place, input)]);
    }
    return rows;
  }
  static std::vector<std::uint16_t> rows_on_cpu(const PackedMatrix& matrix) {
    std::vector<std::uint16_t> rows;
    for (int output = 0; output < matrix.outputs; ++output) {
      for (int input = 0; input < matrix.inputs; ++input) {
        const auto* panel = matrix.panel(output / kernels::panel_outputs);
        rows.push_back(panel[input * kernels::panel_outputs + output % kernels::panel_outputs].bits);
      }
    }
    return rows;
  }

  std::unique_ptr<kernels::Device> gpu_;
};

TEST_F(CudaWeights, RandomOnesAreThoseOfACpu) {
  const auto cpu = kernels::CpuDevice::create({}).value();
  for (const tests::TinyModel& tiny : tests::tiny_models_for_gpu()) {
    const model::Model here = make(tiny, *cpu);
    const model::Model there = make(tiny, *gpu_);
    const auto expect_equal = [&](const PackedMatrix& cpus, const PackedMatrix& gpus, OutputKind kind) {
      ASSERT_EQ(cpus.outputs, gpus.outputs);
      EXPECT_EQ(rows_on_cpu(cpus), rows_of(gpus, kind)) << tiny.name;
    };
    expect_equal(here.weights.embedding(), there.weights.embedding(), OutputKind::plain);
    expect_equal(here.weights.output_projection(), there.weights.output_projection(), OutputKind::plain);
    for (std::size_t i = 0; i < here.weights.layers().size(); ++i) {
      const model::LayerWeights& mine = here.weights.layers()[i];
      const model::LayerWeights& theirs = there.weights.layers()[i];
      expect_equal(mine.qkv, theirs.qkv, OutputKind::plain);
      expect_equal(mine.attention_output, theirs.attention_output, OutputKind::plain);
      if (mine.experts.empty()) {
        expect_equal(mine.feed_forward.gate_up, theirs.feed_forward.gate_up, OutputKind::gates_and_ups);
        expect_equal(mine.feed_forward.down, theirs.feed_forward.down, OutputKind::plain);
      } else {
        expect_equal(mine.router, theirs.router, OutputKind::plain);
        expect_equal(mine.experts.back().gate_up, theirs.experts.back().gate_up, OutputKind::gates_and_ups);
        expect_equal(mine.experts.back().down, theirs.experts.back().down, OutputKind::plain);
      }
      std::vector<float> norm(static_cast<std::size_t>(here.config.hidden));
      gpu_->stream().copy(norm.data(), theirs.attention_norm, norm.size() * sizeof(float));
      gpu_->stream().synchronize();
      EXPECT_EQ(std::memcmp(norm.data(), mine.attention_norm, norm.size() * sizeof(float)), 0);
    }
  }
}

/// Larger than a staging buffer, in pieces that begin anywhere.
TEST_F(CudaWeights, RowsOfACheckpointGetWhereTheyBelong) {
  constexpr std::int32_t outputs = 20000;
  constexpr std::int32_t inputs = 1040;
  std::vector<kernels::bf16> rows(static_cast<std::size_t>(outputs) * inputs);
  Random random(1);
  for (auto& value : rows) value.bits = static_cast<std::uint16_t>(random.next());
  for (const OutputKind kind : {OutputKind::plain, OutputKind::gates_and_ups}) {
    const auto memory = gpu_->allocate(packed_bytes(kernels::DeviceKind::cuda, outputs, inputs)).value();
    const PackedMatrix matrix{memory.as<kernels::bf16>(), outputs, inputs};
    const auto writer = gpu_->weight_writer().value();
    for (std::int32_t first = 0; first < outputs;) {
      const auto count = std::min<std::int32_t>(outputs - first, static_cast<std::int32_t>(random.between(1, 18000)));
      writer->pack_rows({matrix, kind, first, count, rows.data() + static_cast<std::size_t>(first) * inputs});
      first += count;
    }
    writer->finish();
    const auto stored = rows_of(matrix, kind);
    ASSERT_EQ(stored.size(), rows.size());
    EXPECT_EQ(std::memcmp(stored.data(), rows.data(), rows.size() * sizeof(kernels::bf16)), 0);
  }
}

}  // namespace
}  // namespace troupe
