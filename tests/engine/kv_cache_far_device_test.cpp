// A KV cache in memory that the host cannot read: what goes in and comes out takes the device's stream, and only when it must.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <numeric>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/kv_cache.hpp"
#include "tests/support/plain_device.hpp"

namespace troupe::engine {
namespace {

using Bytes = std::vector<std::byte>;

constexpr kernels::KvLayout layout{.layers = 2, .kv_heads = 1, .head_dim = 4, .element_bytes = 2};

class Keeper final : public EvictedBlocks {
 public:
  void keep(const BlockId& id, std::uint64_t checksum, std::span<const std::byte> payload) override {
    EXPECT_EQ(block_checksum(id, payload), checksum);
    ids.push_back(id);
    payloads.emplace_back(payload.begin(), payload.end());
  }
  std::vector<BlockId> ids;
  std::vector<Bytes> payloads;
};

class KvCacheFarAway : public ::testing::Test {
 protected:
  /// Of a tenant who has asked for so many tokens, counted from 0.
  std::vector<BlockId> chain(std::int32_t blocks, std::string_view salt = {}) const {
    std::vector<TokenId> tokens(static_cast<std::size_t>(blocks) * kv_block_positions);
    std::iota(tokens.begin(), tokens.end(), 0);
    return chain_of(cache_.scope(salt), tokens);
  }
  static Bytes contents_of(const BlockId& id) { return Bytes(layout.block_bytes(), static_cast<std::byte>(id.bytes[0])); }

  /// As an engine does: a block that is written where it is, named, and let go of.
  void compute(const BlockId& id) {
    ASSERT_TRUE(cache_.pool().reserve(1));
    const BlockIndex block = cache_.take_reserved();
    std::ranges::copy(contents_of(id), cache_.block(block));
    ASSERT_TRUE(cache_.name(block, id));
    cache_.pool().release(block);
  }
  std::vector<PinnedBlock> pin_and_let_go(std::span<const BlockId> ids) {
    auto pinned = cache_.pin(ids);
    for (const PinnedBlock& block : pinned) cache_.pool().release(block.index);
    return pinned;
  }
  std::size_t copied() { return device_.stream().bytes_copied(); }

  testing::PlainDevice device_{std::numeric_limits<std::size_t>::max(), testing::far_device};
  KvCache cache_ = KvCache::create(device_, layout, 3, {{1, 2, 3}}, "cuda-sm90-v1").value();
};

TEST_F(KvCacheFarAway, HasBlocksOfItsElementsSize) {
  EXPECT_FALSE(cache_.host_readable());
  EXPECT_EQ(layout.block_bytes(), 2U * 2 * 16 * 4 * 2);
  EXPECT_EQ(cache_.bytes(), 3 * layout.block_bytes());
  EXPECT_EQ(cache_.block(2) - cache_.data(), static_cast<std::ptrdiff_t>(2 * layout.block_bytes()));
  kernels::KvLayout nothing = layout;
  nothing.element_bytes = 0;
  EXPECT_EQ(KvCache::create(device_, nothing, 3, {}, "cuda-sm90-v1").error().code, ErrorCode::invalid_argument);
}

TEST_F(KvCacheFarAway, CopiesNothingToNameABlockAndOnceToPinIt) {
  const auto ids = chain(2);
  for (const BlockId& id : ids) compute(id);
  EXPECT_EQ(copied(), 0U);
  for (int times = 0; times < 2; ++times) {
    const auto pinned = pin_and_let_go(ids);
    ASSERT_EQ(pinned.size(), 2U);
    for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(pinned[i].checksum, block_checksum(ids[i], contents_of(ids[i])));
    EXPECT_EQ(copied(), 2 * layout.block_bytes());
  }
}

TEST_F(KvCacheFarAway, CopiesAnEvictedBlockOnlyForWhoeverKeepsIt) {
  const auto ids = chain(3);
  const auto others = chain(3, "another tenant");
  for (const BlockId& id : ids) compute(id);
  compute(others[0]);
  EXPECT_EQ(copied(), 0U);
  const auto keeper = std::make_shared<Keeper>();
  cache_.keep_evicted(keeper);
  compute(others[1]);
  compute(others[2]);
  EXPECT_EQ(copied(), 2 * layout.block_bytes());
  ASSERT_EQ(keeper->ids.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(keeper->payloads[i], contents_of(keeper->ids[i]));
}

TEST_F(KvCacheFarAway, ForgetsAChecksumWithItsBlock) {
  const auto ids = chain(3);
  for (const BlockId& id : ids) compute(id);
  pin_and_let_go(ids);
  const auto others = chain(3, "another tenant");
  for (const BlockId& id : others) compute(id);
  const auto pinned = pin_and_let_go(others);
  ASSERT_EQ(pinned.size(), 3U);
  for (const PinnedBlock& block : pinned) EXPECT_EQ(block.checksum, block_checksum(block.id, contents_of(block.id)));
}

TEST_F(KvCacheFarAway, VerifiesWhatWasWrittenFromTheHost) {
  const auto ids = chain(3);
  const BlockImport import = cache_.begin_import(ids);
  ASSERT_EQ(import.incoming.size(), 3U);
  std::vector<Bytes> contents;
  std::vector<std::uint64_t> checksums;
  for (const auto& [id, index] : import.incoming) {
    contents.push_back(contents_of(id));
    checksums.push_back(block_checksum(id, contents.back()));
  }
  contents[2].back() ^= std::byte{1};
  for (std::size_t i = 0; i < 3; ++i) cache_.write(import.incoming[i].index, contents[i]);
  const BlocksImported imported = cache_.finish_import(import, checksums);
  EXPECT_EQ(imported.usable, 2U);
  EXPECT_EQ(imported.wrong, 1U);
  const std::size_t before = copied();
  const auto pinned = pin_and_let_go(ids);
  ASSERT_EQ(pinned.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(pinned[i].checksum, checksums[i]);
    EXPECT_TRUE(std::ranges::equal(std::span(cache_.block(pinned[i].index), layout.block_bytes()), contents[i]));
  }
  EXPECT_EQ(copied(), before) << "the checksum that came with it is known";
}

}  // namespace
}  // namespace troupe::engine
