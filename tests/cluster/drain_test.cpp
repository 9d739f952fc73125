// Real processes: a node is drained while it answers, and joins again; nobody who reads or asks notices.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
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
using policy::Tier;

const std::string long_question = "Compare the time clock and the oxygen plant: which must be restored sooner?";

/// So hot that each token is a draw among thousands: long, and other in every bit if one draw is.
policy::Ask sampled(Tier tier, std::uint64_t seed) {
  policy::Ask ask;
  ask.question = long_question;
  ask.assurance = policy::Assurance::draft;
  ask.tier = tier;
  ask.sampling.temperature = 10;
  ask.seed = seed;
  ask.tokens_max = 96;
  return ask;
}

class Drains : public testing::Test {
 protected:
  void SetUp() override {
    troupe_ = std::make_unique<TroupeOf>(
        TROUPE_BINARY, folder_.path(),
        std::vector<NodeSetup>{{"one", {"mini"}}, {"two", {"mini", "heavy"}}, {"three", {"mini", "heavy"}}});
    const auto started = troupe_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  clients::Client client(std::size_t first = 0) const { return troupe_->client(first); }
  policy::NodeView view_of(const std::string& name) const { return troupe_->view_of(name); }
  /// `troupe cluster drain NAME --json` by the first node.
  Said drain(const std::string& name) const {
    return run({TROUPE_BINARY, "cluster", "drain", name, "--json", "--patience", "1", "--connect", troupe_->node(0).clients()},
               folder_.path() / "drain.log");
  }
  std::string said_in_log() const {
    std::ostringstream text;
    text << std::ifstream(folder_.path() / "drain.log").rdbuf();
    return text.str();
  }

  TemporaryFolder folder_;
  std::unique_ptr<TroupeOf> troupe_;
};

TEST_F(Drains, EmptyANodeWhileItAnswersAndNoBitOfAnAnswerChanges) {
  // Conversations that are at home on the second node: some sleep, three are read while they are answered by any engine.
  std::vector<Script> scripts(3);
  for (std::size_t i = 0; i < scripts.size(); ++i) {
    for (std::uint64_t turn = 0; turn < 2; ++turn)
      scripts[i].asks.push_back(sampled(i == 0 ? Tier::mini : Tier::heavy, 10 * i + turn));
  }
  std::vector<Told> undisturbed;
  for (const Script& script : scripts) undisturbed.push_back(converse(troupe_->addresses(1), script, {}));
  const auto asleep = client(1).open();
  ASSERT_TRUE(asleep) << asleep.error().message;
  ASSERT_EQ(asleep->home(), "two");
  const auto before = asleep->ask(sampled(Tier::mini, 77));
  ASSERT_TRUE(before) << before.error().message;

  std::atomic<std::uint64_t> tokens{0};
  std::vector<Told> told(scripts.size());
  std::vector<std::thread> readers;
  for (std::size_t i = 0; i < scripts.size(); ++i) {
    readers.emplace_back(
        [&, i, addresses = troupe_->addresses(1)] { told[i] = converse(addresses, scripts[i], [&] { ++tokens; }); });
  }
  while (tokens < 10) std::this_thread::sleep_for(1ms);
  const Said said = drain("two");
  for (std::thread& reader : readers) reader.join();

  EXPECT_EQ(said.status, 0) << said.output << said_in_log();
  const std::string last = said.output.substr(said.output.rfind('\n', said.output.size() - 2) + 1);
  const auto end = nlohmann::json::parse(last, nullptr, false);
  ASSERT_TRUE(end.is_object()) << said.output;
  EXPECT_EQ(end["done"], true) << said.output;
  EXPECT_TRUE(end["left"].empty()) << said.output;
  EXPECT_NE(said.output.find("\"conversations\":"), std::string::npos) << "it had some: " << said.output;
  for (std::size_t i = 0; i < scripts.size(); ++i) {
    for (std::size_t turn = 0; turn < scripts[i].asks.size(); ++turn) {
      EXPECT_EQ(told[i].turns[turn].problem, "") << i << ", " << turn;
      EXPECT_TRUE(told[i].turns[turn].heard.is_whole()) << i << ", " << turn;
      EXPECT_EQ(told[i].turns[turn].heard.ids(), undisturbed[i].turns[turn].heard.ids());
      EXPECT_EQ(told[i].turns[turn].bits, undisturbed[i].turns[turn].bits) << i << ", " << turn;
    }
    EXPECT_EQ(told[i].in_history, scripts[i].asks.size());
  }
  EXPECT_TRUE(policy::left_to_move(view_of("two")).empty()) << to_string(policy::left_to_move(view_of("two")));

  // Whoever comes back finds everything, over the drained node as well.
  for (std::size_t first = 0; first < 3; ++first) {
    const auto resumed = client(first).resume(asleep->id());
    ASSERT_TRUE(resumed) << resumed.error().message;
    EXPECT_NE(resumed->home(), "two");
    EXPECT_EQ(resumed->history()->turns.size(), 1U);
    const auto opened = client(first).open();
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_NE(opened->home(), "two");
  }
}

TEST_F(Drains, LastUntilTheNodeJoinsAgainAlsoOverARestart) {
  ASSERT_EQ(drain("two").status, 0) << said_in_log();
  ASSERT_TRUE(troupe_->node(1).start());  // kills the one that runs
  EXPECT_TRUE(soon([&] { return view_of("two").state == policy::NodeState::draining; }));
  EXPECT_NE(client(1).open()->home(), "two");
  // The first node may still be about to notice that the second one has begun another life.
  Result<policy::NodeView> joined = client().join("two");
  EXPECT_TRUE(soon([&] { return (joined = client().join("two")).has_value(); })) << joined.error().message;
  EXPECT_EQ(joined->state, policy::NodeState::serving);
  ASSERT_TRUE(troupe_->wait_until_serving());
  EXPECT_EQ(client(1).open()->home(), "two");
}

TEST_F(Drains, AreGivenUpWhenTheNodeIsGone) {
  auto said = std::async(std::launch::async, [&] { return drain("two"); });
  EXPECT_TRUE(soon([&] { return view_of("two").state == policy::NodeState::draining; }));
  troupe_->node(1).kill();
  EXPECT_EQ(said.get().status, 1);
  EXPECT_NE(said_in_log().find("node two has been gone for 1 s"), std::string::npos) << said_in_log();
}

TEST_F(Drains, AreRefusedWhenTheClusterCannotDoWithoutTheNode) {
  const auto refused = [&](const std::string& name, const std::string& why) {
    const Said said = drain(name);
    EXPECT_EQ(said.status, 1);
    EXPECT_NE(said_in_log().find(why), std::string::npos) << said_in_log();
  };
  refused("one", "node one grants the leases");
  refused("four", "there is no node four in the cluster; there are one, three, two");
  EXPECT_FALSE(client().join("four"));
  ASSERT_EQ(drain("two").status, 0);
  EXPECT_EQ(drain("two").status, 0) << "it may be said again";
  refused("three", "no other serving node has tier heavy");
  ASSERT_TRUE(client().join("two"));
  ASSERT_TRUE(troupe_->wait_until_serving());
  EXPECT_EQ(drain("three").status, 0) << said_in_log();
}

}  // namespace
}  // namespace troupe::tests
