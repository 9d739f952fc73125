// What is said of GPUs that cannot be computed on; no machine has them all.
#include "kernels/usable_gpu.hpp"

#include <gtest/gtest.h>

namespace troupe::kernels {
namespace {

GpuFacts hopper() {
  return {.driver = 13000,
          .runtime = 13000,
          .count = 2,
          .counting_failed = {},
          .ordinal = 1,
          .asking_failed = {},
          .name = "NVIDIA H200",
          .capability_major = 9,
          .capability_minor = 0};
}

void expect_refused(const GpuFacts& facts, ErrorCode code, const std::string& said) {
  const auto checked = check_gpu(facts);
  ASSERT_FALSE(checked) << said;
  EXPECT_EQ(checked.error().code, code) << checked.error().message;
  EXPECT_NE(checked.error().message.find(said), std::string::npos) << checked.error().message;
}

TEST(UsableGpu, IsAHopperWithADriverOfTheBuildsCuda) {
  EXPECT_TRUE(check_gpu(hopper()));
  GpuFacts newer = hopper();
  newer.driver = 14010;
  EXPECT_TRUE(check_gpu(newer));
}

TEST(UsableGpu, ADriverOfTheSameMajorVersionIsNewEnough) {
  GpuFacts facts = hopper();
  facts.runtime = 13020;
  EXPECT_TRUE(check_gpu(facts));
}

TEST(UsableGpu, NeedsADriver) {
  GpuFacts facts = hopper();
  facts.driver = 0;
  expect_refused(facts, ErrorCode::unavailable, "no NVIDIA driver is here");
}

TEST(UsableGpu, RefusesADriverThatIsTooOldAndNamesBothVersions) {
  GpuFacts facts = hopper();
  facts.driver = 12080;
  facts.counting_failed = "CUDA driver version is insufficient for CUDA runtime version";
  expect_refused(facts, ErrorCode::unsupported, "is for CUDA 12.8, this build needs one for 13.0");
}

TEST(UsableGpu, SaysWhyNoneIsThere) {
  GpuFacts facts = hopper();
  facts.count = 0;
  expect_refused(facts, ErrorCode::unavailable, "the driver counts none");
  facts.counting_failed = "no CUDA-capable device is detected";
  expect_refused(facts, ErrorCode::unavailable, "(no CUDA-capable device is detected)");
}

TEST(UsableGpu, RefusesOneThatIsNotThere) {
  for (const std::int32_t ordinal : {-1, 2}) {
    GpuFacts facts = hopper();
    facts.ordinal = ordinal;
    expect_refused(facts, ErrorCode::out_of_range, "GPU " + std::to_string(ordinal) + " was asked for, and there are 2");
  }
}

TEST(UsableGpu, RefusesOtherGenerationsByName) {
  struct Other {
    const char* name;
    std::int32_t major;
    std::int32_t minor;
  };
  for (const Other& other : {Other{"NVIDIA A100-SXM4-80GB", 8, 0}, Other{"NVIDIA L40S", 8, 9}, Other{"NVIDIA B200", 10, 0}}) {
    GpuFacts facts = hopper();
    facts.name = other.name;
    facts.capability_major = other.major;
    facts.capability_minor = other.minor;
    expect_refused(facts, ErrorCode::unsupported,
                   std::string("GPU 1 is a ") + other.name + " of compute capability " + std::to_string(other.major) + "." +
                       std::to_string(other.minor));
  }
}

TEST(UsableGpu, SaysThatOneDoesNotAnswer) {
  GpuFacts facts = hopper();
  facts.asking_failed = "unknown error";
  expect_refused(facts, ErrorCode::unavailable, "GPU 1 does not answer: unknown error");
}

}  // namespace
}  // namespace troupe::kernels
