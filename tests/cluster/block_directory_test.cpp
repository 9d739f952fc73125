#include "cluster/block_directory.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "base/random.hpp"

namespace troupe::cluster {
namespace {

BlockId block(std::uint8_t number) {
  BlockId id;
  id.bytes[0] = number;
  id.bytes[15] = 1;
  return id;
}
std::vector<BlockId> blocks(std::uint8_t first, std::uint8_t count) {
  std::vector<BlockId> all;
  for (std::uint8_t i = 0; i < count; ++i) all.push_back(block(static_cast<std::uint8_t>(first + i)));
  return all;
}
const NodeId a{"a"};
const NodeId b{"b"};
const NodeId c{"c"};

TEST(BlockDirectory, FindsWhoHasTheLongestBeginning) {
  BlockDirectory directory;
  directory.add(a, blocks(0, 3));
  directory.add(b, blocks(0, 5));
  directory.add(c, blocks(1, 9));
  const std::vector<BlockHolder> expected = {{b, 5}, {a, 3}};
  EXPECT_EQ(directory.holders(blocks(0, 8)), expected);
  EXPECT_EQ(directory.holders(blocks(3, 2)), (std::vector<BlockHolder>{{b, 2}, {c, 2}}));
  EXPECT_TRUE(directory.holders(blocks(100, 2)).empty());
  EXPECT_TRUE(directory.holders({}).empty());
}

TEST(BlockDirectory, ForgetsWhatIsGone) {
  BlockDirectory directory;
  directory.add(a, blocks(0, 3));
  directory.add(a, blocks(0, 3));
  EXPECT_EQ(directory.blocks_of(a), 3U) << "told twice";
  directory.add(b, blocks(0, 2));
  directory.remove(a, blocks(1, 1));
  EXPECT_EQ(directory.holders(blocks(0, 3)), (std::vector<BlockHolder>{{b, 2}, {a, 1}}));
  directory.remove(c, blocks(0, 1));
  directory.forget(b);
  EXPECT_EQ(directory.holders(blocks(0, 3)), (std::vector<BlockHolder>{{a, 1}}));
  EXPECT_EQ(directory.blocks_of(b), 0U);
  directory.forget(b);
}

TEST(BlockDirectory, SaysWhatSetsWouldSay) {
  Random random(11);
  BlockDirectory directory;
  std::map<NodeId, std::set<BlockId>> truth;
  const std::vector<NodeId> nodes = {a, b, c};
  for (int step = 0; step < 3000; ++step) {
    const NodeId& node = nodes[random.below(3)];
    const auto some = blocks(static_cast<std::uint8_t>(random.below(30)), static_cast<std::uint8_t>(random.below(6)));
    const auto what = random.below(20);
    if (what == 0) {
      directory.forget(node);
      truth.erase(node);
    } else if (what < 8) {
      directory.remove(node, some);
      for (const BlockId& id : some) truth[node].erase(id);
    } else {
      directory.add(node, some);
      truth[node].insert(some.begin(), some.end());
    }
    const auto chain = blocks(static_cast<std::uint8_t>(random.below(30)), 6);
    std::vector<BlockHolder> expected;
    for (const NodeId& each : nodes) {
      std::size_t count = 0;
      while (count < chain.size() && truth[each].contains(chain[count])) ++count;
      if (count > 0) expected.push_back({each, count});
      ASSERT_EQ(directory.blocks_of(each), truth[each].size());
    }
    std::stable_sort(expected.begin(), expected.end(), [](const auto& x, const auto& y) { return x.blocks > y.blocks; });
    ASSERT_EQ(directory.holders(chain), expected);
  }
}

}  // namespace
}  // namespace troupe::cluster
