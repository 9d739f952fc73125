// What tests of kernels share: devices of each instruction set, random numbers in bulk, and equality of bits.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "kernels/cpu_device.hpp"

namespace troupe::tests {

/// Half a unit in the last place of 1 in float: the relative error of one rounding.
inline constexpr double unit_roundoff = 0x1p-24;

/// A device that must exist: the instruction set is supported.
std::unique_ptr<kernels::CpuDevice> cpu_device(kernels::InstructionSet set, int threads);

/// Uniform in [-scale, scale).
std::vector<float> random_floats(Random& random, std::size_t count, float scale = 1);

/// Equal bit for bit; of NaN it only matters that both are one. Says where the first difference is.
::testing::AssertionResult same_bits(std::span<const float> actual, std::span<const float> expected);

/// Runs once per instruction set besides plain; one that this processor lacks is skipped, and says so.
class AcrossInstructionSets : public ::testing::TestWithParam<kernels::InstructionSet> {
 protected:
  void SetUp() override;
};

std::string instruction_set_of(const ::testing::TestParamInfo<kernels::InstructionSet>& info);

}  // namespace troupe::tests

/// `TROUPE_ACROSS_INSTRUCTION_SETS(SwigluBits)` runs a fixture's TEST_Ps for every instruction set.
#define TROUPE_ACROSS_INSTRUCTION_SETS(fixture)                                                                           \
  INSTANTIATE_TEST_SUITE_P(                                                                                               \
      On, fixture, ::testing::Values(::troupe::kernels::InstructionSet::avx2, ::troupe::kernels::InstructionSet::avx512), \
      ::troupe::tests::instruction_set_of)
