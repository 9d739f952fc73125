#include "kernels/matmul.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "kernels/cpu_device.hpp"
#include "tests/reference/matmul.hpp"

namespace troupe::kernels {
namespace {

constexpr float untouched = -12345.5F;

std::size_t size(std::int32_t count) { return static_cast<std::size_t>(count); }

float random_value(Random& random) { return (random.uniform() - 0.5F) * std::exp2(static_cast<float>(random.between(-6, 3))); }

/// Groups of rows one behind the other, each with its own random weights.
struct Case {
  std::int32_t inputs;
  std::int32_t outputs;
  std::vector<std::int32_t> group_rows;
  std::int32_t rows = 0;
  std::vector<float> input;
  std::vector<std::vector<float>> weights;  // per group, [outputs, inputs], values that bf16 holds exactly
  std::vector<std::vector<bf16>> packed;

  Case(std::int32_t input_count, std::int32_t output_count, std::vector<std::int32_t> rows_of_groups, Random& random)
      : inputs(input_count), outputs(output_count), group_rows(std::move(rows_of_groups)) {
    for (const std::int32_t count : group_rows) rows += count;
    input.resize(size(rows) * size(inputs));
    for (float& value : input) value = random_value(random);
    for (std::size_t group = 0; group < group_rows.size(); ++group) {
      std::vector<bf16> narrowed(size(outputs) * size(inputs));
      for (bf16& weight : narrowed) weight = narrow(random_value(random));
      add_weights(narrowed);
    }
  }

  void add_weights(const std::vector<bf16>& narrowed) {
    std::vector<float> widened;
    for (const bf16 weight : narrowed) widened.push_back(widen(weight));
    weights.push_back(std::move(widened));
    packed.emplace_back(PackedMatrix{.data = nullptr, .outputs = outputs, .inputs = inputs}.elements());
    pack_rows(packed.back().data(), inputs, 0, narrowed.data(), outputs);
  }

  std::vector<MatmulGroup> groups() const {
    std::vector<MatmulGroup> result;
    std::int32_t first = 0;
    for (std::size_t group = 0; group < group_rows.size(); ++group) {
      result.push_back({{packed[group].data(), outputs, inputs}, first, group_rows[group]});
      first += group_rows[group];
    }
    return result;
  }

  /// What numerics demand: one chain of fused multiply-adds from zero over ascending inputs.
  std::vector<float> chain() const {
    std::vector<float> output(size(rows) * size(outputs));
    std::size_t row = 0;
    for (std::size_t group = 0; group < group_rows.size(); ++group) {
      for (const std::size_t end = row + size(group_rows[group]); row < end; ++row) {
        for (std::size_t n = 0; n < size(outputs); ++n) {
          float sum = 0;
          for (std::size_t k = 0; k < size(inputs); ++k) {
            sum = std::fma(input[row * size(inputs) + k], weights[group][n * size(inputs) + k], sum);
          }
          output[row * size(outputs) + n] = sum;
        }
      }
    }
    return output;
  }

  std::vector<float> blank_output() const { return std::vector<float>(size(rows) * size(outputs) + 64, untouched); }
};

void expect_same_bits(const std::vector<float>& output, const std::vector<float>& expected, const std::string& what) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(std::bit_cast<std::uint32_t>(output[i]), std::bit_cast<std::uint32_t>(expected[i]))
        << what << ": element " << i << " is " << output[i] << ", not " << expected[i];
  }
  for (std::size_t i = expected.size(); i < output.size(); ++i)
    ASSERT_EQ(output[i], untouched) << what << " wrote past the end";
}

std::vector<InstructionSet> supported_sets() {
  std::vector<InstructionSet> sets;
  for (const InstructionSet set : {InstructionSet::plain, InstructionSet::avx2, InstructionSet::avx512}) {
    if (is_supported(set)) sets.push_back(set);
  }
  return sets;
}

class Matmuls : public ::testing::Test {
 protected:
  Matmuls() {
    for (const InstructionSet set : supported_sets()) {
      for (const int threads : {1, 3}) devices_.push_back(*CpuDevice::create({.instruction_set = set, .threads = threads}));
    }
  }

  void expect_chain_everywhere(const Case& test, const std::string& what) {
    const auto expected = test.chain();
    const auto groups = test.groups();
    for (const auto& device : devices_) {
      auto output = test.blank_output();
      matmul(device->stream(), {.input = test.input.data(), .output = output.data(), .groups = groups});
      expect_same_bits(output, expected, what + " on " + device->description());
    }
  }

