#include "engine/block_pool.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.hpp"

namespace troupe::engine {
namespace {

BlockId named(std::uint8_t number) {
  BlockId id;
  id.bytes[0] = number;
  return id;
}

BlockIndex take(BlockPool& pool) {
  EXPECT_TRUE(pool.reserve(1));
  return pool.take_reserved();
}

BlockIndex take_named(BlockPool& pool, std::uint8_t number) {
  const BlockIndex block = take(pool);
  EXPECT_TRUE(pool.name(block, named(number)));
  return block;
}

BlockIndex cache(BlockPool& pool, std::uint8_t number) {
  const BlockIndex block = take_named(pool, number);
  pool.release(block);
  return block;
}

TEST(BlockPool, TakesWhatWasReservedAndGetsItBack) {
  BlockPool pool(3);
  EXPECT_EQ(pool.available(), 3);
  ASSERT_TRUE(pool.reserve(2));
  EXPECT_EQ(pool.reserved(), 2);
  EXPECT_EQ(pool.available(), 1);
  const BlockIndex first = pool.take_reserved();
  const BlockIndex second = pool.take_reserved();
  EXPECT_NE(first, second);
  EXPECT_EQ(pool.held(), 2);
  EXPECT_EQ(pool.available(), 1);
  pool.release(first);
  pool.release(second);
  EXPECT_EQ(pool.free(), 3) << "blocks without a name are of no use to anybody";
}

TEST(BlockPool, PromisesNoMoreThanItHas) {
  BlockPool pool(3);
  ASSERT_TRUE(pool.reserve(2));
  EXPECT_FALSE(pool.reserve(2));
  EXPECT_EQ(pool.reserved(), 2) << "a refusal changes nothing";
  EXPECT_TRUE(pool.reserve(0));
  pool.unreserve(1);
  EXPECT_TRUE(pool.reserve(2));
  EXPECT_FALSE(pool.reserve(1));
  BlockPool none(0);
  EXPECT_FALSE(none.reserve(1));
}

TEST(BlockPool, KeepsANamedBlockCachedUntilItsPlaceIsNeeded) {
  BlockPool pool(2);
  const BlockIndex block = cache(pool, 1);
  EXPECT_EQ(pool.cached(), 1);
  EXPECT_EQ(pool.find(named(1)), block);
  EXPECT_EQ(pool.available(), 2) << "a cached block can be promised";
  take(pool);
  EXPECT_EQ(pool.find(named(1)), block) << "there was a free one";
  EXPECT_EQ(take(pool), block);
  EXPECT_EQ(pool.find(named(1)), std::nullopt);
  EXPECT_EQ(pool.name_of(block), std::nullopt);
  EXPECT_EQ(pool.evictions(), 1U);
}

TEST(BlockPool, EvictsTheLeastRecentlyUsedFirst) {
  BlockPool pool(3);
  const BlockIndex one = cache(pool, 1);
  const BlockIndex two = cache(pool, 2);
  const BlockIndex three = cache(pool, 3);
  ASSERT_TRUE(pool.hold(one));
  pool.release(one);  // used again: now the most recent
  EXPECT_EQ(take(pool), two);
  EXPECT_EQ(take(pool), three);
  EXPECT_EQ(take(pool), one);
}

TEST(BlockPool, CountsHoldersOfASharedBlock) {
  BlockPool pool(2);
  const BlockIndex block = take_named(pool, 1);
  ASSERT_TRUE(pool.hold(block));
  EXPECT_EQ(pool.holders(block), 2);
  pool.release(block);
  EXPECT_EQ(pool.held(), 1);
  pool.release(block);
  EXPECT_EQ(pool.held(), 0);
  EXPECT_EQ(pool.cached(), 1);
}

TEST(BlockPool, HoldingACachedBlockTakesItFromWhatIsAvailable) {
  BlockPool pool(3);
  const BlockIndex block = cache(pool, 1);
  ASSERT_TRUE(pool.hold(block));
  EXPECT_EQ(pool.available(), 2);
  ASSERT_TRUE(pool.hold(block));
  EXPECT_EQ(pool.available(), 2) << "a second holder costs nothing";
}

TEST(BlockPool, RefusesToHoldACachedBlockThatSomebodyWasPromised) {
  BlockPool pool(2);
  const BlockIndex block = cache(pool, 1);
  ASSERT_TRUE(pool.reserve(2));
  EXPECT_FALSE(pool.hold(block));
  EXPECT_EQ(pool.holders(block), 0);
  EXPECT_EQ(pool.find(named(1)), block) << "a refusal changes nothing";
  pool.unreserve(1);
  EXPECT_TRUE(pool.hold(block));
  EXPECT_FALSE(pool.reserve(1));
  EXPECT_NE(pool.take_reserved(), block);
}

TEST(BlockPool, SharesAHeldBlockHoweverMuchIsPromised) {
  BlockPool pool(2);
  const BlockIndex block = take_named(pool, 1);
  ASSERT_TRUE(pool.reserve(1));
  EXPECT_EQ(pool.available(), 0);
  EXPECT_TRUE(pool.hold(block));
}

TEST(BlockPool, LeavesTheSecondBlockOfANameNameless) {
  BlockPool pool(2);
  const BlockIndex first = take_named(pool, 1);
  const BlockIndex second = take(pool);
  EXPECT_FALSE(pool.name(second, named(1)));
  EXPECT_EQ(pool.name_of(second), std::nullopt);
  EXPECT_EQ(pool.find(named(1)), first);
  EXPECT_TRUE(pool.name(first, named(1))) << "its own name again";
  pool.release(second);
  EXPECT_EQ(pool.free(), 1);
}

TEST(BlockPool, ForgetsItsCacheButNothingThatIsHeld) {
  BlockPool pool(4);
  const BlockIndex held = take_named(pool, 1);
  cache(pool, 2);
  cache(pool, 3);
  pool.clear_cache();
  EXPECT_EQ(pool.cached(), 0);
  EXPECT_EQ(pool.free(), 3);
  EXPECT_EQ(pool.find(named(1)), held);
  EXPECT_EQ(pool.find(named(2)), std::nullopt);
  EXPECT_EQ(pool.evictions(), 2U);
}

TEST(BlockPool, KeepsItsBooksWhenMoved) {
  BlockPool pool(3);
  const BlockIndex one = cache(pool, 1);
  cache(pool, 2);
  BlockPool moved = std::move(pool);
  ASSERT_TRUE(moved.hold(one));
  EXPECT_EQ(moved.cached(), 1);
  EXPECT_EQ(moved.find(named(1)), one);
}

TEST(BlockPoolDeathTest, StopsAtMisuse) {
  BlockPool pool(2);
  EXPECT_DEATH(pool.take_reserved(), "only after it was reserved");
  EXPECT_DEATH(pool.release(0), "only a held block is released");
  EXPECT_DEATH(pool.hold(0), "not taken");
  EXPECT_DEATH(pool.hold(2), "lies in its pool");
  EXPECT_DEATH(pool.release(-1), "lies in its pool");
  EXPECT_DEATH(pool.unreserve(1), "only what was promised");
  EXPECT_DEATH(pool.unreserve(-1), "only what was promised");
  EXPECT_DEATH(pool.reserve(-1), "no negative number");
  EXPECT_DEATH(pool.name(0, named(1)), "only a held block is named");
  const BlockIndex block = take_named(pool, 1);
  EXPECT_DEATH(pool.name(block, named(2)), "its name, stay");
  EXPECT_DEATH(BlockPool(-1), "no negative number");
}

/// The books kept the slow way: what each block is, and who was cached when.
class NaivePool {
 public:
  explicit NaivePool(std::int32_t blocks) : holders_(static_cast<std::size_t>(blocks)), names_(holders_.size()) {}

