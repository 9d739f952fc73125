// How a KV shard brings blocks here, and what a source can do wrong: whoever waits is answered, and begins with what is here.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/actors/kv_fetching.hpp"

namespace troupe::actors {
namespace {

using schemas::KvLease;
using schemas::KvLeased;

TEST_F(KvFetching, BringsWhatAnotherNodeHasComputed) {
  make_two();
  EXPECT_EQ(fetch(*b_, prompt(4)), 4U);
  EXPECT_EQ(b_->replica().here(prompt(4)), 4U);
  EXPECT_EQ(b_->traffic().fetched_blocks, 4U);
  EXPECT_EQ(b_->traffic().fetched_bytes, 4 * block_bytes);
  EXPECT_EQ(b_->traffic().wrong_blocks, 0U);
  EXPECT_EQ(a_->traffic().lent_blocks, 4U);
  pass(milliseconds(200));
  EXPECT_EQ(a_->replica().pool().held(), 0) << "the lease was released";
  EXPECT_EQ(b_->replica().pool().held(), 0);
  EXPECT_EQ(b_->known_of("b"), 4U);
  EXPECT_EQ(a_->known_of("b"), 4U) << "who brings blocks has them for others";
}

TEST_F(KvFetching, BringsOnlyWhatIsMissing) {
  make_two();
  b_->replica().compute(prompt(1));
  pass(milliseconds(200));
  EXPECT_EQ(fetch(*b_, prompt(6)), 3U) << "nobody has the last two";
  EXPECT_EQ(b_->replica().here(prompt(6)), 4U);
  EXPECT_EQ(b_->traffic().fetched_blocks, 3U);
}

TEST_F(KvFetching, LeavesTheBlockOfTheLastTokenToTheEngine) {
  make_two();
  policy::TokenIds whole = prompt(4);
  whole.pop_back();
  EXPECT_EQ(fetch(*b_, whole), 3U);
}

TEST_F(KvFetching, GoesIntoThePoolThatAsks) {
  a_ = &add("a");
  a_->replica().compute(prompt(4));
  b_ = &add("b", {{}, {}});
  publish();
  EXPECT_EQ(fetch(*b_, prompt(4), 1), 4U);
  EXPECT_EQ(b_->replica(0).here(prompt(4)), 0U);
  EXPECT_EQ(b_->replica(1).here(prompt(4)), 4U);
}

TEST_F(KvFetching, HasNothingToDoForWhatIsHereOrShorterThanABlockOrNowhere) {
  a_ = &add("a");
  a_->replica().compute(prompt(4));
  b_ = &add("b", {{}, {.moves = false}});
  b_->replica().compute(prompt(4, 1));
  publish();
  EXPECT_EQ(fetch(*b_, prompt(4, 1)), 0U);
  EXPECT_EQ(fetch(*b_, prompt(4, 2)), 0U);
  EXPECT_EQ(fetch(*b_, prompt(0)), 0U);
  EXPECT_EQ(fetch(*b_, {}), 0U);
  EXPECT_EQ(fetch(*b_, prompt(4), 1), 0U) << "its blocks do not move";
  EXPECT_EQ(fetch(*b_, prompt(4), 2), 0U) << "there is no such replica";
  EXPECT_EQ(a_->traffic().lent_blocks, 0U);
}

TEST_F(KvFetching, AsksNobodyWhoIsGoneOrNotReachedByTheFabric) {
  make_with_neighbour();
  n_->fabric.reset();
  publish();
  EXPECT_EQ(fetch(*b_, prompt(4)), 0U);
  n_->state = policy::NodeState::gone;
  publish();
  EXPECT_EQ(fetch(*b_, prompt(4)), 0U);
  EXPECT_TRUE(n_->asked.empty());
}

TEST_F(KvFetching, AsksForSoManyBlocksAndNoMore) {
  constexpr auto more = static_cast<std::int32_t>(schemas::kv_chain_max) + 2;
  make_with_neighbour({}, more);
  n_->lend = {};
  EXPECT_EQ(fetch(*b_, prompt(more)), 0U);
  ASSERT_EQ(n_->asked.size(), 1U);
  EXPECT_EQ(n_->asked[0].chain.size(), schemas::kv_chain_max);
  EXPECT_EQ(n_->asked[0].node.value, "b");
  EXPECT_EQ(n_->asked[0].model, b_->replica().view().model);
}

TEST_F(KvFetching, IsDoneOnlyIfItTakesLessTimeThanComputing) {
  make_with_neighbour({.prefill_seconds_per_token = 1e-6});
  EXPECT_EQ(fetch(*b_, prompt(4)), 0U);
  EXPECT_TRUE(n_->asked.empty());
}

TEST_F(KvFetching, RemembersHowLongANeighbourTakes) {
  make_with_neighbour({.prefill_seconds_per_token = 1e-4});
  delay_transfers(milliseconds(300));
  EXPECT_EQ(fetch(*b_, prompt(4)), 4U);
  say_it_has(prompt(4, 1));
  EXPECT_EQ(fetch(*b_, prompt(4, 1)), 0U);
  EXPECT_EQ(n_->asked.size(), 1U) << "64 tokens take 6 ms, and it took 300";
}

TEST_F(KvFetching, IsSharedByThoseWhoseNextBlockIsTheSame) {
  make_two();
  delay_transfers(milliseconds(100));
  const auto one = begin_fetch(*b_, prompt(4));
  const auto same = begin_fetch(*b_, prompt(4));
  const auto shorter = begin_fetch(*b_, prompt(2));
  for (const auto& each : {one, same, shorter}) EXPECT_EQ(came(each), 4U);
  EXPECT_EQ(a_->traffic().lent_blocks, 4U);
  EXPECT_EQ(b_->traffic().fetched_blocks, 4U);
}

TEST_F(KvFetching, IsWaitedForBySoManyAndTheNextBeginsWithoutIt) {
  make_two();
  delay_transfers(milliseconds(100));
  std::vector<Answered<PrefixFetched>> waiting;
  for (std::size_t i = 0; i < KvShardState::waiting_max; ++i) waiting.push_back(begin_fetch(*b_, prompt(4)));
  const auto beyond = begin_fetch(*b_, prompt(4));
  ASSERT_TRUE(beyond->has_value());
  EXPECT_EQ(came(beyond), 0U);
  for (const auto& each : waiting) EXPECT_FALSE(each->has_value());
  for (const auto& each : waiting) EXPECT_EQ(came(each), 4U);
}

TEST_F(KvFetching, IsOfSoManyPrefixesAtATimeAndTheNextIsComputed) {
  make_with_neighbour();
  n_->lend = {};
  std::vector<Answered<PrefixFetched>> waiting;
  for (std::size_t i = 0; i <= KvShardState::fetches_max; ++i) {
    say_it_has(prompt(1, static_cast<std::int32_t>(i)));
    waiting.push_back(begin_fetch(*b_, prompt(1, static_cast<std::int32_t>(i))));
  }
  ASSERT_TRUE(waiting.back()->has_value());
  EXPECT_EQ(n_->asked.size(), KvShardState::fetches_max);
  for (const auto& each : waiting) EXPECT_EQ(came(each), 0U);
  n_->lend = [this](const KvLease& asked) { return lends_all(*n_, b_->replica(), asked); };
  EXPECT_EQ(fetch(*b_, prompt(1, static_cast<std::int32_t>(KvShardState::fetches_max))), 1U) << "there is room again";
}

// What a source does wrong.

TEST_F(KvFetching, GoesOnWithoutASourceThatRefuses) {
  make_with_neighbour();
  n_->lend = [](const KvLease&) { return Error{ErrorCode::overloaded, "all is lent"}; };
  const auto answer = begin_fetch(*b_, prompt(4));
  EXPECT_TRUE(answer->has_value()) << "at once";
  EXPECT_EQ(came(answer), 0U);
  n_->lend = [this](const KvLease& asked) { return lends_all(*n_, b_->replica(), asked); };
  EXPECT_EQ(fetch(*b_, prompt(4)), 4U) << "it still has them";
}

TEST_F(KvFetching, GoesOnWithoutASourceThatSaysNothing) {
  make_with_neighbour();
  n_->lend = {};
  const TimePoint begun = world_.now();
  EXPECT_EQ(fetch(*b_, prompt(4)), 0U);
  EXPECT_LT(world_.now() - begun, seconds(1));
  EXPECT_EQ(b_->replica().pool().held(), 0);
  EXPECT_TRUE(begin_fetch(*b_, prompt(4))->has_value()) << "it is not waited for again";
  EXPECT_EQ(n_->asked.size(), 1U);
}

TEST_F(KvFetching, GoesOnWithoutASourceWhoseShardHasEnded) {
  make_with_neighbour();
  stop(n_->shard);
  world_.settle();
  const auto answer = begin_fetch(*b_, prompt(4));
  EXPECT_TRUE(answer->has_value()) << "at once";
  EXPECT_EQ(came(answer), 0U);
}

TEST_F(KvFetching, TakesFewerBlocksThanItAskedFor) {
  make_with_neighbour();
  lend_changed([](KvLeased& leased) { leased.blocks.resize(2); });
  EXPECT_EQ(fetch(*b_, prompt(4)), 2U);
  EXPECT_EQ(b_->replica().here(prompt(4)), 2U);
  EXPECT_EQ(n_->released.size(), 1U);
}

TEST_F(KvFetching, TakesNoMoreBlocksThanItAskedFor) {
  make_with_neighbour();
  lend_changed([](KvLeased& leased) { leased.blocks.resize(9, leased.blocks[0]); });
  EXPECT_EQ(fetch(*b_, prompt(3)), 3U);
  EXPECT_EQ(b_->traffic().fetched_blocks, 3U);
  EXPECT_EQ(b_->replica().pool().cached(), 3);
}

TEST_F(KvFetching, AsksNoMoreForWhatASourceNoLongerHas) {
  make_with_neighbour();
  lend_changed([](KvLeased& leased) { leased.blocks.clear(); });
  EXPECT_EQ(fetch(*b_, prompt(4)), 0U);
  expect_nothing_came();
  EXPECT_EQ(fetch(*b_, prompt(4)), 0U);
  EXPECT_EQ(n_->asked.size(), 1U);
}

TEST_F(KvFetching, TakesNoBlocksOfAnotherSize) {
  make_with_neighbour();
  lend_changed([](KvLeased& leased) { leased.block_bytes /= 2; });
  EXPECT_EQ(fetch(*b_, prompt(4)), 0U);
  expect_nothing_came();
  EXPECT_EQ(n_->asked.size(), 1U);
}

TEST_F(KvFetching, KeepsNoBlockThatIsNotTheOneItsChecksumTells) {
  make_with_neighbour();
  lend_changed([](KvLeased& leased) { leased.blocks[1].checksum ^= 1; });
  EXPECT_EQ(fetch(*b_, prompt(4)), 1U);
  EXPECT_EQ(b_->replica().here(prompt(4)), 1U);
  EXPECT_FALSE(b_->replica().pool().find(b_->replica().chain(prompt(4))[1]));
  EXPECT_EQ(b_->traffic().wrong_blocks, 1U);
  EXPECT_EQ(b_->traffic().fetched_blocks, 3U);
  EXPECT_EQ(b_->replica().pool().held(), 0);
  pass(milliseconds(200));
  EXPECT_EQ(fetch(*b_, prompt(4)), 0U);
  EXPECT_EQ(n_->asked.size(), 1U) << "its blocks are not asked for again";
  EXPECT_EQ(n_->released.size(), 1U);
}

TEST_F(KvFetching, KeepsNoBlockThatStandsInForAnother) {
  make_with_neighbour();
  lend_changed([](KvLeased& leased) { std::swap(leased.blocks[0], leased.blocks[1]); });
  EXPECT_EQ(fetch(*b_, prompt(4)), 0U);
  EXPECT_EQ(b_->replica().here(prompt(4)), 0U);
  EXPECT_EQ(b_->traffic().wrong_blocks, 2U);
}

TEST_F(KvFetching, ReadsNothingOutsideOfTheRegion) {
  make_with_neighbour();
  const std::uint64_t bytes = n_->region->remote().bytes;
  for (const std::uint64_t offset : {bytes, bytes - block_bytes + 1, ~std::uint64_t{0}, ~std::uint64_t{0} - block_bytes + 1}) {
    say_it_has(prompt(4));
    lend_changed([offset](KvLeased& leased) { leased.blocks[1].offset = offset; });
    EXPECT_EQ(fetch(*b_, prompt(4)), 0U) << offset;
    expect_nothing_came();
  }
  say_it_has(prompt(4));
  lend_changed([&](KvLeased& leased) {
    leased.blocks[0].offset = bytes;
    leased.region_bytes = 2 * bytes;
  });
  EXPECT_EQ(fetch(*b_, prompt(4)), 0U) << "the region is not as large as it says";
  expect_nothing_came();
  say_it_has(prompt(4));
  lend_changed([](KvLeased& leased) { leased.region_key = "no key"; });
  EXPECT_EQ(fetch(*b_, prompt(4)), 0U);
  expect_nothing_came();
  EXPECT_EQ(n_->asked.size(), 6U);
}

TEST_F(KvFetching, NoticesThatTheSourceReusedItsBlocks) {
  make_with_neighbour();
  delay_transfers(milliseconds(300));
  const auto answer = begin_fetch(*b_, prompt(4));
  pass(milliseconds(100));
  std::ranges::fill(*n_->memory, std::byte{5});
  EXPECT_EQ(came(answer), 0U);
  EXPECT_EQ(b_->traffic().wrong_blocks, 4U);
  expect_nothing_came();
}

TEST_F(KvFetching, GoesOnWithoutASourceThatEndsMeanwhile) {
  make_two();
  delay_transfers(milliseconds(300));
  const auto answer = begin_fetch(*b_, prompt(4));
  pass(milliseconds(100));
  stop(a_->shard);
  world_.settle();
  a_->replica().evict_all();
  EXPECT_EQ(came(answer), 0U);
  expect_nothing_came();
}

}  // namespace
}  // namespace troupe::actors