  std::vector<std::unique_ptr<CpuDevice>> devices_;
};

TEST_F(Matmuls, MultiplySmallNumbersExactly) {
  Random random(1);
  Case test(3, 2, {2}, random);
  test.input = {1, 2, 3, 4, 5, 6};
  test.weights.clear();
  test.packed.clear();
  test.add_weights({narrow(1), narrow(0), narrow(-1), narrow(2), narrow(0.5F), narrow(4)});
  const std::vector<float> expected = {-2, 15, -2, 34.5F};
  EXPECT_EQ(test.chain(), expected);
  expect_chain_everywhere(test, "2x3x2");
}

TEST_F(Matmuls, AreCloseToTheTruth) {
  Random random(2);
  const Case test(700, 45, {9}, random);
  const auto truth = reference::matmul(test.input, test.weights[0], 9, 700, 45);
  const auto magnitude = reference::matmul_magnitude(test.input, test.weights[0], 9, 700, 45);
  const auto groups = test.groups();
  for (const auto& device : devices_) {
    auto output = test.blank_output();
    matmul(device->stream(), {.input = test.input.data(), .output = output.data(), .groups = groups});
    for (std::size_t i = 0; i < truth.size(); ++i)
      ASSERT_NEAR(output[i], truth[i], 700 * 0x1p-24 * magnitude[i]) << "element " << i;
  }
}

TEST_F(Matmuls, AreOneChainForEveryNumberOfRows) {
  Random random(3);
  for (std::int32_t rows = 1; rows <= 70; ++rows) {
    const auto inputs = static_cast<std::int32_t>(random.between(1, 80));
    const auto outputs = static_cast<std::int32_t>(random.between(1, 140));
    expect_chain_everywhere(Case(inputs, outputs, {rows}, random),
                            std::to_string(rows) + "x" + std::to_string(inputs) + "x" + std::to_string(outputs));
  }
}

TEST_F(Matmuls, AreOneChainForEveryNumberOfOutputs) {
  Random random(4);
  for (std::int32_t outputs = 1; outputs <= 200; ++outputs) {
    const auto rows = static_cast<std::int32_t>(random.between(1, 8));
    const auto inputs = static_cast<std::int32_t>(random.between(1, 60));
    expect_chain_everywhere(Case(inputs, outputs, {rows}, random),
                            std::to_string(rows) + "x" + std::to_string(inputs) + "x" + std::to_string(outputs));
  }
}

TEST_F(Matmuls, AreOneChainAcrossBlocksOfInputsAndRows) {
  Random random(5);
  for (const std::int32_t inputs : {255, 256, 257, 511, 770}) {
    for (const std::int32_t rows : {1, 5, 7, 25, 40}) {
      expect_chain_everywhere(Case(inputs, 70, {rows}, random), std::to_string(rows) + "x" + std::to_string(inputs) + "x70");
    }
  }
  for (const std::int32_t rows : {143, 144, 145, 300}) {
    expect_chain_everywhere(Case(300, 40, {rows}, random), std::to_string(rows) + "x300x40");
  }
}

TEST_F(Matmuls, AreOneChainWhenThreadsShareManyPanels) {
  Random random(6);
  for (const std::int32_t rows : {1, 2, 6, 13}) {
    expect_chain_everywhere(Case(130, 4000, {rows}, random), std::to_string(rows) + "x130x4000");
  }
}

TEST_F(Matmuls, GiveEachGroupItsOwnWeights) {
  Random random(7);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::int32_t> rows;
    for (auto groups = random.between(1, 12); groups > 0; --groups)
      rows.push_back(static_cast<std::int32_t>(random.between(0, 9)));
    if (round % 5 == 0) rows.push_back(150);
    expect_chain_everywhere(Case(static_cast<std::int32_t>(random.between(1, 100)),
                                 static_cast<std::int32_t>(random.between(1, 300)), rows, random),
                            "round " + std::to_string(round));
  }
}

TEST_F(Matmuls, LeaveRowsOfNoGroupAlone) {
  Random random(8);
  const Case test(20, 40, {3, 2, 4}, random);
  auto groups = test.groups();
  groups.erase(groups.begin() + 1);
  auto expected = test.chain();
  for (std::size_t i = size(3) * 40; i < size(5) * 40; ++i) expected[i] = untouched;
  for (const auto& device : devices_) {
    auto output = test.blank_output();
    matmul(device->stream(), {.input = test.input.data(), .output = output.data(), .groups = groups});
    expect_same_bits(output, expected, device->description());
  }
}