  std::int32_t held() const {
    return static_cast<std::int32_t>(std::count_if(holders_.begin(), holders_.end(), [](int count) { return count > 0; }));
  }
  std::int32_t cached() const { return static_cast<std::int32_t>(by_use_.size()); }
  std::int32_t free() const { return static_cast<std::int32_t>(holders_.size()) - held() - cached(); }
  std::int32_t available() const { return free() + cached() - reserved; }

  std::optional<BlockIndex> find(const BlockId& id) const {
    const auto found = std::find(names_.begin(), names_.end(), std::optional(id));
    if (found == names_.end()) return std::nullopt;
    return static_cast<BlockIndex>(found - names_.begin());
  }
  /// Which block a pool may hand out now: any free one, else the one that was used the longest ago.
  void take(BlockIndex block) {
    if (free() > 0) {
      ASSERT_EQ(holders(block), 0) << "block " << block << " was handed out though it is held";
      ASSERT_FALSE(name(block)) << "block " << block << " was evicted though others are free";
    } else {
      ASSERT_EQ(block, by_use_.front()) << "another one was used longer ago";
      by_use_.erase(by_use_.begin());
      name(block).reset();
      ++evictions;
    }
    holders(block) = 1;
    --reserved;
  }
  bool hold(BlockIndex block) {
    if (holders(block) == 0) {
      if (available() == 0) return false;
      std::erase(by_use_, block);
    }
    ++holders(block);
    return true;
  }
  void release(BlockIndex block) {
    if (--holders(block) == 0 && name(block)) by_use_.push_back(block);
  }
  void clear_cache() {
    for (const BlockIndex block : by_use_) name(block).reset();
    evictions += by_use_.size();
    by_use_.clear();
  }
  int& holders(BlockIndex block) { return holders_[static_cast<std::size_t>(block)]; }
  std::optional<BlockId>& name(BlockIndex block) { return names_[static_cast<std::size_t>(block)]; }

