#include "kernels/open_device.hpp"

#include <gtest/gtest.h>

namespace troupe::kernels {
namespace {

bool gpu_is_here() { return open_device({.wish = DeviceWish::cuda, .gpu = 0, .cpu = {}}).has_value(); }

TEST(OpenDevice, OpensTheCpuThatIsAskedFor) {
  const auto opened =
      open_device({.wish = DeviceWish::cpu, .gpu = 0, .cpu = {.instruction_set = InstructionSet::plain, .threads = 3}});
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->device->kind(), DeviceKind::cpu);
  EXPECT_EQ(opened->device->description(), "cpu, plain, 3 threads");
  EXPECT_EQ(opened->why, "") << "nobody asked for a GPU";
  EXPECT_EQ(opened->device->free_bytes(), std::nullopt) << "a CPU's memory is everybody's";
}

TEST(OpenDevice, SaysWhyThereIsNoGpu) {
  if (gpu_is_here()) GTEST_SKIP() << "there is one";
  const auto opened = open_device({.wish = DeviceWish::cuda, .gpu = 0, .cpu = {}});
  ASSERT_FALSE(opened);
  EXPECT_TRUE(opened.error().code == ErrorCode::unavailable || opened.error().code == ErrorCode::unsupported);
  EXPECT_NE(opened.error().message.find(built_with_cuda() ? "the CPU" : "CUDA 13's compiler"), std::string::npos)
      << opened.error().message;
}

TEST(OpenDevice, TakesTheCpuWhereThereIsNoGpu) {
  if (gpu_is_here()) GTEST_SKIP() << "there is one";
  const auto opened = open_device({});
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->device->kind(), DeviceKind::cpu);
}

TEST(OpenDevice, PassesOnWhatTheCpuRefuses) {
  const auto opened = open_device({.wish = DeviceWish::cpu, .gpu = 0, .cpu = {.instruction_set = {}, .threads = -1}});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::out_of_range);
}

}  // namespace
}  // namespace troupe::kernels
