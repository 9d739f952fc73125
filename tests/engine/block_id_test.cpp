#include "engine/block_id.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

namespace troupe::engine {
namespace {

using Tokens = std::array<TokenId, kv_block_positions>;

BlockScope some_scope() {
  BlockScope scope{
      .fingerprint = {}, .numeric_class = "cpu-f32-v1", .first_layer = 0, .layers = 4, .adapter = {}, .tenant_salt = "salt"};
  std::iota(scope.fingerprint.bytes.begin(), scope.fingerprint.bytes.end(), std::uint8_t{0});
  return scope;
}

Tokens counting_up() {
  Tokens tokens{};
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

/// Blocks on disks and on other nodes are found by these names: they change only with kv_layout_version or the domain strings.
/// Computed apart from this code: hashlib.sha256(u64(16) + b"troupe kv root 1" + fingerprint + u64(10) + b"cpu-f32-v1" +
/// u32(0) + u32(4) + u32(16) + u32(1) + u64(0) + u64(4) + b"salt")[:16], and the two blocks after it likewise.
TEST(BlockIdentity, IsTheSameForEver) {
  const BlockId root = root_identity(some_scope());
  EXPECT_EQ(to_string(root), "57efdcec5393d63eee427d257b486d53");
  const BlockId first = block_identity(root, counting_up());
  EXPECT_EQ(to_string(first), "72cae58cbd03204406c45a143d225f66");
  Tokens second = counting_up();
  for (auto& token : second) token = 1000 - token;
  EXPECT_EQ(to_string(block_identity(first, second)), "54056cc3e240ebf0a46a3ddcdf55dbb9");
}

TEST(BlockIdentity, OfTheRootChangesWithEveryFieldOfTheScope) {
  std::vector<BlockScope> scopes(9, some_scope());
  scopes[1].fingerprint.bytes[31] ^= 1;
  scopes[2].numeric_class = "cpu-f32-v2";
  scopes[3].first_layer = 1;
  scopes[4].layers = 5;
  scopes[5].adapter = "lora";
  scopes[6].tenant_salt = "salu";
  scopes[7].tenant_salt = "";
  scopes[8].first_layer = 4, scopes[8].layers = 0;
  std::set<BlockId> roots;
  for (const auto& scope : scopes) roots.insert(root_identity(scope));
  EXPECT_EQ(roots.size(), scopes.size());
}

TEST(BlockIdentity, DoesNotConfuseWhereOneTextEndsAndTheNextBegins) {
  std::set<BlockId> roots;
  for (const auto& [adapter, salt] : std::vector<std::pair<std::string, std::string>>{
           {"ab", "c"}, {"a", "bc"}, {"abc", ""}, {"", "abc"}, {std::string("ab\0", 3), "c"}, {"ab", std::string("\0c", 2)}}) {
    BlockScope scope = some_scope();
    scope.adapter = adapter;
    scope.tenant_salt = salt;
    roots.insert(root_identity(scope));
  }
  EXPECT_EQ(roots.size(), 6U);
}

TEST(BlockIdentity, ChangesWithEveryTokenAndWithTheParent) {
  const BlockId root = root_identity(some_scope());
  const Tokens tokens = counting_up();
  std::set<BlockId> seen{root, block_identity(root, tokens)};
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    for (const int bit : {0, 8, 16, 24, 30}) {
      Tokens changed = tokens;
      changed[i] ^= 1 << bit;
      seen.insert(block_identity(root, changed));
    }
    if (i > 0) {
      Tokens swapped = tokens;
      std::swap(swapped[i], swapped[i - 1]);
      seen.insert(block_identity(root, swapped));
    }
  }
  for (std::size_t i = 0; i < root.bytes.size(); ++i) {
    BlockId parent = root;
    parent.bytes[i] ^= 0x80;
    seen.insert(block_identity(parent, tokens));
  }
  EXPECT_EQ(seen.size(), 2U + 16 * 5 + 15 + 16);
}

TEST(BlockIdentity, CoversEverythingBeforeTheBlock) {
  const BlockId root = root_identity(some_scope());
  const Tokens same = counting_up();
  Tokens other = same;
  other[3] = 77;
  const BlockId after_same = block_identity(block_identity(root, same), same);
  const BlockId after_other = block_identity(block_identity(root, other), same);
  EXPECT_NE(after_same, after_other) << "the same tokens after a different beginning";
  EXPECT_NE(after_same, block_identity(root, same)) << "the same tokens at another position";
}

TEST(BlockIdentity, HashesIntoSetsAndSorts) {
  BlockId id = root_identity(some_scope());
  std::unordered_set<BlockId> names;
  std::set<std::size_t> hashes;
  for (int i = 0; i < 1000; ++i) {
    id = block_identity(id, counting_up());
    names.insert(id);
    hashes.insert(std::hash<BlockId>{}(id));
  }
  EXPECT_EQ(names.size(), 1000U);
  EXPECT_EQ(hashes.size(), 1000U);
  EXPECT_LT(BlockId{}, id);
}

}  // namespace
}  // namespace troupe::engine
