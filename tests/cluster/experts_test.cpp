// Real processes: the experts of one model on several nodes, which are killed, drained and late, and answers of the same bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/check.hpp"
#include "policy/drain.hpp"
#include "tests/cluster/converse.hpp"
#include "tests/cluster/troupe_of.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::tests {
namespace {

using namespace std::chrono_literals;

policy::Ask of_heavy(std::string question, float temperature) {
  policy::Ask ask;
  ask.question = std::move(question);
  ask.assurance = policy::Assurance::draft;
  ask.tier = policy::Tier::heavy;
  ask.sampling.temperature = temperature;
  ask.seed = 11;
  ask.tokens_max = 64;
  return ask;
}

/// Greedy, and so hot that each token is a draw among thousands: other in every bit if one draw is.
const std::vector<policy::Ask> questions{
    of_heavy("Compare the time clock and the oxygen plant: which must be restored sooner?", 10),
    of_heavy("How long are access logs kept?", 0)};

std::string entry(const std::string& node, const std::string& experts) {
  return "[[experts]]\nmodel = \"heavy\"\nnode = \"" + node + "\"\nexperts = \"" + experts + "\"\n";
}

class Experts : public testing::Test {
 protected:
  /// "door" has mini and grants the leases; "engine" runs heavy.
  void begin(const std::string& placement, const std::vector<std::string>& others,
             const std::vector<std::string>& options_of_engine = {}) {
    std::ofstream(file()) << placement;
    std::vector<NodeSetup> setups{{"door", {"mini"}}, {"engine", {"heavy"}, {}, {}, with_placement(options_of_engine)}};
    for (const std::string& name : others) setups.push_back({name, {"none"}, {}, {}, with_placement({})});
    troupe_ = std::make_unique<TroupeOf>(TROUPE_BINARY, folder_.path(), std::move(setups));
    const auto started = troupe_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  std::string file() const { return (folder_.path() / "placement.toml").string(); }
  std::vector<std::string> with_placement(std::vector<std::string> options) const {
    options.insert(options.end(), {"--placement", file()});
    return options;
  }
  clients::Client client() const { return troupe_->client(); }
  policy::NodeView view_of(const std::string& name) const { return troupe_->view_of(name); }
  std::int64_t held_by(const std::string& name) const {
    const policy::NodeView view = view_of(name);
    return view.experts.empty() ? 0 : view.experts.front().experts.count();
  }
  bool reaches(const std::string& from, const std::string& to) const {
    const policy::NodeView view = view_of(from);
    return std::ranges::any_of(view.links, [&](const policy::LinkView& link) { return link.node.value == to; });
  }
  /// The bits of all answers. `on_tokens` is told how many events with tokens there were.
  std::vector<std::string> answers(const std::function<void(int)>& on_tokens = {}) const {
    int events = 0;
    const auto count = [&] {
      ++events;
      if (on_tokens) on_tokens(events);
    };
    const Told told = converse({troupe_->node(0).clients()}, {questions, {}}, count);
    std::vector<std::string> bits;
    for (const Told::Turn& turn : told.turns) {
      EXPECT_EQ(turn.problem, "");
      EXPECT_TRUE(turn.heard.is_whole());
      bits.push_back(turn.bits);
    }
    return bits;
  }
  /// What a cluster says whose heavy is whole on one node.
  static const std::vector<std::string>& undisturbed() {
    static const std::vector<std::string> bits = [] {
      const TemporaryFolder folder;
      TroupeOf one(TROUPE_BINARY, folder.path(), {{"whole", {"mini", "heavy"}}});
      const auto started = one.start();
      TROUPE_CHECK(started.has_value(), "a node starts");
      std::vector<std::string> all;
      for (const Told::Turn& turn : converse(one.addresses(), {questions, {}}, [] {}).turns) all.push_back(turn.bits);
      return all;
    }();
    return bits;
  }

  TemporaryFolder folder_;
  std::unique_ptr<TroupeOf> troupe_;
};

TEST_F(Experts, OfOneModelOnTwoNodesGiveTheBitsOfOneNode) {
  begin(entry("engine", "0-2") + entry("other", "3-7"), {"other"});
  ASSERT_TRUE(soon([&] { return held_by("engine") == 24 && held_by("other") == 40; }));
  EXPECT_EQ(answers(), undisturbed());
  EXPECT_EQ(held_by("engine"), 24) << "nothing was loaded that is elsewhere";
}

TEST_F(Experts, MayAllBeElsewhere) {
  begin(entry("left", "0-3") + entry("right", "4-7"), {"left", "right"});
  EXPECT_EQ(answers(), undisturbed());
}

TEST_F(Experts, OfANodeThatIsKilledAnswerFromAReplica) {
  // Nobody has room for more than is placed on it.
  begin(entry("left", "0-7") + entry("right", "all"), {"left", "right"}, {"--expert-memory", "0"});
  ASSERT_TRUE(soon([&] { return held_by("left") == 64 && held_by("right") == 64; }));
  const auto bits = answers([&](int events) {
    if (events == 5) troupe_->node(2).kill();
    if (events == 25) {
      ASSERT_TRUE(troupe_->node(2).start());
      ASSERT_TRUE(soon([&] { return held_by("left") == 64; }));
      troupe_->node(3).kill();
    }
  });
  EXPECT_EQ(bits, undisturbed());
}

TEST_F(Experts, OfANodeThatIsKilledAreLoadedElsewhereAndGivenUpWhenItIsBack) {
  begin(entry("engine", "0-3") + entry("other", "4-7"), {"other"});
  ASSERT_TRUE(soon([&] { return held_by("other") == 32; }));
  const auto bits = answers([&](int events) {
    if (events == 5) troupe_->node(2).kill();
  });
  EXPECT_EQ(bits, undisturbed());
  EXPECT_TRUE(soon([&] { return held_by("engine") == 64; }));  // what a node says of itself comes a moment later
  ASSERT_TRUE(troupe_->node(2).start());
  EXPECT_TRUE(soon([&] { return held_by("other") == 32 && held_by("engine") == 32; }));
  EXPECT_EQ(answers(), undisturbed());
}

TEST_F(Experts, AreWaitedForWhereNobodyHasRoomForThem) {
  begin(entry("late", "all"), {}, {"--expert-memory", "0"});
  NodeProcess late(TROUPE_BINARY, folder_.path(), {"late", {"none"}, troupe_->node(0).cluster(), {}, with_placement({})});
  std::vector<std::string> bits;
  std::thread asking([&] { bits = answers(); });
  EXPECT_TRUE(soon([&] { return troupe_->node(1).log().find("nobody has room for experts") != std::string::npos; }));
  EXPECT_TRUE(late.start());
  asking.join();
  EXPECT_EQ(bits, undisturbed());
}

TEST_F(Experts, ThatNobodyHoldsAreNamedWhereTheyAreMissed) {
  begin(entry("absent", "all"), {}, {"--expert-memory", "0"});
  const auto conversation = client().open();
  ASSERT_TRUE(conversation) << conversation.error().message;
  policy::Ask ask = questions.front();
  ask.deadline_ms = 13000;  // nobody waits for experts for more than ten seconds at a time
  const auto answer = conversation->ask(ask);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_FALSE(answer->end.outcome.committed);
  const std::string& why = answer->end.outcome.message;
  EXPECT_NE(why.find("no node holds them; they are placed on absent"), std::string::npos) << why;
  EXPECT_NE(why.find("experts of layer"), std::string::npos) << why;
}

TEST_F(Experts, OfANodeThatIsDrainedMoveToOthers) {
  begin(entry("engine", "0-3") + entry("other", "4-7"), {"other"});
  // Else nobody would have room for what "other" has: nodes that have just begun do not reach each other yet.
  ASSERT_TRUE(
      soon([&] { return held_by("engine") == 32 && view_of("other").experts_alone == 32 && reaches("other", "engine"); }));
  bool drained = false;
  const auto bits = answers([&](int events) {
    if (events != 5) return;
    const auto begun = client().drain("other");
    ASSERT_TRUE(begun) << begun.error().message;
    drained = true;
  });
  ASSERT_TRUE(drained);
  EXPECT_EQ(bits, undisturbed());
  const auto empty = [&] {
    const policy::NodeView view = view_of("other");
    return view.state == policy::NodeState::draining && policy::left_to_move(view).empty() && held_by("other") == 0;
  };
  EXPECT_TRUE(soon(empty)) << to_string(policy::left_to_move(view_of("other")));
  EXPECT_TRUE(soon([&] { return held_by("engine") == 64; }));  // what a node says of itself comes a moment later
  troupe_->node(2).kill();
  EXPECT_EQ(answers(), undisturbed());

  // Once it is back in the cluster's work, it holds again what is placed on it.
  ASSERT_TRUE(troupe_->node(2).start());
  ASSERT_TRUE(soon([&] { return client().join("other").has_value(); }));
  EXPECT_TRUE(soon([&] { return held_by("other") == 32; }));
}

TEST_F(Experts, OfANodeAreNotDrainedWhereNobodyHasRoom) {
  begin(entry("other", "all"), {"other"}, {"--expert-memory", "0"});
  ASSERT_TRUE(soon([&] { return view_of("other").experts_alone == 64; }));
  const auto refused = client().drain("other");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("room for its experts"), std::string::npos) << refused.error().message;
}

TEST_F(Experts, OfDifferentPlacementsGiveTheSameBitsAndAWarning) {
  begin(entry("engine", "0-3") + entry("other", "4-7"), {"other"});
  const auto another = (folder_.path() / "another.toml").string();
  std::ofstream(another) << entry("third", "0-3") + entry("engine", "4-7");
  NodeProcess third(TROUPE_BINARY, folder_.path(),
                    {"third", {"none"}, troupe_->node(0).cluster(), {}, {"--placement", another}});
  ASSERT_TRUE(third.start());
  EXPECT_TRUE(soon([&] { return third.log().find("another placement of experts") != std::string::npos; }));
  EXPECT_TRUE(soon([&] { return troupe_->node(1).log().find("another placement of experts") != std::string::npos; }));
  EXPECT_EQ(answers(), undisturbed());
  const Said said = run({TROUPE_BINARY, "cluster", "status", "--connect", troupe_->node(0).clients()}, folder_.path() / "log");
  EXPECT_NE(said.output.find("another placement than that of engine, other"), std::string::npos) << said.output;
}

TEST_F(Experts, PlacedBadlyKeepANodeFromStarting) {
  const auto refusal = [&](const std::string& placement, std::vector<std::string> options = {}) {
    std::ofstream(file()) << placement;
    NodeProcess node(TROUPE_BINARY, folder_.path(), {"engine", {"none"}, {}, {}, with_placement(std::move(options))});
    const auto started = node.start();
    return started ? std::string("it started") : started.error().message;
  };
  const auto expect = [&](const std::string& words, const std::string& said) {
    EXPECT_NE(said.find(words), std::string::npos) << said;
  };
  expect("expert 7 of layer 0 has no home", refusal(entry("engine", "0-6")));
  expect("placement.toml", refusal(entry("engine", "0-6")));
  expect("placement.toml:1", refusal(entry("engine", "0-8")));
  expect("expected [[experts]]", refusal("# nothing\n"));
  expect("mini has no experts", refusal("[[experts]]\nmodel = \"mini\"\nnode = \"engine\"\n"));
  expect("huge", refusal("[[experts]]\nmodel = \"huge\"\nnode = \"engine\"\n"));
  expect("has room for 1048576", refusal(entry("engine", "all"), {"--expert-memory", "1"}));
  expect("reached over the fabric", refusal(entry("engine", "all"), {"--fabric-transports", "none"}));
}

}  // namespace
}  // namespace troupe::tests
