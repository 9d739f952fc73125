// What all tests of CUDA kernels begin with.
#pragma once

#include <gtest/gtest.h>

#include "tests/gpu/hopper.hpp"

namespace troupe::kernels::cuda {

/// Skips its tests where there is no GPU of compute capability 9.0, and says so.
class OnHopper : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_hopper()) GTEST_SKIP() << "NOTHING WAS CHECKED: " << *why;
  }
};

}  // namespace troupe::kernels::cuda
