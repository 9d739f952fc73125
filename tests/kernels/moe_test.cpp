#include "kernels/moe.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "tests/reference/moe.hpp"
#include "tests/support/kernel_cases.hpp"

namespace troupe {
namespace {

struct Routes {
  std::vector<std::int32_t> expert;
  std::vector<float> weight;
};

Routes route(kernels::CpuDevice& device, std::span<const float> logits, std::int32_t experts, std::int32_t chosen,
             bool normalize = true) {
  const auto rows = static_cast<std::int32_t>(logits.size()) / experts;
  const auto count = static_cast<std::size_t>(rows) * static_cast<std::size_t>(chosen);
  Routes routes{std::vector<std::int32_t>(count), std::vector<float>(count)};
  kernels::moe_route(device.stream(), {.logits = logits.data(),
                                       .expert = routes.expert.data(),
                                       .weight = routes.weight.data(),
                                       .rows = rows,
                                       .experts = experts,
                                       .chosen = chosen,
                                       .normalize = normalize});
  return routes;
}

Routes route_one(const std::vector<float>& logits, std::int32_t chosen, bool normalize = true) {
  const auto device = tests::cpu_device(kernels::best_instruction_set(), 1);
  return route(*device, logits, static_cast<std::int32_t>(logits.size()), chosen, normalize);
}

TEST(MoeRoute, IsCloseToTheTruthInDouble) {
  Random random(1);
  for (const std::int32_t experts : {1, 8, 16, 17, 60, 128, 1024}) {
    for (const bool normalize : {false, true}) {
      const std::vector<float> logits = tests::random_floats(random, static_cast<std::size_t>(experts), 6);
      const std::int32_t chosen = std::min(experts, 8);
      const Routes routes = route_one(logits, chosen, normalize);
      const reference::Route truth = reference::moe_route(logits, static_cast<std::size_t>(chosen), normalize);
      // A difference of logits is rounded once, which exp makes relative: up to 12 roundings; exp's two; the sum's; two
      // divisions.
      const double tolerance = (12 + 2 + experts / 16.0 + 5 + chosen + 2) * tests::unit_roundoff;
      for (std::size_t c = 0; c < truth.expert.size(); ++c) {
        EXPECT_EQ(routes.expert[c], truth.expert[c]) << experts;
        EXPECT_NEAR(routes.weight[c], truth.weight[c], truth.weight[c] * tolerance) << experts;
      }
    }
  }
}

TEST(MoeRoute, GivesEqualGatesToTheLowerIds) {
  EXPECT_EQ(route_one({1, 1, 1, 1}, 2).expert, (std::vector<std::int32_t>{0, 1}));
  EXPECT_EQ(route_one({0, 3, 1, 3, 3}, 2).expert, (std::vector<std::int32_t>{1, 3}));
  EXPECT_EQ(route_one({0, 3, 5, 3, 3}, 2).expert, (std::vector<std::int32_t>{1, 2}));
  EXPECT_EQ(route_one(std::vector<float>(20, 0.5F), 3).expert, (std::vector<std::int32_t>{0, 1, 2}));
  EXPECT_EQ(route_one({0, 0, 9}, 1).expert, (std::vector<std::int32_t>{2}));
  EXPECT_EQ(route_one({0, 0, 9}, 1).weight, (std::vector<float>{1}));
}

TEST(MoeRoute, StaysInRangeWhereLogitsAreNotNumbers) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  const Routes routes = route_one({1, nan, 2, 3}, 2);
  EXPECT_EQ(routes.expert, (std::vector<std::int32_t>{0, 1}));
  EXPECT_TRUE(std::isnan(routes.weight[0]) && std::isnan(routes.weight[1]));
}

TEST(MoeRoute, GivesTheSameBitsForAnyBatchAndNumberOfThreads) {
  Random random(2);
  constexpr std::size_t experts = 61;
  const std::vector<float> logits = tests::random_floats(random, experts * 1000, 3);
  const auto one = tests::cpu_device(kernels::best_instruction_set(), 1);
  const auto four = tests::cpu_device(kernels::best_instruction_set(), 4);
  const Routes all = route(*one, logits, experts, 4);
  const Routes threaded = route(*four, logits, experts, 4);
  EXPECT_EQ(threaded.expert, all.expert);
  EXPECT_TRUE(tests::same_bits(threaded.weight, all.weight));
  for (std::size_t row = 0; row < 1000; row += 91) {
    const Routes alone = route(*one, std::span(logits).subspan(row * experts, experts), experts, 4);
    EXPECT_TRUE(tests::same_bits(alone.weight, std::span(all.weight).subspan(row * 4, 4)));
  }
}

TEST(MoeRouteDeathTest, RefusesMoreExpertsThanThereAre) {
  EXPECT_DEATH(route_one({1, 2}, 3), "some of the layer's");
  EXPECT_DEATH(route_one(std::vector<float>(1025), 3), "moe_experts_max");
}

TEST(MoveRows, GathersAndScattersBackAgain) {
  Random random(3);
  constexpr std::int32_t dim = 321;
  const std::vector<float> source = tests::random_floats(random, dim * 400);
  std::vector<std::int32_t> index(400);
  for (std::int32_t i = 0; i < 400; ++i) index[static_cast<std::size_t>(i)] = i * 7 % 400;
  for (const int threads : {1, 3}) {
    const auto device = tests::cpu_device(kernels::best_instruction_set(), threads);
    std::vector<float> gathered(source.size());
    std::vector<float> back(source.size());
    kernels::gather_rows(device->stream(), {source.data(), gathered.data(), index.data(), 400, dim});
    for (std::size_t d = 0; d < dim; ++d) EXPECT_EQ(gathered[5 * dim + d], source[35 * dim + d]);
    kernels::scatter_rows(device->stream(), {gathered.data(), back.data(), index.data(), 400, dim});
    EXPECT_TRUE(tests::same_bits(back, source));
  }
}

std::vector<float> combine(kernels::CpuDevice& device, std::span<const float> outputs, std::span<const float> weights,
                           std::int32_t chosen, std::int32_t dim) {
  const auto rows = static_cast<std::int32_t>(weights.size()) / chosen;
  std::vector<float> output(static_cast<std::size_t>(rows) * static_cast<std::size_t>(dim));
  kernels::moe_combine(device.stream(), {outputs.data(), weights.data(), output.data(), rows, chosen, dim});
  return output;
}

TEST(MoeCombine, AddsExpertsInAscendingOrderFused) {
  Random random(4);
  const auto device = tests::cpu_device(kernels::best_instruction_set(), 1);
  for (const std::int32_t dim : {1, 16, 23, 320}) {
    constexpr std::int32_t chosen = 3;
    const std::vector<float> outputs = tests::random_floats(random, static_cast<std::size_t>(2 * chosen * dim));
    const std::vector<float> weights = tests::random_floats(random, 2 * chosen);
    const std::vector<float> actual = combine(*device, outputs, weights, chosen, dim);
    std::vector<float> expected(actual.size());
    for (std::int32_t i = 0; i < 2 * dim; ++i) {
      const std::int32_t row = i / dim;
      const auto at = [&](std::int32_t c) { return outputs[static_cast<std::size_t>((row * chosen + c) * dim + i % dim)]; };
      float sum = weights[static_cast<std::size_t>(row * chosen)] * at(0);
      for (std::int32_t c = 1; c < chosen; ++c) sum = std::fma(weights[static_cast<std::size_t>(row * chosen + c)], at(c), sum);
      expected[static_cast<std::size_t>(i)] = sum;
    }
    EXPECT_TRUE(tests::same_bits(actual, expected)) << dim;
  }
}

TEST(MoeCombine, GivesTheSameBitsForAnyBatchAndNumberOfThreads) {
  Random random(5);
  const std::vector<float> outputs = tests::random_floats(random, 200 * 4 * 130);
  const std::vector<float> weights = tests::random_floats(random, 200 * 4);
  const auto one = tests::cpu_device(kernels::best_instruction_set(), 1);
  const auto four = tests::cpu_device(kernels::best_instruction_set(), 4);
  const std::vector<float> all = combine(*one, outputs, weights, 4, 130);
  EXPECT_TRUE(tests::same_bits(combine(*four, outputs, weights, 4, 130), all));
  const std::vector<float> alone =
      combine(*one, std::span(outputs).subspan(99 * 4 * 130, 4 * 130), std::span(weights).subspan(99 * 4, 4), 4, 130);
  EXPECT_TRUE(tests::same_bits(alone, std::span(all).subspan(99 * 130, 130)));
}

class MoeBits : public tests::AcrossInstructionSets {};

TEST_P(MoeBits, AreThoseOfPlainLanes) {
  Random random(6);
  const auto plain = tests::cpu_device(kernels::InstructionSet::plain, 1);
  const auto device = tests::cpu_device(GetParam(), 2);
  for (const std::int32_t experts : {1, 8, 15, 16, 17, 128, 1000}) {
    const std::vector<float> logits = tests::random_floats(random, static_cast<std::size_t>(experts) * 7, 20);
    const Routes expected = route(*plain, logits, experts, std::min(experts, 5));
    const Routes actual = route(*device, logits, experts, std::min(experts, 5));
    EXPECT_EQ(actual.expert, expected.expert) << experts;
    EXPECT_TRUE(tests::same_bits(actual.weight, expected.weight)) << experts;
  }
  for (const std::int32_t dim : {1, 15, 16, 320, 321}) {
    const std::vector<float> outputs = tests::random_floats(random, static_cast<std::size_t>(3 * 2 * dim));
    const std::vector<float> weights = tests::random_floats(random, 3 * 2);
    EXPECT_TRUE(tests::same_bits(combine(*device, outputs, weights, 2, dim), combine(*plain, outputs, weights, 2, dim))) << dim;
  }
}

TROUPE_ACROSS_INSTRUCTION_SETS(MoeBits);

}  // namespace
}  // namespace troupe
