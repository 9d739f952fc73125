#include "kernels/numeric_class.hpp"

#include <gtest/gtest.h>

#include "kernels/kv_layout.hpp"

namespace troupe::kernels {
namespace {

TEST(NumericClass, IsTheDevicesAndSaysWhatABlockHolds) {
  EXPECT_EQ(numeric_class(DeviceKind::cpu), "cpu-f32-v1");
  EXPECT_EQ(kv_element_bytes(DeviceKind::cpu), 4);
  EXPECT_EQ(numeric_class(DeviceKind::cuda), "cuda-sm90-v1");
  EXPECT_EQ(kv_element_bytes(DeviceKind::cuda), 2);
}

TEST(NumericClass, OnlyTheHostsOwnMemoryIsReadableFromTheHost) {
  EXPECT_TRUE(host_readable(DeviceKind::cpu));
  EXPECT_FALSE(host_readable(DeviceKind::cuda));
}

TEST(NumericClass, BlocksAreAsLongAsTheirNumbers) {
  KvLayout layout{.layers = 3, .kv_heads = 2, .head_dim = 64};
  EXPECT_EQ(layout.block_elements(), 3U * 2 * 2 * 16 * 64);
  EXPECT_EQ(layout.block_bytes(), 4 * layout.block_elements()) << "float32, if nothing else is said";
  layout.element_bytes = kv_element_bytes(DeviceKind::cuda);
  EXPECT_EQ(layout.block_bytes(), 2 * layout.block_elements());
}

}  // namespace
}  // namespace troupe::kernels
