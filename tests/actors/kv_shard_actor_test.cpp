// What a KV shard knows of others, tells them, and lends.
#include "actors/kv_shard_actor.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <set>

#include "tests/actors/shards.hpp"

namespace troupe::actors {
namespace {

using schemas::KvHoldings;
using schemas::KvLease;
using schemas::KvLeased;
using schemas::KvRelease;
using Ids = std::vector<policy::BlockId>;

std::set<policy::BlockId> set_of(const Ids& ids) { return {ids.begin(), ids.end()}; }

class KvHolding : public Shards {
 protected:
  static Ids some_blocks(std::size_t count, std::uint8_t kind = 1) {
    Ids ids(count);
    for (std::size_t i = 0; i < count; ++i) {
      ids[i].bytes[0] = kind;
      ids[i].bytes[1] = static_cast<std::uint8_t>(i);
      ids[i].bytes[2] = static_cast<std::uint8_t>(i >> 8);
    }
    return ids;
  }
  static std::size_t held(const Node& node, const std::string& by, const Ids& chain) {
    for (const auto& holder : node.context->block_holders.holders(chain)) {
      if (holder.node.value == by) return holder.blocks;
    }
    return 0;
  }
};

TEST_F(KvHolding, IsToldToANewNeighbourAsAWhole) {
  Node& a = add("a");
  a.replica().compute(prompt(3));
  publish();
  Neighbour& b = add_neighbour("b");
  publish();
  ASSERT_EQ(b.heard.size(), 1U);
  EXPECT_EQ(b.heard[0].node.value, "a");
  EXPECT_TRUE(b.heard[0].all);
  EXPECT_EQ(set_of(b.heard[0].come), set_of(a.replica().chain(prompt(3))));
  EXPECT_TRUE(b.heard[0].gone.empty());
}

TEST_F(KvHolding, IsToldAsChangesAfterwards) {
  Node& a = add("a", {{.blocks = 4}});
  a.replica().compute(prompt(3));
  Neighbour& b = add_neighbour("b");
  publish();
  b.heard.clear();
  pass(seconds(1));
  EXPECT_TRUE(b.heard.empty()) << "nothing has changed";
  a.replica().compute(prompt(3, 1));
  pass(milliseconds(200));
  ASSERT_EQ(b.heard.size(), 1U);
  EXPECT_FALSE(b.heard[0].all);
  EXPECT_EQ(set_of(b.heard[0].come), set_of(a.replica().chain(prompt(3, 1))));
  const Ids before = a.replica().chain(prompt(3));
  EXPECT_EQ(set_of(b.heard[0].gone), set_of({before[1], before[2]})) << "the tail went first";
}

TEST_F(KvHolding, IsToldInPartsIfItIsLarge) {
  constexpr std::int32_t many = static_cast<std::int32_t>(schemas::kv_holdings_max) + 10;
  Node& a = add("a", {{.blocks = many}});
  ASSERT_TRUE(a.replica().compute(prompt(many)));
  Node& c = add("c");
  Neighbour& b = add_neighbour("b");
  publish();
  // What each first heard of a may have been that nothing is known yet; the last beginning counts.
  Ids heard;
  std::size_t parts = 0;
  for (const KvHoldings& holdings : b.heard) {
    if (holdings.node.value != "a") continue;
    EXPECT_LE(holdings.come.size(), schemas::kv_holdings_max);
    if (holdings.all) heard.clear(), parts = 0;
    heard.insert(heard.end(), holdings.come.begin(), holdings.come.end());
    ++parts;
  }
  EXPECT_EQ(parts, 2U);
  EXPECT_EQ(set_of(heard), set_of(a.replica().chain(prompt(many))));
  EXPECT_EQ(c.known_of("a"), static_cast<std::size_t>(many));
}

TEST_F(KvHolding, IsToldAgainAfterHalfAMinute) {
  Node& a = add("a");
  a.replica().compute(prompt(3));
  Neighbour& b = add_neighbour("b");
  publish();
  b.heard.clear();
  pass(seconds(31));
  ASSERT_EQ(b.heard.size(), 1U) << "messages may be lost";
  EXPECT_TRUE(b.heard[0].all);
  EXPECT_EQ(b.heard[0].come.size(), 3U);
}

TEST_F(KvHolding, IsToldToAShardThatHasBegunAnew) {
  Node& a = add("a");
  a.replica().compute(prompt(3));
  Neighbour& b = add_neighbour("b");
  publish();
  b.heard.clear();
  stop(b.shard);
  start(b);
  publish();
  ASSERT_EQ(b.heard.size(), 1U);
  EXPECT_TRUE(b.heard[0].all);
  EXPECT_EQ(b.heard[0].come.size(), 3U);
}

TEST_F(KvHolding, IsToldAnewToANeighbourThatWasAwayForAMoment) {
  Node& a = add("a");
  a.replica().compute(prompt(3));
  Neighbour& b = add_neighbour("b");
  publish();
  b.state = policy::NodeState::gone;
  publish();
  a.replica().compute(prompt(2, 1));
  pass(milliseconds(300));
  b.heard.clear();
  b.state = policy::NodeState::serving;
  publish();
  ASSERT_EQ(b.heard.size(), 1U) << "what it was sent meanwhile was lost";
  EXPECT_TRUE(b.heard[0].all);
  EXPECT_EQ(b.heard[0].come.size(), 5U);
}

TEST_F(KvHolding, IsToldByAShardThatBeginsAnewThoughAnEarlierOneHasTakenTheChanges) {
  Node& a = add("a");
  Node& b = add("b");
  publish();
  a.replica().compute(prompt(3));
  pass(milliseconds(200));
  stop(a.shard);
  b.context->block_holders.forget({"a"});
  start(a);
  publish();
  EXPECT_EQ(held(b, "a", a.replica().chain(prompt(3))), 3U);
  EXPECT_EQ(held(a, "a", a.replica().chain(prompt(3))), 3U);
}

TEST_F(KvHolding, OfTheOwnNodeIsKnownAlsoWithoutAFabricAndToldToNobody) {
  Node& a = add("a", {{}}, nullptr, false);
  a.replica().compute(prompt(3));
  Neighbour& b = add_neighbour("b");
  publish();
  EXPECT_EQ(held(a, "a", a.replica().chain(prompt(3))), 3U);
  EXPECT_TRUE(b.heard.empty());
}

TEST_F(KvHolding, OfOneBlockInTwoPoolsEndsWhenBothHaveEvictedIt) {
  Node& a = add("a", {{.blocks = 4}, {.blocks = 4}});
  Neighbour& b = add_neighbour("b");
  for (const std::size_t pool : {0, 1}) a.replica(pool).compute(prompt(2));
  publish();
  b.heard.clear();
  const Ids chain = a.replica().chain(prompt(2));
  a.replica(0).evict_all();
  pass(milliseconds(200));
  for (const KvHoldings& holdings : b.heard) EXPECT_TRUE(holdings.gone.empty()) << "the other pool still has it";
  EXPECT_EQ(held(a, "a", chain), 2U);
  a.replica(1).evict_all();
  pass(milliseconds(200));
  EXPECT_EQ(set_of(b.heard.back().gone), set_of(chain));
  EXPECT_EQ(held(a, "a", chain), 0U);
}

TEST_F(KvHolding, OfOthersIsWhatTheySay) {
  Node& a = add("a");
  Neighbour& b = add_neighbour("b");
  publish();
  const Ids blocks = some_blocks(5);
  tell(a.shard, KvHoldings{b.name, true, blocks, {}});
  EXPECT_EQ(held(a, "b", blocks), 5U);
  tell(a.shard, KvHoldings{b.name, false, {}, {blocks[3]}});
  EXPECT_EQ(held(a, "b", blocks), 3U);
  tell(a.shard, KvHoldings{b.name, false, {blocks[3]}, {}});
  EXPECT_EQ(held(a, "b", blocks), 5U);
  tell(a.shard, KvHoldings{b.name, true, {blocks[0]}, {}});
  EXPECT_EQ(held(a, "b", blocks), 1U) << "what was said before is void";
  EXPECT_EQ(a.known_of("b"), 1U);
}

TEST_F(KvHolding, UnderTheOwnNameOrNoneIsIgnored) {
  Node& a = add("a");
  a.replica().compute(prompt(3));
  publish();
  tell(a.shard, KvHoldings{{"a"}, true, some_blocks(5), {}});
  tell(a.shard, KvHoldings{{""}, true, some_blocks(5), {}});
  EXPECT_TRUE(a.context->block_holders.holders(some_blocks(5)).empty());
  EXPECT_EQ(held(a, "a", a.replica().chain(prompt(3))), 3U);
}

TEST_F(KvHolding, OfANodeIsForgottenWhenItHasBeenAwayForSeconds) {
  Node& a = add("a");
  Neighbour& b = add_neighbour("b");
  Neighbour& c = add_neighbour("c");
  publish();
  tell(a.shard, KvHoldings{b.name, true, some_blocks(5), {}});
  tell(a.shard, KvHoldings{c.name, true, some_blocks(5), {}});
  b.state = policy::NodeState::gone;
  c.shard = KvShardActor();  // no connection
  publish();
  pass(seconds(3));
  EXPECT_EQ(a.known_of("b"), 5U) << "it may have been a moment's silence";
  EXPECT_EQ(a.known_of("c"), 5U);
  pass(seconds(3));
  EXPECT_EQ(a.known_of("b"), 0U);
  EXPECT_EQ(a.known_of("c"), 0U);
  b.heard.clear();
  b.state = policy::NodeState::serving;
  publish();
  ASSERT_FALSE(b.heard.empty());
  EXPECT_TRUE(b.heard[0].all) << "it is told anew";
}

TEST_F(KvHolding, OfSomebodyWhoNeverJoinsIsForgotten) {
  Node& a = add("a");
  publish();
  tell(a.shard, KvHoldings{{"stranger"}, true, some_blocks(5), {}});
  EXPECT_EQ(a.known_of("stranger"), 5U);
  pass(seconds(6));
  EXPECT_EQ(a.known_of("stranger"), 0U);
}

TEST_F(KvHolding, IsRememberedOfSoManyNodesAndNoMore) {
  Node& a = add("a");
  publish();
  for (std::size_t i = 0; i < KvShardState::nodes_max + 1; ++i) {
    tell(a.shard, KvHoldings{{"n" + std::to_string(i)}, true, some_blocks(1), {}});
  }
  EXPECT_EQ(a.context->block_holders.holders(some_blocks(1)).size(), KvShardState::nodes_max);
  EXPECT_EQ(a.known_of("n" + std::to_string(KvShardState::nodes_max)), 0U);
  tell(a.shard, KvHoldings{{"n7"}, false, some_blocks(3), {}});
  EXPECT_EQ(a.known_of("n7"), 3U) << "those who are known go on";
}

class KvLending : public Shards {
 protected:
  KvLease of(const PoolReplica& replica, const policy::TokenIds& tokens, const std::string& by = "b",
             std::int64_t valid_ms = 4000) const {
    return {{by}, replica.view().model, replica.chain(tokens), valid_ms};
  }
  /// A lease that is granted; without blocks, and a failure, if it is not.
  KvLeased granted(const Node& node, const KvLease& asked) {
    const auto answer = lease(node, asked);
    const bool fine = answer->has_value() && answer->value().has_value();
    EXPECT_TRUE(fine) << (answer->has_value() ? answer->value().error().message : "no answer");
    return fine ? ***answer : KvLeased{};
  }
  Error refused(const Node& node, const KvLease& asked) {
    const auto answer = lease(node, asked);
    const bool is_refused = answer->has_value() && !answer->value().has_value();
    EXPECT_TRUE(is_refused);
    return is_refused ? answer->value().error() : Error{ErrorCode::io, "it was not refused"};
  }
};

TEST_F(KvLending, SaysWhereTheFirstBlocksAreAndWhatTheirChecksumsAre) {
  Node& a = add("a");
  a.replica().compute(prompt(3));
  publish();
  const KvLeased leased = granted(a, of(a.replica(), prompt(5)));
  const auto chain = a.replica().chain(prompt(5));
  const auto memory = a.replica().blocks()->memory();
  EXPECT_EQ(leased.block_bytes, a.replica().blocks()->block_bytes());
  EXPECT_EQ(leased.region_bytes, memory.size());
  ASSERT_EQ(leased.blocks.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto contents = a.replica().contents_of(chain[i]);
    EXPECT_EQ(std::memcmp(memory.data() + leased.blocks[i].offset, contents.data(), leased.block_bytes), 0);
    EXPECT_EQ(leased.blocks[i].checksum, engine::block_checksum(chain[i], contents));
  }
  EXPECT_EQ(a.traffic().lent_blocks, 3U);
}

TEST_F(KvLending, OfAModelThatIsNotHereIsRefusedByName) {
  Node& a = add("a");
  a.replica().compute(prompt(3));
  publish();
  KvLease asked = of(a.replica(), prompt(3));
  asked.model.fingerprint = "another";
  const Error other_model = refused(a, asked);
  EXPECT_EQ(other_model.code, ErrorCode::not_found);
  EXPECT_NE(other_model.message.find("another (cpu-f32-v1)"), std::string::npos) << other_model.message;
  asked = of(a.replica(), prompt(3));
  asked.model.numeric_class = "gpu-f16-v9";
  const Error other_class = refused(a, asked);
  EXPECT_EQ(other_class.code, ErrorCode::not_found);
  EXPECT_NE(other_class.message.find(asked.model.fingerprint + " (gpu-f16-v9)"), std::string::npos) << other_class.message;
  EXPECT_EQ(a.replica().pool().held(), 0);
}

TEST_F(KvLending, NeedsAFabricAndBlocksThatMove) {
  Node& a = add("a", {{}}, nullptr, false);
  Node& b = add("b", {{.moves = false}});
  for (Node* node : {&a, &b}) node->replica().compute(prompt(3));
  publish();
  for (Node* node : {&a, &b}) EXPECT_EQ(refused(*node, of(node->replica(), prompt(3), "c")).code, ErrorCode::not_found);
}

TEST_F(KvLending, IsNotOfMemoryThatOnlyADeviceReaches) {
  Node& a = add("a", {{.device = testing::far_device}, {.model = 2}});
  a.replica(0).compute(prompt(3));
  a.replica(1).compute(prompt(2));
  Neighbour& b = add_neighbour("b");
  publish();
  EXPECT_EQ(refused(a, of(a.replica(0), prompt(3))).code, ErrorCode::not_found);
  EXPECT_EQ(granted(a, of(a.replica(1), prompt(2))).blocks.size(), 2U);
  a.replica(0).compute(prompt(5));
  pass(milliseconds(300));
  std::set<policy::BlockId> told;
  for (const KvHoldings& holdings : b.heard) told.insert(holdings.come.begin(), holdings.come.end());
  EXPECT_EQ(told, set_of(a.replica(1).chain(prompt(2)))) << "nobody is told of what he cannot fetch";
  tell(a.shard, KvHoldings{b.name, false, a.replica(0).chain(prompt(6)), {}});
  EXPECT_EQ(fetch(a, prompt(6)), 0U);
  EXPECT_TRUE(b.asked.empty()) << "nor is he asked for any";
}

TEST_F(KvLending, IsOfTheSharedPartOfAPoolAtMost) {
  Node& a = add("a", {{.blocks = 16}});
  a.replica().compute(prompt(8));
  a.replica().compute(prompt(3, 1));
  publish();
  const KvLeased first = granted(a, of(a.replica(), prompt(8)));
  EXPECT_EQ(first.blocks.size(), 16 / KvShardState::lent_share);
  EXPECT_EQ(refused(a, of(a.replica(), prompt(3, 1))).code, ErrorCode::overloaded);
  tell(a.shard, KvRelease{{"b"}, first.lease});
  const KvLeased second = granted(a, of(a.replica(), prompt(3, 1)));
  EXPECT_EQ(second.blocks.size(), 3U);
  EXPECT_EQ(granted(a, of(a.replica(), prompt(8))).blocks.size(), 1U) << "what is left of the share";
}

TEST_F(KvLending, OfWhatIsNotHereTakesNothingOfTheShare) {
  Node& a = add("a", {{.blocks = 16}});
  a.replica().compute(prompt(4));
  publish();
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(granted(a, of(a.replica(), prompt(4, 1))).blocks.empty());
  EXPECT_TRUE(granted(a, of(a.replica(), {})).blocks.empty());
  EXPECT_EQ(granted(a, of(a.replica(), prompt(4))).blocks.size(), 4U);
}

TEST_F(KvLending, EndsWhenWhoeverHasTheLeaseReleasesIt) {
  Node& a = add("a");
  a.replica().compute(prompt(3));
  publish();
  const KvLeased leased = granted(a, of(a.replica(), prompt(3), "b"));
  tell(a.shard, KvRelease{{"c"}, leased.lease});
  tell(a.shard, KvRelease{{"b"}, leased.lease + 1});
  a.replica().evict_all();
  EXPECT_EQ(a.replica().here(prompt(3)), 3U) << "neither another node nor another lease ends it";
  tell(a.shard, KvRelease{{"b"}, leased.lease});
  EXPECT_EQ(a.replica().pool().held(), 0);
  a.replica().evict_all();
  EXPECT_EQ(a.replica().here(prompt(3)), 0U);
  tell(a.shard, KvRelease{{"b"}, leased.lease});  // again: there is nothing to end
  EXPECT_EQ(a.replica().pool().held(), 0);
}

TEST_F(KvLending, EndsByTime) {
  Node& a = add("a");
  a.replica().compute(prompt(3));
  publish();
  granted(a, of(a.replica(), prompt(3), "b", 1000));
  pass(milliseconds(900));
  EXPECT_EQ(a.replica().pool().held(), 3);
  pass(milliseconds(300));
  EXPECT_EQ(a.replica().pool().held(), 0);
}

TEST_F(KvLending, LastsNoLongerThanAFewSecondsWhateverIsAskedFor) {
  Node& a = add("a");
  a.replica().compute(prompt(6));
  publish();
  granted(a, of(a.replica(), prompt(2), "b", std::numeric_limits<std::int64_t>::max()));
  EXPECT_EQ(granted(a, of(a.replica(), prompt(6), "b", std::numeric_limits<std::int64_t>::min())).blocks.size(), 6U);
  pass(milliseconds(200));
  EXPECT_EQ(a.replica().pool().held(), 2) << "a time that is none ends at once";
  pass(seconds(11));
  EXPECT_EQ(a.replica().pool().held(), 0);
}

TEST_F(KvLending, IsInSoManyLeasesAtATimeAndNoMore) {
  Node& a = add("a", {{.blocks = 8}});
  a.replica().compute(prompt(2));
  publish();
  std::vector<KvLeased> all;
  for (std::size_t i = 0; i < KvShardState::leases_max; ++i) all.push_back(granted(a, of(a.replica(), {})));
  EXPECT_EQ(refused(a, of(a.replica(), {})).code, ErrorCode::overloaded);
  EXPECT_EQ(refused(a, of(a.replica(), prompt(2))).code, ErrorCode::overloaded);
  tell(a.shard, KvRelease{{"b"}, all[5].lease});
  EXPECT_EQ(granted(a, of(a.replica(), prompt(2))).blocks.size(), 2U);
}

TEST_F(KvLending, CountsLeasesThatABusyEngineHasYetToPinBlocksFor) {
  Node& a = add("a");
  publish();
  a.replica().set_busy(true);
  for (std::size_t i = 0; i < KvShardState::leases_max; ++i) EXPECT_FALSE(lease(a, of(a.replica(), {}))->has_value());
  EXPECT_EQ(refused(a, of(a.replica(), {})).code, ErrorCode::overloaded);
  a.replica().set_busy(false);
  world_.settle();
  EXPECT_EQ(refused(a, of(a.replica(), {})).code, ErrorCode::overloaded) << "they are leases now";
}

TEST_F(KvLending, IsFromThePoolThatHoldsMost) {
  Node& a = add("a", {{}, {}, {.model = 2}});
  a.replica(0).compute(prompt(1));
  a.replica(1).compute(prompt(3));
  a.replica(2).compute(prompt(4));
  publish();
  const KvLeased leased = granted(a, of(a.replica(1), prompt(4)));
  EXPECT_EQ(leased.blocks.size(), 3U);
  EXPECT_EQ(a.replica(0).pool().held(), 0);
  EXPECT_EQ(a.replica(1).pool().held(), 3);
  EXPECT_EQ(a.replica(2).pool().held(), 0) << "of another model";
}

TEST_F(KvLending, EndsWithTheShard) {
  Node& a = add("a");
  a.replica().compute(prompt(3));
  publish();
  granted(a, of(a.replica(), prompt(3)));
  stop(a.shard);
  world_.settle();
  EXPECT_EQ(a.replica().pool().held(), 0);
}

TEST_F(KvLending, IsNotAnsweredByAReplicaThatHasEnded) {
  Node& a = add("a");
  a.replica().compute(prompt(3));
  publish();
  a.replica().end();
  EXPECT_FALSE(lease(a, of(a.replica(), prompt(3)))->has_value()) << "its memory is gone: whoever asks runs into its time";
}

}  // namespace
}  // namespace troupe::actors
