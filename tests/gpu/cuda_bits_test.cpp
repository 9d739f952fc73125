// Placement never changes the answer on a GPU either: the property of tests/support/bits.hpp in a few cases, and with kernels
// that are wrong on purpose. dev/gpu --only bits runs thousands.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "tests/gpu/broken_launchers.hpp"
#include "tests/gpu/hopper_test.hpp"
#include "tests/support/bits.hpp"

namespace troupe::tests {
namespace {

constexpr std::uint64_t seed = 1;

class CudaBits : public kernels::cuda::OnHopper {};

TEST_F(CudaBits, EveryAnswerHasTheBitsThatItHasAlone) {
  bits::Property property(seed, {}, kernels::DeviceKind::cuda);
  bits::Summary summary;
  for (std::uint64_t number = 0; number < 60; ++number) summary.add(property.run(number));
  for (const std::string& difference : summary.differences) ADD_FAILURE() << difference;
  EXPECT_GT(summary.sequences, 2000U);
  for (const std::string_view feature :
       {"greedy", "sampled", "prompt in chunks", "attention over several spans", "taken up after some tokens",
        "stopped as unsure", "stopped as unsure, taken up after some tokens", "cancelled", "deadline missed", "blocks evicted",
        "prefix reused", "blocks imported", "llama", "qwen3", "qwen3_moe"}) {
    EXPECT_GT(summary.features[feature], 0U) << feature;
  }
  for (const std::uint64_t tokens : summary.tokens_by_batch) EXPECT_GT(tokens, 0U) << "in batches of some size";
  EXPECT_GT(summary.blocks, 1000U);
  std::printf("%llu answers of %llu tokens\n", static_cast<unsigned long long>(summary.sequences),
              static_cast<unsigned long long>(summary.tokens));
}

/// A defect is found if some case differs from references that were computed with the same defect.
class CudaBitsOf : public CudaBits, public testing::WithParamInterface<Defect> {
 protected:
  void TearDown() override { break_launchers({}); }
};

TEST_P(CudaBitsOf, BrokenKernelsDiffer) {
  break_launchers(GetParam().name);
  bits::Property property(seed, {}, kernels::DeviceKind::cuda);
  constexpr std::uint64_t cases = 60;
  for (std::uint64_t number = 0; number < cases; ++number) {
    if (property.run(number).differences.empty()) continue;
    std::printf("noticed in case %llu\n", static_cast<unsigned long long>(number));
    return;
  }
  ADD_FAILURE() << cases << " cases of seed " << seed << " did not notice that " << GetParam().what;
}

INSTANTIATE_TEST_SUITE_P(Defects, CudaBitsOf, testing::ValuesIn(launcher_defects().begin(), launcher_defects().end()),
                         [](const auto& defect) { return std::string(defect.param.name); });

}  // namespace
}  // namespace troupe::tests
