#include "kernels/packed_matrix.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.hpp"

namespace troupe::kernels {
namespace {

std::vector<bf16> numbered(std::int32_t outputs, std::int32_t inputs, int start) {
  std::vector<bf16> rows(static_cast<std::size_t>(outputs) * static_cast<std::size_t>(inputs));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].bits = static_cast<std::uint16_t>(static_cast<int>(i) + start);
  return rows;
}

PackedMatrix shape(std::int32_t outputs, std::int32_t inputs) {
  return {.data = nullptr, .outputs = outputs, .inputs = inputs};
}

/// Where weight [output, input] belongs, written as the header's layout says it.
std::size_t place(std::int32_t inputs, std::int32_t output, std::int32_t input) {
  return (static_cast<std::size_t>(output / 32) * static_cast<std::size_t>(inputs) + static_cast<std::size_t>(input)) * 32 +
         static_cast<std::size_t>(output % 32);
}

void expect_packed(const std::vector<bf16>& packed, const std::vector<bf16>& rows, std::int32_t outputs, std::int32_t inputs) {
  std::vector<int> expected(packed.size(), 0);
  for (std::int32_t n = 0; n < outputs; ++n) {
    for (std::int32_t k = 0; k < inputs; ++k) {
      expected[place(inputs, n, k)] =
          rows[static_cast<std::size_t>(n) * static_cast<std::size_t>(inputs) + static_cast<std::size_t>(k)].bits;
    }
  }
  for (std::size_t i = 0; i < packed.size(); ++i) ASSERT_EQ(packed[i].bits, expected[i]) << "element " << i;
}

TEST(PackedMatrix, CountsPanelsAndElementsWithTheirPadding) {
  EXPECT_EQ(shape(64, 10).panels(), 2);
  EXPECT_EQ(shape(64, 10).elements(), 640U);
  EXPECT_EQ(shape(65, 10).panels(), 3);
  EXPECT_EQ(shape(65, 10).elements(), 960U);
  EXPECT_EQ(shape(1, 7).panel_elements(), 224U);
}

TEST(PackedMatrix, PutsAnInputsWeightsOfAPanelSideBySide) {
  const auto rows = numbered(2, 3, 100);
  std::vector<bf16> packed(shape(2, 3).elements());
  pack_rows(packed.data(), 3, 0, rows.data(), 2);
  EXPECT_EQ(packed[0].bits, 100);   // [output 0, input 0]
  EXPECT_EQ(packed[1].bits, 103);   // [output 1, input 0]
  EXPECT_EQ(packed[32].bits, 101);  // [output 0, input 1]
  EXPECT_EQ(packed[2].bits, 0);     // padding
}

TEST(PackedMatrix, PacksEveryShapeAndLeavesThePaddingAlone) {
  for (const std::int32_t outputs : {1, 31, 32, 33, 64, 100}) {
    for (const std::int32_t inputs : {1, 127, 128, 129, 300}) {
      const auto rows = numbered(outputs, inputs, 1);
      std::vector<bf16> packed(shape(outputs, inputs).elements());
      pack_rows(packed.data(), inputs, 0, rows.data(), outputs);
      expect_packed(packed, rows, outputs, inputs);
    }
  }
}

TEST(PackedMatrix, TensorsPackedBelowEachOtherEqualOneTensor) {
  Random random(17);
  for (int round = 0; round < 20; ++round) {
    const auto inputs = static_cast<std::int32_t>(random.between(1, 200));
    const auto outputs = static_cast<std::int32_t>(random.between(1, 150));
    const auto rows = numbered(outputs, inputs, 1);
    std::vector<bf16> packed(shape(outputs, inputs).elements());
    for (std::int32_t first = 0; first < outputs;) {
      const auto count = static_cast<std::int32_t>(random.between(1, outputs - first));
      pack_rows(packed.data(), inputs, first, rows.data() + static_cast<std::size_t>(first) * static_cast<std::size_t>(inputs),
                count);
      first += count;
    }
    expect_packed(packed, rows, outputs, inputs);
  }
}

}  // namespace
}  // namespace troupe::kernels
