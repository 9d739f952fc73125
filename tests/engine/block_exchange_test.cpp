#include "engine/block_exchange.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/random.hpp"

namespace troupe::engine {
namespace {

constexpr kernels::KvLayout layout{.layers = 2, .kv_heads = 3, .head_dim = 4};

BlockScope some_scope() {
  return {.fingerprint = {{1, 2, 3}},
          .numeric_class = "cpu-f32-v1",
          .first_layer = 0,
          .layers = layout.layers,
          .adapter = {},
          .tenant_salt = "tenant a"};
}

/// Honest in every field; the payloads are random.
BlockBundle bundle_of(std::size_t blocks, const BlockScope& scope = some_scope()) {
  Random random(blocks);
  BlockBundle bundle{.fingerprint = scope.fingerprint,
                     .numeric_class = std::string(scope.numeric_class),
                     .layout = layout,
                     .layout_version = kernels::kv_layout_version,
                     .blocks = std::vector<ExportedBlock>(blocks)};
  BlockId parent = root_identity(scope);
  for (ExportedBlock& block : bundle.blocks) {
    for (TokenId& token : block.tokens) token = static_cast<TokenId>(random.below(1000));
    block.parent = parent;
    block.id = parent = block_identity(parent, block.tokens);
    block.payload.resize(layout.block_elements());
    for (float& value : block.payload) value = random.uniform() - 0.5F;
    block.checksum = payload_checksum(block.payload);
  }
  return bundle;
}

void flip_bit(float& value, int bit) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  bits ^= std::uint32_t{1} << bit;
  std::memcpy(&value, &bits, sizeof bits);
}

void expect_refused(const BlockBundle& bundle, ErrorCode code, const std::vector<std::string>& words) {
  const auto result = verify(bundle, some_scope(), layout);
  ASSERT_FALSE(result) << "taken for true; expected something about \"" << words.front() << '"';
  EXPECT_EQ(result.error().code, code) << result.error().message;
  for (const auto& word : words) EXPECT_NE(result.error().message.find(word), std::string::npos) << result.error().message;
}

TEST(BlockExchange, BelievesAnHonestBundle) {
  EXPECT_TRUE(verify(bundle_of(5), some_scope(), layout));
  EXPECT_TRUE(verify(bundle_of(0), some_scope(), layout)) << "no blocks are no lie";
}

/// XXH3_64bits with seed 0, as any other program computes it over these bytes.
TEST(BlockExchange, ChecksumsAreTheSameForEver) {
  EXPECT_EQ(payload_checksum(std::vector<float>{0, 1, 2, 3}), 0x0aee2086d517557eU);
  EXPECT_EQ(payload_checksum({}), 0x2d06800538d394c2U);
}

TEST(BlockExchange, RefusesBlocksOfAnotherModelClassOrLayout) {
  auto bundle = bundle_of(2);
  bundle.fingerprint.bytes[31] ^= 1;
  expect_refused(bundle, ErrorCode::invalid_argument, {"fingerprint", "01020300"});

  bundle = bundle_of(2);
  bundle.numeric_class = "cuda-sm90-v1";
  expect_refused(bundle, ErrorCode::invalid_argument, {"cuda-sm90-v1", "cpu-f32-v1"});

  bundle = bundle_of(2);
  bundle.layout_version = 7;
  expect_refused(bundle, ErrorCode::invalid_argument, {"layout version 7", "has 1"});

  bundle = bundle_of(2);
  std::swap(bundle.layout.kv_heads, bundle.layout.head_dim);
  expect_refused(bundle, ErrorCode::invalid_argument, {"2 layers of 4 heads of 3 floats", "2 layers of 3 heads of 4 floats"});
}

TEST(BlockExchange, RefusesAChainOfAnotherTenantClassOrModelThatIsRelabelled) {
  for (const int lie : {0, 1, 2, 3, 4}) {
    BlockScope other = some_scope();
    if (lie == 0) other.tenant_salt = "tenant b";
    if (lie == 1) other.numeric_class = "cuda-sm90-v1";
    if (lie == 2) other.fingerprint.bytes[0] = 9;
    if (lie == 3) other.adapter = "lora";
    if (lie == 4) other.first_layer = 2;
    auto bundle = bundle_of(2, other);
    bundle.numeric_class = some_scope().numeric_class;
    bundle.fingerprint = some_scope().fingerprint;
    expect_refused(bundle, ErrorCode::corrupt, {"block 0 of 2", "does not begin at the root"});
  }
}

TEST(BlockExchange, NeverTellsTheRootOfATenant) {
  auto bundle = bundle_of(1);
  bundle.blocks[0].parent = {};
  const auto result = verify(bundle, some_scope(), layout);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message.find(to_hex(root_identity(some_scope()))), std::string::npos);
}

TEST(BlockExchange, RefusesAWrongToken) {
  auto bundle = bundle_of(3);
  bundle.blocks[1].tokens[15] ^= 1;
  expect_refused(bundle, ErrorCode::corrupt, {"block 1 of 3", "its parent and tokens make it", to_hex(bundle.blocks[1].id)});
}

