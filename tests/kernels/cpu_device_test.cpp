#include "kernels/cpu_device.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <string>
#include <vector>

namespace troupe::kernels {
namespace {

TEST(CpuDevice, DescribesItself) {
  auto device = CpuDevice::create({.instruction_set = InstructionSet::plain, .threads = 2});
  ASSERT_TRUE(device) << device.error().message;
  EXPECT_EQ((*device)->description(), "cpu, plain, 2 threads");
  EXPECT_EQ((*device)->kind(), DeviceKind::cpu);
  EXPECT_EQ((*device)->stream().pool().threads(), 2);
  EXPECT_EQ((*CpuDevice::create({.instruction_set = InstructionSet::plain, .threads = 1}))->description(),
            "cpu, plain, 1 thread");
}

TEST(CpuDevice, ChoosesTheBestInstructionSetAndAtLeastOneThreadByItself) {
  auto device = CpuDevice::create();
  ASSERT_TRUE(device) << device.error().message;
  EXPECT_EQ((*device)->instruction_set(), best_instruction_set());
  EXPECT_GE((*device)->stream().pool().threads(), 1);
}

TEST(CpuDevice, RefusesAnInstructionSetThatIsNotThere) {
  for (const InstructionSet set : {InstructionSet::avx2, InstructionSet::avx512}) {
    auto device = CpuDevice::create({.instruction_set = set, .threads = 1});
    ASSERT_EQ(device.has_value(), is_supported(set));
    if (!device) {
      EXPECT_EQ(device.error().code, ErrorCode::unsupported);
      EXPECT_NE(device.error().message.find(to_string(set)), std::string::npos) << device.error().message;
    }
  }
}

TEST(CpuDevice, RefusesImpossibleNumbersOfThreads) {
  for (const int threads : {-1, 1025, std::numeric_limits<int>::max()}) {
    auto device = CpuDevice::create({.threads = threads});
    ASSERT_FALSE(device);
    EXPECT_EQ(device.error().code, ErrorCode::out_of_range);
    EXPECT_NE(device.error().message.find(std::to_string(threads)), std::string::npos) << device.error().message;
  }
}

TEST(CpuDevice, UsesTheOperationsThatATestGivesIt) {
  const CpuOps none{};
  auto device = CpuDevice::create({.threads = 1, .operations = &none});
  ASSERT_TRUE(device) << device.error().message;
  EXPECT_EQ(&(*device)->stream().operations(), &none);
}

TEST(CpuDevice, MemoryIsAlignedAndZeroed) {
  auto device = CpuDevice::create({.threads = 1});
  ASSERT_TRUE(device) << device.error().message;
  constexpr std::size_t huge = std::size_t{2} << 20;
  for (const std::size_t bytes :
       {std::size_t{1}, std::size_t{63}, std::size_t{4096}, huge - 1, huge, huge + 1, 3 * huge + 12345}) {
    for (int again = 0; again < 2; ++again) {  // the second time the allocator may hand out what was written before
      auto memory = (*device)->allocate(bytes);
      ASSERT_TRUE(memory) << memory.error().message;
      EXPECT_EQ(memory->bytes(), bytes);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory->data()) % (bytes < huge ? 64 : huge), 0U);
      const std::vector<char> zeros(bytes);
      EXPECT_EQ(std::memcmp(memory->data(), zeros.data(), bytes), 0);
      std::memset(memory->data(), 0xFF, bytes);
    }
  }
}

TEST(CpuDevice, AnEmptyAllocationHasNoMemory) {
  auto device = CpuDevice::create({.threads = 1});
  ASSERT_TRUE(device) << device.error().message;
  auto memory = (*device)->allocate(0);
  ASSERT_TRUE(memory) << memory.error().message;
  EXPECT_EQ(memory->bytes(), 0U);
}

TEST(CpuDevice, SaysHowMuchItCouldNotAllocate) {
  auto device = CpuDevice::create({.threads = 1});
  ASSERT_TRUE(device) << device.error().message;
  for (const std::size_t bytes : {std::size_t{1} << 60, std::numeric_limits<std::size_t>::max()}) {
    auto memory = (*device)->allocate(bytes);
    ASSERT_FALSE(memory);
    EXPECT_EQ(memory.error().code, ErrorCode::overloaded);
    EXPECT_NE(memory.error().message.find(std::to_string(bytes)), std::string::npos) << memory.error().message;
  }
}

TEST(CpuDevice, CopiesOnItsStream) {
  auto device = CpuDevice::create({.threads = 1});
  ASSERT_TRUE(device) << device.error().message;
  auto memory = (*device)->allocate(5);
  ASSERT_TRUE(memory) << memory.error().message;
  CpuStream& stream = (*device)->stream();
  stream.copy(memory->data(), "abcd", 5);
  stream.copy(nullptr, nullptr, 0);
  stream.synchronize();
  EXPECT_STREQ(memory->as<const char>(), "abcd");
}

TEST(CpuDevice, CountsSecondsInsideOperations) {
  auto device = CpuDevice::create({.threads = 1});
  ASSERT_TRUE(device) << device.error().message;
  CpuStream& stream = (*device)->stream();
  EXPECT_EQ(stream.busy_seconds(), 0);
  double before = 0;
  for (int i = 0; i < 3; ++i) {
    {
      const CpuStream::Timing timing(stream);
      for (volatile int spin = 0; spin < 100000;) spin = spin + 1;
    }
    EXPECT_GT(stream.busy_seconds(), before);
    before = stream.busy_seconds();
  }
}

}  // namespace
}  // namespace troupe::kernels
