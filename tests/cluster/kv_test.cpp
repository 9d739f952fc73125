// Real processes: the beginning of a prompt comes from a node that has computed it, or from below the pool, with the same bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/check.hpp"
#include "tests/cluster/converse.hpp"
#include "tests/cluster/troupe_of.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::tests {
namespace {

using namespace std::chrono_literals;

policy::Ask of(policy::Tier tier, std::string question) {
  policy::Ask ask;
  ask.question = std::move(question);
  ask.assurance = policy::Assurance::draft;
  ask.tier = tier;
  // Other in every bit if one draw is.
  ask.sampling.temperature = 10;
  ask.seed = 11;
  ask.tokens_max = 24;
  return ask;
}

const std::string text = "How long are access logs kept, and who may read them?";
const policy::Ask question = of(policy::Tier::mini, text);
/// Of a model that takes longer to compute its blocks than they take to come.
const policy::Ask heavy_question = of(policy::Tier::heavy, text);

class KvBlocks : public testing::Test {
 protected:
  void start(std::vector<NodeSetup> setups) {
    troupe_ = std::make_unique<TroupeOf>(TROUPE_BINARY, folder_.path(), std::move(setups));
    const auto started = troupe_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  /// The answer's bits, asked of one node.
  std::string bits(const policy::Ask& ask, std::size_t node = 0) {
    const Told told = converse({troupe_->node(node).clients()}, {{ask}, {}}, [] {});
    EXPECT_EQ(told.turns.front().problem, "");
    return told.turns.front().bits;
  }
  /// As it sees itself.
  policy::NodeView view_of(std::size_t node) const { return troupe_->view_of(troupe_->node(node).name(), node); }
  /// Until `seen_by` sends it nothing new.
  void drain(std::size_t node, std::size_t seen_by) const {
    const std::string& name = troupe_->node(node).name();
    const auto drained = troupe_->client(seen_by).drain(name);
    ASSERT_TRUE(drained) << drained.error().message;
    ASSERT_TRUE(soon([&] { return troupe_->view_of(name, seen_by).state == policy::NodeState::draining; }));
  }
  /// Until the nodes have found each other, and a little longer: nobody says when it has heard what others hold.
  bool linked() const {
    return soon([&] {
      for (std::size_t i = 0; i < troupe_->size(); ++i) {
        if (view_of(i).links.size() + 1 < troupe_->size()) return false;
      }
      return true;
    });
  }

  TemporaryFolder folder_;
  std::unique_ptr<TroupeOf> troupe_;
};

TEST_F(KvBlocks, ComeFromTheNodeThatHasComputedThem) {
  start({{"one", {"mini", "heavy"}}, {"two", {"mini", "heavy"}}});
  ASSERT_TRUE(linked());
  const std::string computed = bits(heavy_question, 1);
  std::this_thread::sleep_for(500ms);
  // Else the question would go where its prompt is.
  drain(1, 0);
  EXPECT_EQ(bits(heavy_question, 0), computed);
  // The mini model classifies the question, the heavy one answers it.
  policy::NodeView one;
  EXPECT_TRUE(soon([&] {
    one = view_of(0);
    const std::uint64_t fetched = one.blocks.fetched_blocks;
    const std::uint64_t reused = one.replicas.at(0).reused_tokens + one.replicas.at(1).reused_tokens;
    return fetched > 0 && reused == fetched * 16 && view_of(1).blocks.lent_blocks >= fetched;
  })) << one.blocks.fetched_blocks;
  EXPECT_EQ(one.blocks.wrong_blocks, 0U);
}

TEST_F(KvBlocks, AreComputedWhereNoFabricLeads) {
  start({{"one", {"mini"}}, {"two", {"mini"}, {}, {}, {"--fabric-transports", "none"}}});
  const std::string computed = bits(question, 0);
  std::this_thread::sleep_for(500ms);
  EXPECT_EQ(bits(question, 1), computed);
  EXPECT_EQ(view_of(1).blocks.fetched_blocks, 0U);
}

TEST_F(KvBlocks, ThatAPoolHasNoRoomForComeBackFromBelowIt) {
  for (const auto& [below, other] : {std::pair{"--kv-host-memory", "--kv-disk"}, std::pair{"--kv-disk", "--kv-host-memory"}}) {
    start({{"one", {"mini", "heavy"}, {}, below, {"--kv-memory", "5", below, "64", other, "0"}}});
    const std::string computed = bits(heavy_question);
    // A block that the store has no time to take, or to give back soon enough, is computed.
    int number = 0;
    EXPECT_TRUE(soon([&] {
      for (int i = 0; i < 8; ++i, ++number) {
        bits(of(policy::Tier::heavy, "Number " + std::to_string(number) + " asks: which rules are there about number " +
                                         std::to_string(number * 7) + "?"));
      }
      EXPECT_EQ(bits(heavy_question), computed);
      return view_of(0).blocks.restored_blocks > 0;
    })) << below;
    EXPECT_EQ(view_of(0).blocks.wrong_blocks, 0U);
    troupe_.reset();
  }
}

TEST_F(KvBlocks, AreFetchedAfterTheOtherNodeWasKilledAndCameBack) {
  start({{"one", {"mini", "heavy"}}, {"two", {"mini", "heavy"}}, {"three", {"mini", "heavy"}}});
  ASSERT_TRUE(linked());
  const std::string computed = bits(heavy_question, 1);
  troupe_->node(1).kill();
  // What it held is gone, whatever others have heard.
  EXPECT_EQ(bits(heavy_question, 2), computed);
  ASSERT_TRUE(troupe_->node(1).start());
  ASSERT_TRUE(troupe_->wait_until_serving());
  ASSERT_TRUE(linked());
  std::this_thread::sleep_for(500ms);
  drain(2, 1);
  EXPECT_EQ(bits(heavy_question, 1), computed);
  EXPECT_TRUE(soon([&] { return view_of(1).blocks.fetched_blocks > 0; }));
}

}  // namespace
}  // namespace troupe::tests
