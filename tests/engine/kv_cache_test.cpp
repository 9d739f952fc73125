#include "engine/kv_cache.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "tests/support/block_transfer.hpp"
#include "tests/support/plain_device.hpp"

namespace troupe::engine {
namespace {

using Tokens = std::vector<TokenId>;
using tests::PinnedPrefix;
using tests::transfer;
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
std::vector<std::byte> contents_of(const BlockId& id) {
  Random random(std::hash<BlockId>{}(id));
  std::vector<std::byte> contents(layout.block_bytes());
  for (std::byte& byte : contents) byte = static_cast<std::byte>(random.below(256));
  return contents;
}

bool has_contents_of(const KvCache& cache, BlockIndex block, const BlockId& id) {
  return std::ranges::equal(std::span(cache.block(block), layout.block_bytes()), contents_of(id));
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
    held.push_back(cache.take_reserved());
    std::ranges::copy(contents_of(id), cache.block(held.back()));
    EXPECT_TRUE(cache.name(held.back(), id));
  }
  let_go();
  return true;
}

/// Free, cached, held and reserved blocks, and every byte: what a refused import must leave alone.
struct State {
  std::int32_t free, cached, held, reserved;
  std::uint64_t evictions;
  std::vector<std::byte> bytes;
  explicit State(const KvCache& cache)
      : free(cache.pool().free()),
        cached(cache.pool().cached()),
        held(cache.pool().held()),
        reserved(cache.pool().reserved()),
        evictions(cache.pool().evictions()),
        bytes(cache.data(), cache.data() + cache.bytes()) {}
  bool operator==(const State&) const = default;
};

TEST(KvCache, AllocatesItsBlocksOnce) {
  PlainDevice device;
  {
    KvCache cache = make_cache(device, 10);
    EXPECT_EQ(cache.bytes(), 10 * layout.block_bytes());
    EXPECT_EQ(device.bytes_used(), cache.bytes());
    EXPECT_EQ(cache.pool().free(), 10);
    EXPECT_EQ(cache.block(3), cache.data() + 3 * layout.block_bytes());
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
  {
    const PinnedPrefix prefix(source, tokens, salt);
    ASSERT_EQ(prefix.blocks().size(), 4U);
    EXPECT_EQ(source.pool().held(), 4);
    EXPECT_EQ(transfer(prefix, target).usable, 4U);
  }
  EXPECT_EQ(source.pool().held(), 0);
  EXPECT_EQ(target.pool().cached(), 4);
  EXPECT_EQ(target.pool().free(), 1);
  EXPECT_EQ(target.pool().reserved(), 0);

  const auto chain = chain_of(target.scope(salt), tokens);
  const auto blocks = target.match_prefix(tokens, salt);
  ASSERT_EQ(blocks.size(), 4U);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_EQ(target.pool().name_of(blocks[i]), chain[i]);
    EXPECT_TRUE(has_contents_of(target, blocks[i], chain[i])) << "block " << i;
  }
  const PinnedPrefix again(target, tokens, salt);
  ASSERT_EQ(again.blocks().size(), 4U);
  EXPECT_EQ(again.blocks()[3].checksum, block_checksum(chain[3], contents_of(chain[3])));
}

TEST(KvCache, PinsNothingOfWhatItDoesNotHave) {
  PlainDevice device;
  KvCache cache = make_cache(device, 4);
  ASSERT_TRUE(run_sequence(cache, counting_from(0, 32)));
  EXPECT_TRUE(PinnedPrefix(cache, counting_from(5, 32), salt).blocks().empty());
  EXPECT_TRUE(PinnedPrefix(cache, counting_from(0, 32), "tenant b").blocks().empty());
  EXPECT_TRUE(PinnedPrefix(cache, {}, salt).blocks().empty());
  EXPECT_EQ(PinnedPrefix(cache, counting_from(0, 100), salt).blocks().size(), 2U) << "as far as it goes";
}

TEST(KvCache, PinnedBlocksAreNotEvicted) {
  PlainDevice device;
  KvCache cache = make_cache(device, 4);
  const Tokens tokens = counting_from(0, 48);
  ASSERT_TRUE(run_sequence(cache, tokens));
  const PinnedPrefix prefix(cache, tokens, salt);
  EXPECT_FALSE(run_sequence(cache, counting_from(500, 32))) << "it waits";
  EXPECT_TRUE(run_sequence(cache, counting_from(500, 16)));
  EXPECT_EQ(cache.match_prefix(tokens, salt).size(), 3U);
}

TEST(KvCache, KeepsBlocksThatAreHereAndTakesOnlyTheMissing) {
  PlainDevice source_device;
  PlainDevice target_device;
  KvCache source = make_cache(source_device, 8);
  KvCache target = make_cache(target_device, 8);
  const Tokens tokens = counting_from(0, 64);
  ASSERT_TRUE(run_sequence(source, tokens));
  ASSERT_TRUE(run_sequence(target, Tokens(tokens.begin(), tokens.begin() + 32)));
  const PinnedPrefix prefix(source, tokens, salt);
  const auto before = target.match_prefix(tokens, salt);
  const auto first = transfer(prefix, target);
  EXPECT_EQ(first.offered, 2U);
  EXPECT_EQ(first.usable, 4U);
  const auto after = target.match_prefix(tokens, salt);
  ASSERT_EQ(after.size(), 4U);
  EXPECT_TRUE(std::equal(before.begin(), before.end(), after.begin()));
  EXPECT_EQ(target.pool().cached(), 4);
  const State settled(target);
  EXPECT_EQ(transfer(prefix, target).offered, 0U) << "all are here already";
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
  EXPECT_EQ(transfer(PinnedPrefix(source, tokens, salt), target).usable, 3U);
  EXPECT_EQ(target.match_prefix(tokens, salt).size(), 3U);
  EXPECT_EQ(target.pool().reserved(), 3);
  EXPECT_EQ(target.pool().available(), 3);

  // What was promised can be taken; the end of the chain goes before its beginning.
  for (int i = 0; i < 3; ++i) target.take_reserved();
  EXPECT_TRUE(target.match_prefix(counting_from(500, 32), salt).empty());
  ASSERT_TRUE(target.pool().reserve(1));
  target.take_reserved();
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
  EXPECT_EQ(transfer(PinnedPrefix(source, tokens, salt), target).usable, 3U);
  EXPECT_EQ(target.match_prefix(tokens, salt).size(), 3U);
}

TEST(KvCache, ImportsNothingIntoAPoolThatIsPromised) {
  PlainDevice source_device;
  PlainDevice target_device;
  KvCache source = make_cache(source_device, 8);
  KvCache target = make_cache(target_device, 4);
  const Tokens tokens = counting_from(0, 48);
  ASSERT_TRUE(run_sequence(source, tokens));
  ASSERT_TRUE(run_sequence(target, Tokens(tokens.begin(), tokens.begin() + 16)));
  ASSERT_TRUE(target.pool().reserve(4));
  const State before(target);
  EXPECT_EQ(transfer(PinnedPrefix(source, tokens, salt), target).offered, 0U);
  EXPECT_EQ(State(target), before);
}

TEST(KvCache, AnImportThatIsAbandonedLeavesNoName) {
  PlainDevice device;
  KvCache cache = make_cache(device, 4);
  const auto chain = chain_of(cache.scope(salt), counting_from(0, 48));
  const BlockImport import = cache.begin_import(chain);
  EXPECT_EQ(import.incoming.size(), 3U);
  EXPECT_TRUE(cache.match_prefix(counting_from(0, 48), salt).empty()) << "nobody finds what is being written";
  cache.abandon_import(import);
  EXPECT_EQ(cache.pool().free(), 4);
  EXPECT_TRUE(cache.match_prefix(counting_from(0, 48), salt).empty());
}

TEST(KvCache, ABlockThatWasComputedMeanwhileStays) {
  PlainDevice device;
  KvCache cache = make_cache(device, 8);
  const Tokens tokens = counting_from(0, 32);
  const auto chain = chain_of(cache.scope(salt), tokens);
  const BlockImport import = cache.begin_import(chain);
  ASSERT_EQ(import.incoming.size(), 2U);
  ASSERT_TRUE(run_sequence(cache, tokens));
  const auto computed = cache.match_prefix(tokens, salt);
  std::vector<std::uint64_t> checksums;
  for (const auto& [id, index] : import.incoming) {
    std::ranges::copy(contents_of(id), cache.block(index));
    checksums.push_back(block_checksum(id, contents_of(id)));
  }
  EXPECT_EQ(cache.finish_import(import, checksums).usable, 2U);
  EXPECT_EQ(cache.match_prefix(tokens, salt), computed);
  EXPECT_EQ(cache.pool().free(), 6);
}

struct Lie {
  std::string name;
  /// Spoils what arrives for block 1 of 3, whose contents and checksum are given.
  std::function<void(std::span<std::byte> payload, std::uint64_t& checksum)> tell;
};

TEST(KvCache, ABlockThatLiesIsRefusedAndThoseBeforeItStay) {
  const Tokens tokens = counting_from(0, 48);
  PlainDevice source_device;
  KvCache source = make_cache(source_device, 8);
  ASSERT_TRUE(run_sequence(source, tokens));
  ASSERT_TRUE(run_sequence(source, tokens, "tenant b"));
  const PinnedPrefix honest(source, tokens, salt);
  const PinnedPrefix foreign(source, tokens, "tenant b");
  ASSERT_EQ(honest.blocks().size() + foreign.blocks().size(), 6U);
  const std::vector<Lie> lies = {
      {"a flipped bit", [](auto payload, auto&) { payload.back() ^= std::byte{0x80}; }},
      {"another block of the chain", [&](auto payload, auto&) { std::ranges::copy(honest.payload(2), payload.begin()); }},
      {"another block of the chain with its own checksum",
       [&](auto payload, auto& checksum) {
         std::ranges::copy(honest.payload(2), payload.begin());
         checksum = honest.blocks()[2].checksum;
       }},
      {"another tenant's block with its own checksum",
       [&](auto payload, auto& checksum) {
         std::ranges::copy(foreign.payload(1), payload.begin());
         checksum = foreign.blocks()[1].checksum;
       }},
      {"torn in the middle", [](auto payload, auto&) { std::ranges::fill(payload.subspan(payload.size() / 2), std::byte{0}); }},
      {"nothing", [](auto payload, auto&) { std::ranges::fill(payload, std::byte{0}); }},
      {"a wrong checksum", [](auto, auto& checksum) { checksum ^= 1U << 17U; }},
  };
  for (const auto& [name, tell] : lies) {
    PlainDevice device;
    KvCache target = make_cache(device, 8);
    const auto chain = chain_of(target.scope(salt), tokens);
    const BlockImport import = target.begin_import(chain);
    std::vector<std::uint64_t> checksums;
    for (std::size_t i = 0; i < 3; ++i) {
      const std::span written(target.block(import.incoming[i].index), layout.block_bytes());
      std::ranges::copy(honest.payload(i), written.begin());
      checksums.push_back(honest.blocks()[i].checksum);
      if (i == 1) tell(written, checksums.back());
    }
    const BlocksImported imported = target.finish_import(import, checksums);
    EXPECT_EQ(imported.wrong, 1U) << name;
    EXPECT_EQ(imported.usable, 1U) << name;
    EXPECT_EQ(target.match_prefix(tokens, salt).size(), 1U) << name;
    EXPECT_EQ(target.pool().held(), 0) << name;
    EXPECT_FALSE(target.pool().find(chain[1])) << name;
  }
}

/// Keeps what it is offered.
class Keeper final : public EvictedBlocks {
 public:
  void keep(const BlockId& id, std::uint64_t checksum, std::span<const std::byte> payload) override {
    EXPECT_EQ(block_checksum(id, payload), checksum);
    kept[id] = std::vector(payload.begin(), payload.end());
  }
  std::map<BlockId, std::vector<std::byte>> kept;
};

TEST(KvCache, EvictedBlocksAreOfferedToWhoeverKeepsThem) {
  PlainDevice device;
  KvCache cache = make_cache(device, 3);
  const auto keeper = std::make_shared<Keeper>();
  cache.keep_evicted(keeper);
  ASSERT_TRUE(run_sequence(cache, counting_from(0, 48)));
  EXPECT_TRUE(keeper->kept.empty());
  ASSERT_TRUE(run_sequence(cache, counting_from(500, 32)));
  const auto chain = chain_of(cache.scope(salt), counting_from(0, 48));
  ASSERT_EQ(keeper->kept.size(), 2U);
  EXPECT_EQ(keeper->kept.at(chain[2]), contents_of(chain[2]));
  EXPECT_EQ(keeper->kept.at(chain[1]), contents_of(chain[1]));
  cache.clear();
  EXPECT_EQ(keeper->kept.size(), 2U) << "what is forgotten is not offered";
}

TEST(KvCache, TellsWhatHasComeAndGone) {
  PlainDevice device;
  KvCache cache = make_cache(device, 3);
  EXPECT_TRUE(cache.take_changes().come.empty());
  ASSERT_TRUE(run_sequence(cache, counting_from(0, 48)));
  const auto chain = chain_of(cache.scope(salt), counting_from(0, 48));
  BlockChanges changes = cache.take_changes();
  std::ranges::sort(changes.come);
  auto sorted = chain;
  std::ranges::sort(sorted);
  EXPECT_EQ(changes.come, sorted);
  EXPECT_TRUE(changes.gone.empty());
  EXPECT_FALSE(changes.all);

  ASSERT_TRUE(run_sequence(cache, counting_from(500, 16)));
  changes = cache.take_changes();
  EXPECT_EQ(changes.gone, std::vector{chain[2]});
  EXPECT_EQ(changes.come, chain_of(cache.scope(salt), counting_from(500, 16)));

  ASSERT_TRUE(run_sequence(cache, counting_from(700, 48)));
  ASSERT_TRUE(run_sequence(cache, counting_from(0, 48)));
  changes = cache.take_changes();
  std::ranges::sort(changes.come);
  std::ranges::sort(changes.gone);
  EXPECT_EQ(changes.come, sorted) << "a block that went and came again has come";
  for (const BlockId& id : chain) EXPECT_FALSE(std::ranges::binary_search(changes.gone, id));

  cache.clear();
  changes = cache.take_changes();
  EXPECT_TRUE(changes.all);
  EXPECT_TRUE(changes.come.empty());
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
        const PinnedPrefix prefix(cache, tokens, tenant);
        const auto moved = transfer(prefix, other, random.chance(0.2F));
        ASSERT_LE(moved.usable, prefix.blocks().size());
        ASSERT_GE(other.match_prefix(tokens, tenant).size(), moved.usable);
        imports += static_cast<int>(moved.usable);
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
