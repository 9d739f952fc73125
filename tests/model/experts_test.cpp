// A model's experts whole, in part, and without their model: equal bits, and no more memory than they take.
#include "model/experts.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "kernels/cpu_device.hpp"
#include "model/model.hpp"
#include "tests/support/kernel_cases.hpp"
#include "tests/support/plain_device.hpp"
#include "tests/support/tiny_models.hpp"

namespace troupe::model {
namespace {

const std::filesystem::path heavy = std::filesystem::path(TROUPE_SOURCE_DIR) / "portfolio/heavy";

const ModelConfig& tiny_config() {
  static const ModelConfig config = tests::config_of(tests::tiny_model("qwen3_moe"));
  return config;
}

/// About half of the experts, drawn anew for each seed.
ExpertSelection draw_half(const ModelConfig& config, std::uint64_t seed) {
  Random random(seed);
  ExpertSelection selection;
  for (const auto id : ExpertSelection::all(expert_shape(config)).ids()) {
    if (random.chance(0.5F)) selection.add(id);
  }
  return selection;
}

/// A layer's rows with the experts that a router might choose.
struct Case {
  Case(const ModelConfig& config, std::int32_t in_layer, std::int32_t row_count, std::uint64_t seed)
      : layer(in_layer), rows(row_count) {
    Random random(seed, 3);
    hidden = config.hidden;
    chosen = config.moe->experts_per_token;
    input = tests::random_floats(random, static_cast<std::size_t>(rows * hidden), 2);
    for (std::int32_t row = 0; row < rows; ++row) {
      std::int32_t left = chosen;
      for (std::int32_t id = 0; left > 0; ++id) {
        if (random.below(static_cast<std::uint64_t>(config.moe->experts - id)) >= static_cast<std::uint64_t>(left)) continue;
        expert.push_back(id);
        --left;
      }
    }
  }
  std::size_t outputs() const { return expert.size() * static_cast<std::size_t>(hidden); }
  std::vector<float> whole(LocalExperts& experts) const {
    std::vector<float> output(outputs());
    bool done = false;
    experts.compute({layer, rows, chosen, input.data(), expert.data(), output.data()}, [&](const Result<void>& result) {
      EXPECT_TRUE(result);
      done = true;
    });
    EXPECT_TRUE(done);
    return output;
  }
  /// The slots whose experts are in the selection, in an order of their own.
  std::vector<ExpertSlot> slots_in(const ExpertSelection& selection, std::uint64_t seed) const {
    std::vector<ExpertSlot> slots;
    for (std::int32_t slot = 0; slot < static_cast<std::int32_t>(expert.size()); ++slot) {
      const std::int32_t id = expert[static_cast<std::size_t>(slot)];
      if (selection.has({layer, id})) slots.push_back({id, slot / chosen, slot});
    }
    Random random(seed, 4);
    for (std::size_t i = slots.size(); i > 1; --i) std::swap(slots[i - 1], slots[random.below(i)]);
    return slots;
  }

