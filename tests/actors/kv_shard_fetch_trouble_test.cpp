// What can go wrong while a KV shard brings blocks here: whoever waits is answered in time, and memory is let go only when
// nobody writes into it any more.
#include <gtest/gtest.h>

#include "tests/actors/kv_fetching.hpp"

namespace troupe::actors {
namespace {

using cluster::LocalFault;

TEST_F(KvFetching, GoesOnWithoutATransferThatFails) {
  make_with_neighbour();
  trouble_ = [](LocalFault& fault) { fault.fails = Error{ErrorCode::unavailable, "the cable broke"}; };
  EXPECT_EQ(fetch(*b_, prompt(4)), 0U);
  expect_nothing_came();
  EXPECT_EQ(fetch(*b_, prompt(4)), 0U);
  EXPECT_EQ(n_->asked.size(), 1U) << "it is asked again when it says again what it has";
  trouble_ = [](LocalFault& fault) { fault.part = true; };
  say_it_has(prompt(4));
  EXPECT_EQ(fetch(*b_, prompt(4)), 0U);
  expect_nothing_came();
  EXPECT_EQ(n_->asked.size(), 2U);
}

TEST_F(KvFetching, NoticesATransferThatWasCutShort) {
  make_with_neighbour();
  trouble_ = [](LocalFault& fault) { fault.torn_after = block_bytes + 10; };
  EXPECT_EQ(fetch(*b_, prompt(4)), 1U);
  EXPECT_EQ(b_->replica().here(prompt(4)), 1U);
  EXPECT_EQ(b_->traffic().wrong_blocks, 3U);
}

TEST_F(KvFetching, IsGivenUpBeforeAnEngineGivesUpWaitingAndItsMemoryLater) {
  make_with_neighbour();
  // Each step takes long.
  delay_transfers(seconds(100));
  b_->replica().set_busy(true);
  const TimePoint begun = world_.now();
  const auto answer = begin_fetch(*b_, prompt(4));
  pass(milliseconds(900));
  b_->replica().set_busy(false);
  EXPECT_EQ(came(answer), 0U);
  EXPECT_LT(world_.now() - begun, engine_waits);
  EXPECT_EQ(b_->replica().pool().held(), 4) << "the fabric may still write there";
  EXPECT_TRUE(n_->released.empty()) << "and read there";
  const auto joins = begin_fetch(*b_, prompt(4));
  EXPECT_TRUE(joins->has_value()) << "whoever comes now does not wait for it";
  pass(seconds(2));
  expect_nothing_came();
}

TEST_F(KvFetching, BeginsNoTransferWhenTheEngineMadeRoomTooLate) {
  make_with_neighbour();
  b_->replica().set_busy(true);
  const auto answer = begin_fetch(*b_, prompt(4));
  pass(milliseconds(2200));
  b_->replica().set_busy(false);
  EXPECT_EQ(came(answer), 0U);
  expect_nothing_came();
  EXPECT_EQ(fetch(*b_, prompt(4)), 4U) << "that was not the source's fault";
}

TEST_F(KvFetching, NeedsRoom) {
  make_with_neighbour();
  engine::BlockPool& pool = b_->replica().pool();
  ASSERT_TRUE(pool.reserve(pool.available()));
  EXPECT_EQ(fetch(*b_, prompt(4)), 0U);
  expect_nothing_came();
  pool.unreserve(2);
  EXPECT_EQ(fetch(*b_, prompt(4)), 2U) << "as much as there is room for";
  EXPECT_EQ(b_->replica().here(prompt(4)), 2U);
}

TEST_F(KvFetching, SkipsWhatTheEngineHasComputedMeanwhile) {
  make_with_neighbour();
  b_->replica().set_busy(true);
  auto answer = begin_fetch(*b_, prompt(4));
  b_->replica().compute(prompt(2));
  b_->replica().set_busy(false);
  EXPECT_EQ(came(answer), 2U);
  EXPECT_EQ(b_->replica().here(prompt(4)), 4U);
  EXPECT_EQ(b_->traffic().fetched_blocks, 2U);

  say_it_has(prompt(3, 1));
  b_->replica().set_busy(true);
  answer = begin_fetch(*b_, prompt(3, 1));
  b_->replica().compute(prompt(3, 1));
  b_->replica().set_busy(false);
  EXPECT_EQ(came(answer), 0U) << "all of it";
  EXPECT_EQ(b_->traffic().fetched_blocks, 2U);
  EXPECT_EQ(b_->replica().pool().held(), 0);
  world_.settle();
  EXPECT_EQ(n_->released.size(), 2U);
}

TEST_F(KvFetching, OfBlocksThatTheEngineComputesMeanwhileLeavesItsOwn) {
  make_with_neighbour();
  delay_transfers(milliseconds(100));
  const auto answer = begin_fetch(*b_, prompt(4));
  pass(milliseconds(50));
  b_->replica().compute(prompt(4));
  const auto index = b_->replica().pool().find(b_->replica().chain(prompt(4))[0]);
  came(answer);
  EXPECT_EQ(b_->replica().here(prompt(4)), 4U);
  EXPECT_EQ(b_->replica().pool().find(b_->replica().chain(prompt(4))[0]), index);
  EXPECT_EQ(b_->replica().pool().held(), 0);
  EXPECT_EQ(b_->replica().pool().cached(), 4) << "each is here once";
}

TEST_F(KvFetching, IsGivenUpIfWhatItFollowsWasEvictedMeanwhile) {
  make_with_neighbour();
  b_->replica().compute(prompt(2));
  pass(milliseconds(200));
  b_->replica().set_busy(true);
  const auto answer = begin_fetch(*b_, prompt(4));
  b_->replica().evict_all();
  b_->replica().set_busy(false);
  EXPECT_EQ(came(answer), 0U);
  expect_nothing_came();
  pass(milliseconds(200));
  EXPECT_EQ(fetch(*b_, prompt(4)), 4U) << "the source has done nothing wrong";
}

// The shard ends meanwhile.

TEST_F(KvFetching, EndsWithTheShardAndThoseWhoWaitAreToldAtOnce) {
  make_with_neighbour();
  const auto expect_told = [&](const char* when) {
    const auto one = begin_fetch(*b_, prompt(4));
    const auto other = begin_fetch(*b_, prompt(4));
    pass(milliseconds(50));
    EXPECT_FALSE(one->has_value()) << when;
    stop(b_->shard);
    world_.settle();
    EXPECT_TRUE(one->has_value()) << when;
    EXPECT_TRUE(other->has_value()) << when;
    start(*b_);
    publish();
  };
  n_->lend = {};
  expect_told("while the lease was asked for");
  n_->lend = [this](const schemas::KvLease& asked) { return lends_all(*n_, b_->replica(), asked); };
  b_->replica().set_busy(true);
  expect_told("while room was made");
  b_->replica().set_busy(false);
  delay_transfers(seconds(100));
  expect_told("while blocks came");
  trouble_ = {};
  EXPECT_EQ(fetch(*b_, prompt(4)), 4U) << "the next shard brings them";
}

TEST_F(KvFetching, EndsIfTheFabricHasEnded) {
  make_with_neighbour();
  delay_transfers(milliseconds(800));
  const auto moving = begin_fetch(*b_, prompt(4));
  pass(milliseconds(50));
  b_->replica().set_busy(true);
  say_it_has(prompt(4, 1));
  const auto waiting = begin_fetch(*b_, prompt(4, 1));
  b_->context->links.reset();
  b_->context->fabric.reset();
  b_->replica().set_busy(false);
  EXPECT_EQ(came(moving), 0U);
  EXPECT_EQ(came(waiting), 0U);
  EXPECT_EQ(b_->replica().pool().held(), 0);
}

TEST_F(KvFetching, EndsTogetherWithItsFabric) {
  make_with_neighbour();
  delay_transfers(milliseconds(800));
  const auto answer = begin_fetch(*b_, prompt(4));
  pass(milliseconds(50));
  b_->context->links.reset();
  b_->context->fabric.reset();
  stop(b_->shard);
  world_.settle();
  EXPECT_TRUE(answer->has_value());
  EXPECT_EQ(b_->replica().pool().held(), 0);
}

TEST_F(KvFetching, LeavesItsMemoryAloneUntilTheFabricHasEndedEvenIfTheShardHas) {
  make_with_neighbour();
  delay_transfers(milliseconds(800));
  begin_fetch(*b_, prompt(4));
  pass(milliseconds(50));
  stop(b_->shard);
  world_.settle();
  PoolReplica& replica = b_->replica();
  EXPECT_EQ(replica.pool().held(), 4);
  // Other prompts fill all that is left; what still comes must not land there.
  const std::int32_t others = replica.pool().available();
  EXPECT_EQ(others, replica.pool().blocks() - 4);
  ASSERT_TRUE(replica.compute(prompt(others, 1)));
  pass(seconds(2));
  EXPECT_EQ(replica.here(prompt(others, 1)), static_cast<std::size_t>(others));
  EXPECT_EQ(replica.pool().held(), 0) << "the fabric has ended";
}

}  // namespace
}  // namespace troupe::actors