  std::int32_t reserved = 0;
  std::uint64_t evictions = 0;

 private:
  std::vector<int> holders_;
  std::vector<std::optional<BlockId>> names_;
  std::vector<BlockIndex> by_use_;
};

/// One random operation on both, which must agree.
class Pair {
 public:
  explicit Pair(std::uint64_t seed)
      : random_(seed), blocks_(static_cast<std::int32_t>(random_.between(1, 12))), pool_(blocks_), naive_(blocks_) {}

  void step() {
    const auto block = static_cast<BlockIndex>(random_.below(static_cast<std::uint64_t>(blocks_)));
    const BlockId id = named(static_cast<std::uint8_t>(random_.below(20)));
    switch (random_.below(9)) {
      case 0: return reserve(static_cast<std::int32_t>(random_.between(0, blocks_)));
      case 1: return unreserve();
      case 2:
      case 3: return take();
      case 4: return name(block, id);
      case 5:
      case 6: return hold(id);
      default: return release(block);
    }
  }

  void check() {
    ASSERT_EQ(pool_.held(), naive_.held());
    ASSERT_EQ(pool_.cached(), naive_.cached());
    ASSERT_EQ(pool_.free(), naive_.free());
    ASSERT_EQ(pool_.free() + pool_.cached() + pool_.held(), pool_.blocks());
    ASSERT_EQ(pool_.reserved(), naive_.reserved);
    ASSERT_EQ(pool_.available(), naive_.available());
    ASSERT_GE(pool_.available(), 0);
    ASSERT_EQ(pool_.evictions(), naive_.evictions);
    for (BlockIndex block = 0; block < blocks_; ++block) {
      ASSERT_EQ(pool_.holders(block), naive_.holders(block)) << block;
      ASSERT_EQ(pool_.name_of(block), naive_.name(block)) << block;
    }
    for (std::uint8_t number = 0; number < 20; ++number) ASSERT_EQ(pool_.find(named(number)), naive_.find(named(number)));
  }

  /// What the promises are worth: all of them are taken, whatever else is going on.
  void redeem_promises() {
    while (naive_.reserved > 0) take();
  }

  std::uint64_t evictions() const { return pool_.evictions(); }
  int refused_holds() const { return refused_holds_; }

 private:
  void reserve(std::int32_t count) {
    const bool promised = count <= naive_.available();
    ASSERT_EQ(pool_.reserve(count), promised);
    if (promised) naive_.reserved += count;
  }
  void unreserve() {
    const auto count = static_cast<std::int32_t>(random_.between(0, naive_.reserved));
    pool_.unreserve(count);
    naive_.reserved -= count;
  }
  void take() {
    if (naive_.reserved > 0) naive_.take(pool_.take_reserved());
  }
  void name(BlockIndex block, const BlockId& id) {
    if (naive_.holders(block) == 0 || naive_.name(block)) return;
    const bool is_new = !naive_.find(id);
    ASSERT_EQ(pool_.name(block, id), is_new);
    if (is_new) naive_.name(block) = id;
  }
  void hold(const BlockId& id) {
    const auto found = pool_.find(id);
    if (!found) return;
    const bool holds = pool_.hold(*found);
    ASSERT_EQ(holds, naive_.hold(*found));
    refused_holds_ += holds ? 0 : 1;
  }
  void release(BlockIndex block) {
    if (random_.chance(0.01F)) {
      pool_.clear_cache();
      naive_.clear_cache();
    } else if (naive_.holders(block) > 0) {
      pool_.release(block);
      naive_.release(block);
    }
  }

  Random random_;
  std::int32_t blocks_;
  BlockPool pool_;
  NaivePool naive_;
  int refused_holds_ = 0;
};

TEST(BlockPool, AgreesWithANaivePoolThroughRandomOperations) {
  std::uint64_t evictions = 0;
  int refused_holds = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Pair pair(seed);
    for (int step = 0; step < 400; ++step) {
      ASSERT_NO_FATAL_FAILURE(pair.step()) << "step " << step;
      ASSERT_NO_FATAL_FAILURE(pair.check()) << "step " << step;
    }
    ASSERT_NO_FATAL_FAILURE(pair.redeem_promises());
    ASSERT_NO_FATAL_FAILURE(pair.check());
    evictions += pair.evictions();
    refused_holds += pair.refused_holds();
  }
  EXPECT_GT(evictions, 1000U) << "the operations reach what is worth testing";
  EXPECT_GT(refused_holds, 100);
}

}  // namespace
}  // namespace troupe::engine
