#include "engine/block_exchange.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <set>
#include <span>
#include <vector>

#include "base/random.hpp"

namespace troupe::engine {
namespace {

constexpr BlockId some_name{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

std::vector<std::byte> bytes_of(std::span<const float> numbers) {
  const auto bytes = std::as_bytes(numbers);
  return {bytes.begin(), bytes.end()};
}

/// XXH3_64bits_withSeed, as any other program computes it over these bytes.
TEST(BlockExchange, ChecksumsAreTheSameForEver) {
  EXPECT_EQ(block_checksum({}, bytes_of(std::vector<float>{0, 1, 2, 3})), 0x0aee2086d517557eU) << "no name: a seed of 0";
  EXPECT_EQ(block_checksum({}, {}), 0x2d06800538d394c2U);
}

TEST(BlockExchange, TheRightContentsUnderAnotherNameAreWrong) {
  const auto payload = bytes_of(std::vector<float>(100, 1.5F));
  BlockId other = some_name;
  other.bytes[3] ^= 1U;
  EXPECT_NE(block_checksum(some_name, payload), block_checksum(other, payload));
}

TEST(BlockExchange, EveryFlippedBitIsNoticed) {
  std::vector<float> numbers(64);
  Random random(5);
  for (float& value : numbers) value = random.uniform();
  auto payload = bytes_of(numbers);
  std::set<std::uint64_t> seen{block_checksum(some_name, payload)};
  for (std::size_t bit = 0; bit < payload.size() * 8; ++bit) {
    payload[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_TRUE(seen.insert(block_checksum(some_name, payload)).second) << "bit " << bit;
    payload[bit / 8] ^= std::byte{1} << (bit % 8);
  }
}

TEST(BlockExchange, ShorterContentsAreWrong) {
  const std::vector<std::byte> payload(256);
  std::set<std::uint64_t> seen;
  for (std::size_t length = 0; length <= payload.size(); ++length) {
    EXPECT_TRUE(seen.insert(block_checksum(some_name, std::span(payload).first(length))).second) << length;
  }
}

}  // namespace
}  // namespace troupe::engine