  std::int32_t layer;
  std::int32_t rows;
  std::int32_t hidden = 0;
  std::int32_t chosen = 0;
  std::vector<float> input;
  std::vector<std::int32_t> expert;
};

std::unique_ptr<LocalExperts> experts_of(const ModelConfig& config, const Weights& weights, kernels::Device& device,
                                         std::int32_t rows_max) {
  auto made = LocalExperts::create(config, weights, device, rows_max);
  EXPECT_TRUE(made);
  return *std::move(made);
}

TEST(Experts, InPartsAnswerTheBitsOfTheWhole) {
  const auto set = kernels::best_instruction_set();
  const auto device = tests::cpu_device(set, 1);
  const auto other_device = tests::cpu_device(kernels::InstructionSet::plain, 2);
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const auto& config = tiny_config();
    const auto all = ExpertSelection::all(expert_shape(config));
    const auto half = draw_half(config, seed);
    const auto whole = Model::random(config, seed, *device).value();
    // One part stays with the trunk, the other is on its own, computes few rows at a time, and on another device.
    const auto part = Model::random(config, seed, half, *device).value();
    const auto rest = ExpertSlices::random(config, seed, all - half, *other_device).value();
    EXPECT_EQ(part.fingerprint, whole.fingerprint);
    EXPECT_EQ(rest.fingerprint, whole.fingerprint);
    const auto local = experts_of(config, whole.weights, *device, 32);
    const auto here = experts_of(config, part.weights, *device, 32);
    const auto there = experts_of(config, rest.weights, *other_device, 3);
    for (const std::int32_t layer : {0, 2}) {
      const Case rows(config, layer, 1 + static_cast<std::int32_t>(seed * 7 % 32), seed);
      const auto expected = rows.whole(*local);
      std::vector<float> output(rows.outputs());
      const auto slots_here = rows.slots_in(half, seed);
      const auto slots_there = rows.slots_in(all - half, seed);
      here->compute({layer, rows.input.data(), output.data(), slots_here});
      there->compute({layer, rows.input.data(), output.data(), slots_there});
      EXPECT_TRUE(tests::same_bits(output, expected));
    }
  }
}

TEST(Experts, AnswerARowByThatRowAlone) {
  const auto device = tests::cpu_device(kernels::best_instruction_set(), 2);
  const auto whole = tests::make(tests::tiny_model("qwen3_moe"), *device);
  const auto local = experts_of(whole.config, whole.weights, *device, 64);
  const Case rows(whole.config, 0, 40, 1);
  const auto expected = rows.whole(*local);
  const auto hidden = static_cast<std::size_t>(rows.hidden);
  for (std::int32_t slot = 0; slot < 80; ++slot) {
    std::vector<float> output(hidden);
    const ExpertSlot one{rows.expert[static_cast<std::size_t>(slot)], slot / 2, 0};
    local->compute({0, rows.input.data(), output.data(), {&one, 1}});
    EXPECT_TRUE(tests::same_bits(output, std::span(expected).subspan(static_cast<std::size_t>(slot) * hidden, hidden)));
  }
}

TEST(Experts, OfTheBundledModelAnswerTheSameFromSlices) {
  const auto device = tests::cpu_device(kernels::best_instruction_set(), 1);
  const auto whole = Model::load(heavy, *device).value();
  const auto all = ExpertSelection::all(expert_shape(whole.config));
  const auto half = draw_half(whole.config, 5);
  const auto part = Model::load(heavy, half, *device).value();
  const auto rest = ExpertSlices::load(heavy, all - half, *device).value();
  EXPECT_EQ(part.fingerprint, whole.fingerprint);
  EXPECT_EQ(rest.fingerprint, whole.fingerprint);
  EXPECT_NE(part.tokenizer, nullptr);
  const auto local = experts_of(whole.config, whole.weights, *device, 16);
  const auto here = experts_of(whole.config, part.weights, *device, 16);
  const auto there = experts_of(whole.config, rest.weights, *device, 16);
  for (std::int32_t layer = 0; layer < whole.config.layers; ++layer) {
    const Case rows(whole.config, layer, 16, static_cast<std::uint64_t>(layer));
    std::vector<float> output(rows.outputs());
    const auto slots_here = rows.slots_in(half, 1);
    const auto slots_there = rows.slots_in(all - half, 2);
    here->compute({layer, rows.input.data(), output.data(), slots_here});
    there->compute({layer, rows.input.data(), output.data(), slots_there});
    EXPECT_TRUE(tests::same_bits(output, rows.whole(*local)));
  }
}

TEST(ExpertParts, TakeTheMemoryOfWhatTheyHave) {
  const auto& config = tiny_config();
  const auto shape = expert_shape(config);
  const auto all = ExpertSelection::all(shape);
  EXPECT_EQ(shape.sparse, (std::vector<std::int32_t>{0, 2}));
  EXPECT_EQ(shape.experts, 8);
  const std::size_t trunk = weights_bytes(config, {.trunk = true, .experts = ExpertSelection{}});
  EXPECT_EQ(trunk + 16 * shape.expert_bytes, weights_bytes(config));
  EXPECT_EQ(weights_bytes(config, {.trunk = false, .experts = all}), 16 * shape.expert_bytes);
  const auto half = draw_half(config, 3);
  testing::PlainDevice device;
  const auto part = Model::random(config, 1, half, device).value();
  EXPECT_EQ(device.bytes_used(), trunk + static_cast<std::size_t>(half.count()) * shape.expert_bytes);
  EXPECT_EQ(part.weights.bytes(), device.bytes_used());
  EXPECT_EQ(part.weights.experts(), half);
  EXPECT_TRUE(part.weights.has_trunk());
  testing::PlainDevice other;
  const auto slices = ExpertSlices::random(config, 1, all - half, other).value();
  EXPECT_EQ(other.bytes_used(), static_cast<std::size_t>((all - half).count()) * shape.expert_bytes);
  EXPECT_EQ(slices.weights.experts(), all - half);
  EXPECT_FALSE(slices.weights.has_trunk());
  testing::PlainDevice nothing;
  ASSERT_TRUE(ExpertSlices::random(config, 1, {}, nothing));
  EXPECT_EQ(nothing.allocations(), 0);
}

TEST(ExpertParts, AreLoadedWithoutTheRest) {
  testing::PlainDevice device;
  const auto config = load_config(heavy / "config.json").value();
  ExpertSelection two;
  two.add({0, 3});
  two.add({7, 1});
  std::vector<double> told;
  const auto slices = ExpertSlices::load(heavy, two, device, [&](double done) { told.push_back(done); }).value();
  EXPECT_EQ(device.bytes_used(), 2 * expert_shape(config).expert_bytes);
  EXPECT_EQ(told.back(), 1);
  const auto& experts = slices.weights.layers()[0].experts;
  EXPECT_TRUE(experts[3].loaded());
  EXPECT_FALSE(experts[2].loaded());
  testing::PlainDevice whole_device;
  const auto whole = Weights::load(heavy, config, whole_device).value();
  EXPECT_EQ(whole.experts(), ExpertSelection::all(expert_shape(config)));
  const auto& expected = whole.layers()[0].experts[3].gate_up;
  EXPECT_EQ(std::memcmp(experts[3].gate_up.data, expected.data, expected.elements() * sizeof(kernels::bf16)), 0);
}

TEST(ExpertParts, ThatTheModelDoesNotHaveAreRefused) {
  testing::PlainDevice device;
  ExpertSelection beyond;
  beyond.add({1, 0});  // a dense layer
  for (const auto& refused : {Weights::random(tiny_config(), 1, {.trunk = true, .experts = beyond}, device).error(),
                              ExpertSlices::random(tiny_config(), 1, beyond, device).error()}) {
    EXPECT_EQ(refused.code, ErrorCode::out_of_range);
    EXPECT_NE(refused.message.find("expert 0 of layer 1"), std::string::npos) << refused.message;
  }
  ExpertSelection ninth;
  ninth.add({0, 8});
  EXPECT_EQ(ExpertSlices::load(heavy, ninth, device).error().code, ErrorCode::out_of_range);
  EXPECT_EQ(device.allocations(), 0);
}

}  // namespace
}  // namespace troupe::model
