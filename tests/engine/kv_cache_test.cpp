#include "engine/kv_cache.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "tests/support/plain_device.hpp"

namespace troupe::engine {
namespace {

using Tokens = std::vector<TokenId>;
using troupe::testing::PlainDevice;

constexpr kernels::KvLayout layout{.layers = 2, .kv_heads = 1, .head_dim = 4};
constexpr model::Fingerprint fingerprint{{1, 2, 3}};
constexpr std::string_view numeric_class = "cpu-f32-v1";
constexpr std::string_view salt = "tenant a";

KvCache make_cache(PlainDevice& device, std::int32_t blocks) {
  auto cache = KvCache::create(device, layout, blocks, fingerprint, std::string(numeric_class));
  EXPECT_TRUE(cache);
  return *std::move(cache);
}

Tokens counting_from(TokenId first, std::size_t count) {
  Tokens tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

/// What an engine would write: a function of the block's name alone.
std::vector<float> contents_of(const BlockId& id) {
  Random random(std::hash<BlockId>{}(id));
  std::vector<float> contents(layout.block_elements());
  for (float& value : contents) value = random.uniform();
  return contents;
}

bool has_contents_of(const KvCache& cache, BlockIndex block, const BlockId& id) {
  return std::ranges::equal(std::span(cache.block(block), layout.block_elements()), contents_of(id));
}

/// Runs a sequence as an engine does: holds what is here, takes and writes the rest, names it, lets go. Returns whether it
/// fitted.
bool run_sequence(KvCache& cache, const Tokens& tokens, std::string_view tenant_salt = salt) {
  BlockPool& pool = cache.pool();
  std::vector<BlockIndex> held;
  const auto let_go = [&] { std::for_each(held.rbegin(), held.rend(), [&](BlockIndex block) { pool.release(block); }); };
  for (const BlockIndex block : cache.match_prefix(tokens, tenant_salt)) {
    if (!pool.hold(block)) return let_go(), false;
    held.push_back(block);
  }
  const auto missing = static_cast<std::int32_t>(tokens.size() / kv_block_positions - held.size());
  if (!pool.reserve(missing)) return let_go(), false;
  BlockId id = root_identity(cache.scope(tenant_salt));
  for (std::size_t i = 0; i < tokens.size() / kv_block_positions; ++i) {
    id = block_identity(id, std::span(tokens).subspan(i * kv_block_positions).first<kv_block_positions>());
    if (i < held.size()) continue;
    held.push_back(pool.take_reserved());
    std::ranges::copy(contents_of(id), cache.block(held.back()));
    EXPECT_TRUE(pool.name(held.back(), id));
  }
  let_go();
  return true;
}

/// Free, cached, held and reserved blocks, and every byte: what a refused import must leave alone.
struct State {
  std::int32_t free, cached, held, reserved;
  std::uint64_t evictions;
  std::vector<float> bytes;
  explicit State(const KvCache& cache)
      : free(cache.pool().free()),
        cached(cache.pool().cached()),
        held(cache.pool().held()),
        reserved(cache.pool().reserved()),
        evictions(cache.pool().evictions()),
        bytes(cache.data(), cache.data() + cache.bytes() / sizeof(float)) {}
  bool operator==(const State&) const = default;
};

TEST(KvCache, AllocatesItsBlocksOnce) {
  PlainDevice device;
  {
    KvCache cache = make_cache(device, 10);
    EXPECT_EQ(cache.bytes(), 10 * layout.block_bytes());
    EXPECT_EQ(device.bytes_used(), cache.bytes());
    EXPECT_EQ(cache.pool().free(), 10);
    EXPECT_EQ(cache.block(3), cache.data() + 3 * layout.block_elements());
  }
  EXPECT_EQ(device.bytes_used(), 0U);
}

TEST(KvCache, RefusesSizesThatCannotBe) {
  PlainDevice device(1 << 20);
  constexpr auto huge = std::numeric_limits<std::int32_t>::max();
  const auto refusal = [&](const kernels::KvLayout& shape, std::int32_t blocks) {
    const auto cache = KvCache::create(device, shape, blocks, fingerprint, "cpu-f32-v1");
    EXPECT_FALSE(cache);
    return cache ? Error{ErrorCode::io, "none"} : cache.error();
  };
  EXPECT_EQ(refusal(layout, 0).code, ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(layout, -1).code, ErrorCode::invalid_argument);
  EXPECT_EQ(refusal({.layers = 0, .kv_heads = 1, .head_dim = 1}, 1).code, ErrorCode::invalid_argument);
  EXPECT_EQ(refusal({.layers = 1, .kv_heads = -4, .head_dim = 1}, 1).code, ErrorCode::invalid_argument);
  EXPECT_EQ(refusal({.layers = huge, .kv_heads = huge, .head_dim = huge}, huge).code, ErrorCode::too_large);
  EXPECT_EQ(refusal({.layers = huge, .kv_heads = 1, .head_dim = 1}, huge).code, ErrorCode::too_large);
  EXPECT_EQ(refusal({.layers = 1 << 20, .kv_heads = 1 << 20, .head_dim = 1 << 20}, 16).code, ErrorCode::too_large)
      << "a product that wraps around to zero";
  const auto short_of_memory = refusal(layout, 1025);
  EXPECT_EQ(short_of_memory.code, ErrorCode::overloaded);
  EXPECT_NE(short_of_memory.message.find("1025 KV blocks"), std::string::npos) << short_of_memory.message;
  EXPECT_EQ(device.bytes_used(), 0U);
}

TEST(KvCache, MatchesTheLongestPrefixOfWholeBlocks) {
  PlainDevice device;
  KvCache cache = make_cache(device, 8);
  const Tokens tokens = counting_from(0, 48);
  EXPECT_TRUE(cache.match_prefix(tokens, salt).empty());
  ASSERT_TRUE(run_sequence(cache, tokens));
  const auto all = cache.match_prefix(tokens, salt);
  EXPECT_EQ(all.size(), 3U);
  EXPECT_EQ(cache.pool().held(), 0) << "matching adds no holders";
  EXPECT_EQ(cache.match_prefix(counting_from(0, 100), salt), all) << "the sequence may go on";
  EXPECT_EQ(cache.match_prefix(counting_from(0, 47), salt).size(), 2U) << "the last block is not whole";
  EXPECT_TRUE(cache.match_prefix(counting_from(0, 15), salt).empty());
  EXPECT_TRUE(cache.match_prefix({}, salt).empty());
  EXPECT_TRUE(cache.match_prefix(counting_from(16, 32), salt).empty()) << "the same tokens at other positions";
  EXPECT_TRUE(cache.match_prefix(tokens, "tenant b").empty());
  Tokens other_end = tokens;
  other_end[40] = 7;
  EXPECT_EQ(cache.match_prefix(other_end, salt), std::vector(all.begin(), all.begin() + 2));
}

TEST(KvCache, MovesAPrefixToAnotherCache) {
  PlainDevice source_device;
  PlainDevice target_device;
  KvCache source = make_cache(source_device, 8);
  KvCache target = make_cache(target_device, 5);
  const Tokens tokens = counting_from(0, 70);
  ASSERT_TRUE(run_sequence(source, tokens));

  const BlockBundle bundle = source.export_prefix(tokens, salt);
  ASSERT_EQ(bundle.blocks.size(), 4U);
  EXPECT_EQ(source.pool().held(), 0);
  const auto imported = target.import_prefix(bundle, salt);
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(*imported, 4);
  EXPECT_EQ(target.pool().cached(), 4);
  EXPECT_EQ(target.pool().free(), 1);
  EXPECT_EQ(target.pool().reserved(), 0);

  const auto blocks = target.match_prefix(tokens, salt);
  ASSERT_EQ(blocks.size(), 4U);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_EQ(target.pool().name_of(blocks[i]), bundle.blocks[i].id);
    EXPECT_TRUE(has_contents_of(target, blocks[i], bundle.blocks[i].id)) << "block " << i;
  }
  const BlockBundle again = target.export_prefix(tokens, salt);
  ASSERT_EQ(again.blocks.size(), 4U);
  for (std::size_t i = 0; i < blocks.size(); ++i) EXPECT_EQ(again.blocks[i].payload, bundle.blocks[i].payload);
}

TEST(KvCache, ExportsNothingOfWhatItDoesNotHave) {
  PlainDevice device;
  KvCache cache = make_cache(device, 4);
  ASSERT_TRUE(run_sequence(cache, counting_from(0, 32)));
  EXPECT_TRUE(cache.export_prefix(counting_from(5, 32), salt).blocks.empty());
  EXPECT_TRUE(cache.export_prefix(counting_from(0, 32), "tenant b").blocks.empty());
  EXPECT_EQ(cache.import_prefix(cache.export_prefix({}, salt), salt), 0);
}

TEST(KvCache, KeepsBlocksThatAreHereAndTakesOnlyTheMissing) {
  PlainDevice source_device;
  PlainDevice target_device;
  KvCache source = make_cache(source_device, 8);
  KvCache target = make_cache(target_device, 8);
  const Tokens tokens = counting_from(0, 64);
  ASSERT_TRUE(run_sequence(source, tokens));
  ASSERT_TRUE(run_sequence(target, Tokens(tokens.begin(), tokens.begin() + 32)));
  const auto before = target.match_prefix(tokens, salt);
  EXPECT_EQ(target.import_prefix(source.export_prefix(tokens, salt), salt), 4);
  const auto after = target.match_prefix(tokens, salt);
  ASSERT_EQ(after.size(), 4U);
  EXPECT_TRUE(std::equal(before.begin(), before.end(), after.begin()));
  EXPECT_EQ(target.pool().cached(), 4);
  const State settled(target);
  EXPECT_EQ(target.import_prefix(source.export_prefix(tokens, salt), salt), 4) << "all are here already";
  EXPECT_EQ(State(target), settled);
}

TEST(KvCache, ImportsAsFarAsNobodyWasPromisedTheBlocks) {
  PlainDevice source_device;
  PlainDevice target_device;
  KvCache source = make_cache(source_device, 8);
  KvCache target = make_cache(target_device, 6);
  const Tokens tokens = counting_from(0, 80);
  ASSERT_TRUE(run_sequence(source, tokens));
  ASSERT_TRUE(run_sequence(target, counting_from(500, 32)));  // two blocks that may be evicted
  ASSERT_TRUE(target.pool().reserve(3));
  EXPECT_EQ(target.import_prefix(source.export_prefix(tokens, salt), salt), 3);
  EXPECT_EQ(target.match_prefix(tokens, salt).size(), 3U);
  EXPECT_EQ(target.pool().reserved(), 3);
  EXPECT_EQ(target.pool().available(), 3);

  // What was promised can be taken; the end of the chain goes before its beginning.
  for (int i = 0; i < 3; ++i) target.pool().take_reserved();
  EXPECT_TRUE(target.match_prefix(counting_from(500, 32), salt).empty());
  ASSERT_TRUE(target.pool().reserve(1));
  target.pool().take_reserved();
  EXPECT_EQ(target.match_prefix(tokens, salt).size(), 2U);
}

TEST(KvCache, AnImportNeverEvictsTheChainThatItBuildsOn) {
  PlainDevice source_device;
  PlainDevice target_device;
  KvCache source = make_cache(source_device, 8);
  KvCache target = make_cache(target_device, 3);
  const Tokens tokens = counting_from(0, 80);
  ASSERT_TRUE(run_sequence(source, tokens));
  ASSERT_TRUE(run_sequence(target, Tokens(tokens.begin(), tokens.begin() + 32)));
  ASSERT_TRUE(run_sequence(target, counting_from(500, 16)));  // used later than the chain, but not part of it
  EXPECT_EQ(target.import_prefix(source.export_prefix(tokens, salt), salt), 3);
  EXPECT_EQ(target.match_prefix(tokens, salt).size(), 3U);
}

TEST(KvCache, ImportsNothingIntoAPoolThatIsPromisedButKnowsWhatIsHere) {
  PlainDevice source_device;
  PlainDevice target_device;
  KvCache source = make_cache(source_device, 8);
  KvCache target = make_cache(target_device, 4);
  const Tokens tokens = counting_from(0, 48);
  ASSERT_TRUE(run_sequence(source, tokens));
  ASSERT_TRUE(run_sequence(target, Tokens(tokens.begin(), tokens.begin() + 16)));
  ASSERT_TRUE(target.pool().reserve(4));
  const State before(target);
  EXPECT_EQ(target.import_prefix(source.export_prefix(tokens, salt), salt), 1);
  EXPECT_EQ(State(target), before);
}

struct Lie {
  std::string name;
  std::function<void(BlockBundle&)> tell;
};

std::vector<Lie> lies() {
  return {
      {"a wrong token", [](BlockBundle& bundle) { bundle.blocks[2].tokens[5] += 1; }},
      {"swapped blocks", [](BlockBundle& bundle) { std::swap(bundle.blocks[1], bundle.blocks[2]); }},
      {"swapped payloads", [](BlockBundle& bundle) { std::swap(bundle.blocks[1].payload, bundle.blocks[2].payload); }},
      {"a flipped payload", [](BlockBundle& bundle) { bundle.blocks[2].payload.back() *= -1; }},
      {"a wrong parent", [](BlockBundle& bundle) { bundle.blocks[2].parent = bundle.blocks[0].id; }},
      {"a wrong identity", [](BlockBundle& bundle) { bundle.blocks[2].id.bytes[7] ^= 4; }},
      {"a truncated payload", [](BlockBundle& bundle) { bundle.blocks[2].payload.resize(10); }},
      {"a missing first block", [](BlockBundle& bundle) { bundle.blocks.erase(bundle.blocks.begin()); }},
      {"another class", [](BlockBundle& bundle) { bundle.numeric_class = "cpu-bf16dot-v1"; }},
      {"another model", [](BlockBundle& bundle) { bundle.fingerprint.bytes[0] ^= 1; }},
      {"another layout", [](BlockBundle& bundle) { bundle.layout.layers = 1; }},
      {"another layout version", [](BlockBundle& bundle) { bundle.layout_version += 1; }},
      {"too many blocks", [](BlockBundle& bundle) { bundle.blocks.resize(bundle_blocks_max + 1); }},
  };
}

TEST(KvCache, ABundleThatLiesChangesNothing) {
  PlainDevice source_device;
  PlainDevice target_device;
  KvCache source = make_cache(source_device, 8);
  KvCache target = make_cache(target_device, 8);
  const Tokens tokens = counting_from(0, 48);
  ASSERT_TRUE(run_sequence(source, tokens));
  ASSERT_TRUE(run_sequence(target, counting_from(500, 32)));
  const BlockBundle honest = source.export_prefix(tokens, salt);
  const State before(target);
  for (const auto& [name, tell] : lies()) {
    BlockBundle bundle = honest;
    tell(bundle);
    EXPECT_FALSE(target.import_prefix(bundle, salt)) << name;
    EXPECT_EQ(State(target), before) << name;
    EXPECT_TRUE(target.match_prefix(tokens, salt).empty()) << name;
  }
  EXPECT_FALSE(target.import_prefix(honest, "tenant b")) << "another tenant's blocks";
  EXPECT_EQ(State(target), before);
  EXPECT_EQ(target.import_prefix(honest, salt), 3) << "the bundle without a lie";
}

/// Two caches that run sequences of a few tenants over a few common beginnings and send each other what they have.
TEST(KvCache, WhateverIsFoundUnderANameIsItsContents) {
  int imports = 0;
  std::uint64_t evictions = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    PlainDevice device;
    std::vector<KvCache> caches;
    for (int i = 0; i < 2; ++i) caches.push_back(make_cache(device, static_cast<std::int32_t>(random.between(4, 12))));
    for (int step = 0; step < 60; ++step) {
      KvCache& cache = caches[random.below(2)];
      Tokens tokens = counting_from(0, random.below(100));
      for (auto& token : tokens) token = (token / 16) % 3 + (random.chance(0.01F) ? 5 : 0);
      const std::string_view tenant = random.chance(0.5F) ? "tenant a" : "tenant b";
      if (random.chance(0.5F)) {
        run_sequence(cache, tokens, tenant);
      } else {
        KvCache& other = &cache == &caches[0] ? caches[1] : caches[0];
        const auto bundle = cache.export_prefix(tokens, tenant);
        const auto imported = other.import_prefix(bundle, tenant);
        ASSERT_TRUE(imported) << imported.error().message;
        ASSERT_LE(*imported, static_cast<std::int32_t>(bundle.blocks.size()));
        ASSERT_GE(other.match_prefix(tokens, tenant).size(), static_cast<std::size_t>(*imported));
        imports += *imported;
      }
      for (const KvCache& checked : caches) {
        ASSERT_EQ(checked.pool().held(), 0);
        ASSERT_EQ(checked.pool().reserved(), 0);
        for (BlockIndex block = 0; block < checked.pool().blocks(); ++block) {
          if (const auto id = checked.pool().name_of(block)) {
            ASSERT_TRUE(has_contents_of(checked, block, *id));
          }
        }
      }
    }
    for (const KvCache& cache : caches) evictions += cache.pool().evictions();
  }
  EXPECT_GT(imports, 500) << "the cases reach what is worth testing";
  EXPECT_GT(evictions, 500U);
}

}  // namespace
}  // namespace troupe::engine