TEST(BlockExchange, RefusesAWrongParentOrIdentity) {
  auto bundle = bundle_of(3);
  bundle.blocks[2].parent.bytes[15] ^= 1;
  expect_refused(bundle, ErrorCode::corrupt, {"block 2 of 3", "not the block before it"});

  bundle = bundle_of(3);
  bundle.blocks[2].id.bytes[0] ^= 0x80;
  expect_refused(bundle, ErrorCode::corrupt, {"block 2 of 3", "says that it is"});
}

TEST(BlockExchange, RefusesBlocksThatAreSwappedDroppedOrDoubled) {
  auto bundle = bundle_of(4);
  std::swap(bundle.blocks[1], bundle.blocks[2]);
  expect_refused(bundle, ErrorCode::corrupt, {"block 1 of 4", "not the block before it"});

  bundle = bundle_of(4);
  bundle.blocks.erase(bundle.blocks.begin() + 2);
  expect_refused(bundle, ErrorCode::corrupt, {"block 2 of 3"});

  bundle = bundle_of(4);
  bundle.blocks.erase(bundle.blocks.begin());
  expect_refused(bundle, ErrorCode::corrupt, {"block 0 of 3", "root"});

  bundle = bundle_of(4);
  bundle.blocks.insert(bundle.blocks.begin() + 1, bundle.blocks[0]);
  expect_refused(bundle, ErrorCode::corrupt, {"block 1 of 5"});
}

TEST(BlockExchange, RefusesAPayloadOfTheWrongLength) {
  auto bundle = bundle_of(3);
  bundle.blocks[1].payload.pop_back();
  bundle.blocks[1].checksum = payload_checksum(bundle.blocks[1].payload);  // the liar made it fit
  expect_refused(bundle, ErrorCode::corrupt, {"block 1 of 3", "767 floats", "768"});

  bundle = bundle_of(3);
  bundle.blocks[2].payload.push_back(0);
  bundle.blocks[2].checksum = payload_checksum(bundle.blocks[2].payload);
  expect_refused(bundle, ErrorCode::corrupt, {"block 2 of 3", "769 floats", "768"});

  bundle = bundle_of(3);
  bundle.blocks[0].payload.clear();
  expect_refused(bundle, ErrorCode::corrupt, {"block 0 of 3", "0 floats"});
}

TEST(BlockExchange, RefusesEveryFlippedBitOfAPayloadAndOfItsChecksum) {
  const auto honest = bundle_of(1);
  for (std::size_t i = 0; i < honest.blocks[0].payload.size(); i += 37) {
    for (const int bit : {0, 13, 31}) {
      auto bundle = honest;
      flip_bit(bundle.blocks[0].payload[i], bit);
      expect_refused(bundle, ErrorCode::corrupt, {"block 0 of 1", "checksum"});
    }
  }
  for (int bit = 0; bit < 64; ++bit) {
    auto bundle = honest;
    bundle.blocks[0].checksum ^= std::uint64_t{1} << bit;
    expect_refused(bundle, ErrorCode::corrupt, {"block 0 of 1", "checksum"});
  }
}

TEST(BlockExchange, RefusesMoreBlocksThanItsLimitBeforeLookingAtThem) {
  BlockBundle bundle = bundle_of(0);
  bundle.blocks.resize(bundle_blocks_max + 1);
  expect_refused(bundle, ErrorCode::too_large, {std::to_string(bundle_blocks_max + 1), std::to_string(bundle_blocks_max)});
}

TEST(BlockExchange, RefusesNonsenseDimensionsWithoutComputingWithThem) {
  auto bundle = bundle_of(1);
  constexpr auto huge = std::numeric_limits<std::int32_t>::max();
  bundle.layout = {.layers = huge, .kv_heads = huge, .head_dim = -1};
  expect_refused(bundle, ErrorCode::invalid_argument, {"2147483647 layers", "-1 floats"});
}

/// Any one random change to any one field is found.
TEST(BlockExchange, RefusesEveryRandomLie) {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    auto bundle = bundle_of(1 + random.below(4));
    ExportedBlock& block = bundle.blocks[random.below(bundle.blocks.size())];
    const auto bit = random.below(8);
    switch (random.below(6)) {
      case 0: block.id.bytes[random.below(16)] ^= static_cast<std::uint8_t>(1U << bit); break;
      case 1: block.parent.bytes[random.below(16)] ^= static_cast<std::uint8_t>(1U << bit); break;
      case 2: block.tokens[random.below(16)] ^= 1 << bit; break;
      case 3: block.checksum ^= std::uint64_t{1} << random.below(64); break;
      case 4: flip_bit(block.payload[random.below(block.payload.size())], static_cast<int>(random.below(32))); break;
      case 5: block.payload.resize(random.below(block.payload.size())); break;
    }
    ASSERT_FALSE(verify(bundle, some_scope(), layout));
  }
}

}  // namespace
}  // namespace troupe::engine
