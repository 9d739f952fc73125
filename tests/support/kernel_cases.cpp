#include "tests/support/kernel_cases.hpp"

#include <bit>
#include <cmath>

#include "base/check.hpp"

namespace troupe::tests {

std::unique_ptr<kernels::CpuDevice> cpu_device(kernels::InstructionSet set, int threads) {
  auto device = kernels::CpuDevice::create({.instruction_set = set, .threads = threads});
  TROUPE_CHECK(device.has_value(), "a test asks only for devices that exist");
  return *std::move(device);
}

std::vector<float> random_floats(Random& random, std::size_t count, float scale) {
  std::vector<float> values(count);
  for (float& value : values) value = (2 * random.uniform() - 1) * scale;
  return values;
}

::testing::AssertionResult same_bits(std::span<const float> actual, std::span<const float> expected) {
  if (actual.size() != expected.size()) {
    return ::testing::AssertionFailure() << actual.size() << " values, expected " << expected.size();
  }
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (std::isnan(actual[i]) && std::isnan(expected[i])) continue;
    if (std::bit_cast<std::uint32_t>(actual[i]) == std::bit_cast<std::uint32_t>(expected[i])) continue;
    return ::testing::AssertionFailure() << "element " << i << " of " << actual.size() << " is " << std::hexfloat << actual[i]
                                         << ", expected " << expected[i];
  }
  return ::testing::AssertionSuccess();
}

void AcrossInstructionSets::SetUp() {
  if (kernels::is_supported(GetParam())) return;
  GTEST_SKIP() << "NOT TESTED HERE: this processor has no " << kernels::to_string(GetParam())
               << ", so its bits were not compared with plain C++'s";
}

std::string instruction_set_of(const ::testing::TestParamInfo<kernels::InstructionSet>& info) {
  return std::string(kernels::to_string(info.param));
}

}  // namespace troupe::tests