TEST_F(Matmuls, KeepDenormalsInfinitiesAndSignsOfZero) {
  Random random(9);
  Case test(4, 33, {7}, random);
  for (std::size_t i = 0; i < test.input.size(); ++i) {
    constexpr float edges[] = {0x1p-126F, -0x1.8p-130F, 0x1p-149F, -0.0F, 0.0F, 0x1.fp127F, 1, -1};
    test.input[i] = edges[random.below(std::size(edges))];
  }
  for (std::size_t k = 0; k < 4; ++k) test.input[k] = -0.0F;
  test.weights.clear();
  test.packed.clear();
  std::vector<bf16> narrowed;
  for (int i = 0; i < 4 * 33; ++i) {
    constexpr float edges[] = {0x1p-130F, 1, -1, 0.5F, 0x1p-20F, 0.0F, 2};
    narrowed.push_back(narrow(edges[random.below(std::size(edges))]));
  }
  test.add_weights(narrowed);
  expect_chain_everywhere(test, "edges");
}

TEST_F(Matmuls, AnyCutIntoRangesGivesTheSameBits) {
  Random random(10);
  for (int round = 0; round < 40; ++round) {
    const auto rows = static_cast<std::int32_t>(random.between(1, 70));
    const auto outputs = static_cast<std::int32_t>(random.between(1, 200));
    const Case test(static_cast<std::int32_t>(random.between(1, 400)), outputs, {rows}, random);
    const auto groups = test.groups();
    const std::int32_t panels = groups[0].weight.panels();
    const auto expected = test.chain();
    for (const InstructionSet set : supported_sets()) {
      auto output = test.blank_output();
      const Matmul arguments{.input = test.input.data(), .output = output.data(), .groups = groups};
      for (std::int32_t row = 0; row < rows;) {
        const Range range{row, static_cast<std::int32_t>(random.between(row + 1, rows))};
        for (std::int32_t panel = 0; panel < panels;) {
          const Range panel_range{panel, static_cast<std::int32_t>(random.between(panel + 1, panels))};
          operations(set).matmul(arguments, groups[0], range, panel_range);
          panel = panel_range.last;
        }
        row = range.last;
      }
      expect_same_bits(output, expected, std::string(to_string(set)) + " in round " + std::to_string(round));
    }
  }
}

TEST_F(Matmuls, WriteOnlyTheirRange) {
  Random random(11);
  const Case test(30, 160, {9}, random);
  const auto groups = test.groups();
  const auto expected = test.chain();
  for (const InstructionSet set : supported_sets()) {
    auto output = test.blank_output();
    operations(set).matmul({.input = test.input.data(), .output = output.data(), .groups = groups}, groups[0], {2, 7}, {1, 4});
    for (std::size_t row = 0; row < 9; ++row) {
      for (std::size_t n = 0; n < 160; ++n) {
        const bool inside = row >= 2 && row < 7 && n >= 32 && n < 128;
        ASSERT_EQ(output[row * 160 + n], inside ? expected[row * 160 + n] : untouched)
            << to_string(set) << ' ' << row << ' ' << n;
      }
    }
  }
}

TEST_F(Matmuls, WithoutRowsDoNothing) {
  Random random(12);
  const Case test(8, 8, {0, 0}, random);
  const auto groups = test.groups();
  for (const auto& device : devices_) {
    matmul(device->stream(), {});
    matmul(device->stream(), {.input = nullptr, .output = nullptr, .groups = groups});
  }
}

using MatmulDeathTest = Matmuls;

TEST_F(MatmulDeathTest, RefuseGroupsOfDifferentShapes) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  std::vector<bf16> weights(32 * 8);
  std::vector<float> values(64);
  const std::vector<MatmulGroup> groups = {{{weights.data(), 8, 8}, 0, 1}, {{weights.data(), 8, 4}, 1, 1}};
  const Matmul arguments{.input = values.data(), .output = values.data() + 32, .groups = groups};
  EXPECT_DEATH(matmul(devices_.front()->stream(), arguments), "one shape");
}

}  // namespace
}  // namespace troupe::kernels
