#include "actors/moving_blocks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>

#include "tests/actors/pool_replica.hpp"

namespace troupe::actors {
namespace {

std::shared_ptr<PinnedBlocks> pin(const PoolReplica& replica, const policy::TokenIds& tokens) {
  std::shared_ptr<PinnedBlocks> pinned;
  PinnedBlocks::pin(replica.blocks(), replica.chain(tokens),
                    [&](std::shared_ptr<PinnedBlocks> blocks) { pinned = std::move(blocks); });
  return pinned;
}

std::shared_ptr<IncomingBlocks> make_room(const PoolReplica& replica, const policy::TokenIds& tokens) {
  std::shared_ptr<IncomingBlocks> room;
  IncomingBlocks::make(replica.blocks(), replica.chain(tokens),
                       [&](std::shared_ptr<IncomingBlocks> made) { room = std::move(made); });
  return room;
}

/// Writes the first blocks that there is room for, as another engine would have; returns their checksums.
std::vector<std::uint64_t> write(const PoolReplica& replica, const IncomingBlocks& room, std::size_t blocks) {
  std::vector<std::uint64_t> checksums;
  for (std::size_t i = 0; i < blocks; ++i) {
    const policy::BlockId id = room.incoming().at(i).id;
    const auto contents = replica.contents_of(id);
    std::ranges::copy(contents, replica.blocks()->memory().subspan(room.offset(i)).begin());
    checksums.push_back(engine::block_checksum(id, contents));
  }
  return checksums;
}

engine::BlocksImported finish(IncomingBlocks& room, std::vector<std::uint64_t> checksums) {
  std::optional<engine::BlocksImported> became;
  room.finish(std::move(checksums), [&](const engine::BlocksImported& imported) { became = imported; });
  EXPECT_TRUE(became);
  return became.value_or(engine::BlocksImported{});
}

TEST(PinnedBlocks, AreTheFirstOfAChainThatAreHere) {
  PoolReplica replica;
  ASSERT_TRUE(replica.compute(prompt(3)));
  const auto pinned = pin(replica, prompt(5));
  ASSERT_EQ(pinned->pinned().size(), 3U);
  const auto chain = replica.chain(prompt(5));
  for (std::size_t i = 0; i < 3; ++i) {
    const engine::PinnedBlock& block = pinned->pinned()[i];
    EXPECT_EQ(block.id, chain[i]);
    EXPECT_EQ(block.index, replica.pool().find(chain[i]));
    EXPECT_EQ(block.checksum, engine::block_checksum(chain[i], replica.contents_of(chain[i])));
  }
}

TEST(PinnedBlocks, StayUntilNobodyHoldsThem) {
  PoolReplica replica;
  replica.compute(prompt(3));
  auto one = pin(replica, prompt(3));
  auto other = pin(replica, prompt(2));
  replica.evict_all();
  EXPECT_EQ(replica.here(prompt(3)), 3U);
  one.reset();
  replica.evict_all();
  EXPECT_EQ(replica.here(prompt(3)), 2U) << "two are still held";
  other.reset();
  EXPECT_EQ(replica.pool().held(), 0);
  replica.evict_all();
  EXPECT_EQ(replica.here(prompt(3)), 0U);
}

TEST(PinnedBlocks, AreLetGoIfWhoeverWantedThemIsGone) {
  PoolReplica replica;
  replica.compute(prompt(3));
  bool called = false;
  PinnedBlocks::pin(replica.blocks(), replica.chain(prompt(3)), [&](const std::shared_ptr<PinnedBlocks>&) { called = true; });
  EXPECT_TRUE(called);
  EXPECT_EQ(replica.pool().held(), 0);
}

TEST(PinnedBlocks, OfNothingThatIsHereAreNone) {
  PoolReplica replica;
  replica.compute(prompt(3));
  EXPECT_TRUE(pin(replica, prompt(3, 1))->pinned().empty());
  EXPECT_TRUE(pin(replica, {})->pinned().empty());
}

TEST(PinnedBlocks, OutliveTheirReplica) {
  auto replica = std::make_unique<PoolReplica>();
  replica->compute(prompt(3));
  const auto blocks = replica->blocks();
  const auto chain = replica->chain(prompt(3));
  auto pinned = pin(*replica, prompt(3));
  replica.reset();
  pinned.reset();
  bool called = false;
  PinnedBlocks::pin(blocks, chain, [&](const std::shared_ptr<PinnedBlocks>&) { called = true; });
  EXPECT_FALSE(called);
}

TEST(IncomingBlocks, FollowWhatIsHere) {
  PoolReplica replica;
  replica.compute(prompt(2));
  const auto room = make_room(replica, prompt(5));
  EXPECT_EQ(room->present(), 2U);
  ASSERT_EQ(room->incoming().size(), 3U);
  std::set<std::size_t> places;
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(room->incoming()[i].id, replica.chain(prompt(5))[2 + i]);
    EXPECT_EQ(room->offset(i) % replica.blocks()->block_bytes(), 0U);
    EXPECT_LE(room->offset(i) + replica.blocks()->block_bytes(), replica.blocks()->memory().size());
    places.insert(room->offset(i));
  }
  EXPECT_EQ(places.size(), 3U);
  EXPECT_EQ(replica.pool().held(), 5);
  replica.evict_all();
  EXPECT_EQ(replica.here(prompt(2)), 2U) << "what the incoming blocks follow stays";
}

TEST(IncomingBlocks, AreFoundUnderTheirNamesOnceTheyAreThere) {
  PoolReplica replica;
  replica.compute(prompt(1));
  const auto room = make_room(replica, prompt(4));
  const auto checksums = write(replica, *room, 3);
  EXPECT_EQ(replica.here(prompt(4)), 1U) << "nobody has said that they are whole";
  const auto became = finish(*room, checksums);
  EXPECT_EQ(became.usable, 4U);
  EXPECT_EQ(became.wrong, 0U);
  EXPECT_EQ(replica.here(prompt(4)), 4U);
  EXPECT_EQ(replica.pool().held(), 0);
}

TEST(IncomingBlocks, AreWrittenInPlaceWhereTheHostReachesThePool) {
  PoolReplica replica;
  const auto room = make_room(replica, prompt(2));
  const auto targets = room->targets();
  ASSERT_EQ(targets.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(targets[i].data(), replica.blocks()->memory().data() + room->offset(i));
    EXPECT_EQ(targets[i].size(), replica.blocks()->block_bytes());
  }
}

TEST(IncomingBlocks, GoThroughTheStreamWhereTheHostDoesNot) {
  PoolReplica replica({.device = testing::far_device});
  auto room = make_room(replica, prompt(3));
  const auto targets = room->targets();
  ASSERT_EQ(targets.size(), 3U);
  std::vector<std::uint64_t> checksums;
  for (std::size_t i = 0; i < 2; ++i) {
    const auto contents = replica.contents_of(room->incoming()[i].id);
    EXPECT_FALSE(std::ranges::equal(targets[i], contents));
    std::ranges::copy(contents, targets[i].begin());
    checksums.push_back(engine::block_checksum(room->incoming()[i].id, contents));
  }
  replica.set_busy(true);
  std::optional<engine::BlocksImported> became;
  room->finish(std::move(checksums), [&](const engine::BlocksImported& imported) { became = imported; });
  room.reset();  // what is to be copied stays until it is
  replica.set_busy(false);
  ASSERT_TRUE(became);
  EXPECT_EQ(became->usable, 2U);
  EXPECT_EQ(became->wrong, 0U);
  EXPECT_EQ(replica.here(prompt(3)), 2U);
  EXPECT_EQ(replica.pool().held(), 0);
}

TEST(IncomingBlocks, ThatAreWrongGetNoName) {
  PoolReplica replica;
  const auto room = make_room(replica, prompt(3));
  auto checksums = write(replica, *room, 3);
  ++checksums[1];
  const auto became = finish(*room, checksums);
  EXPECT_EQ(became.wrong, 1U);
  EXPECT_EQ(became.usable, 1U) << "what follows the wrong one cannot be used without it";
  EXPECT_EQ(replica.here(prompt(3)), 1U);
  EXPECT_FALSE(replica.pool().find(replica.chain(prompt(3))[1]));
  EXPECT_EQ(replica.pool().held(), 0);
}

TEST(IncomingBlocks, MayBeFewerThanThereIsRoomFor) {
  PoolReplica replica;
  const auto room = make_room(replica, prompt(3));
  EXPECT_EQ(finish(*room, write(replica, *room, 1)).usable, 1U);
  EXPECT_EQ(replica.here(prompt(3)), 1U);
  EXPECT_EQ(replica.pool().held(), 0);
}

TEST(IncomingBlocks, LeaveNoTraceIfNobodyFinishesThem) {
  PoolReplica replica;
  replica.compute(prompt(1));
  auto room = make_room(replica, prompt(4));
  write(replica, *room, 3);
  room.reset();
  EXPECT_EQ(replica.pool().held(), 0);
  EXPECT_EQ(replica.pool().reserved(), 0);
  EXPECT_EQ(replica.here(prompt(4)), 1U);
  EXPECT_EQ(replica.pool().cached(), 1);
}

TEST(IncomingBlocks, AreFinishedAlsoIfTheirRoomIsLetGoBeforeTheEngineHasTime) {
  PoolReplica replica;
  auto room = make_room(replica, prompt(3));
  auto checksums = write(replica, *room, 3);
  replica.set_busy(true);
  std::optional<engine::BlocksImported> became;
  room->finish(std::move(checksums), [&](const engine::BlocksImported& imported) { became = imported; });
  room.reset();
  EXPECT_FALSE(became);
  replica.set_busy(false);
  EXPECT_EQ(became->usable, 3U);
  EXPECT_EQ(replica.here(prompt(3)), 3U);
  EXPECT_EQ(replica.pool().held(), 0) << "it is not let go twice";
}

TEST(IncomingBlocks, TakeNoRoomThatIsHeldOrPromised) {
  PoolReplica replica({.blocks = 4});
  replica.compute(prompt(2));
  const auto held = pin(replica, prompt(2));
  ASSERT_TRUE(replica.pool().reserve(1));
  const auto room = make_room(replica, prompt(3, 1));
  EXPECT_EQ(room->incoming().size(), 1U);
  EXPECT_TRUE(make_room(replica, prompt(3, 2))->incoming().empty());
  EXPECT_EQ(replica.here(prompt(2)), 2U);
}

TEST(IncomingBlocks, OutliveTheirReplica) {
  auto replica = std::make_unique<PoolReplica>();
  auto room = make_room(*replica, prompt(3));
  const auto blocks = replica->blocks();
  const auto chain = replica->chain(prompt(3));
  replica.reset();
  room.reset();
  bool called = false;
  IncomingBlocks::make(blocks, chain, [&](const std::shared_ptr<IncomingBlocks>&) { called = true; });
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace troupe::actors
