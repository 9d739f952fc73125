// Real processes: nodes find a transport for bulk bytes, and `troupe cluster status` says which, and where models differ.
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "tests/cluster/troupe_of.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::tests {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

class FabricOfNodes : public testing::Test {
 protected:
  void begin(std::vector<NodeSetup> setups) {
    troupe_ = std::make_unique<TroupeOf>(TROUPE_BINARY, folder_.path(), std::move(setups));
    const auto started = troupe_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  std::string status(const std::vector<std::string>& more = {}) {
    std::vector<std::string> command{TROUPE_BINARY, "cluster", "status", "--connect", troupe_->node(0).clients()};
    command.insert(command.end(), more.begin(), more.end());
    return run(command, folder_.path() / "status.log").output;
  }
  /// What each says of each, once it is `expected`, or after a while.
  Json transports(const Json& expected) {
    const auto until = std::chrono::steady_clock::now() + 20s;
    for (;;) {
      Json seen;
      const Json said = Json::parse(status({"--json"}));
      for (const Json& node : said.at("nodes")) seen[node.at("node").get<std::string>()] = node.at("transports");
      if (seen == expected || std::chrono::steady_clock::now() > until) return seen;
      std::this_thread::sleep_for(50ms);
    }
  }

  TemporaryFolder folder_;
  std::unique_ptr<TroupeOf> troupe_;
};

TEST_F(FabricOfNodes, TellsWhichPairsHaveATransportInCommon) {
  begin({{"one", {"mini"}}, {"two", {"none"}}, {"apart", {"none"}, {}, {}, {"--fabric-transports", "none"}}});
  const Json expected{{"one", {{"two", "ucx"}, {"apart", "none"}}},
                      {"two", {{"one", "ucx"}, {"apart", "none"}}},
                      {"apart", {{"one", "none"}, {"two", "none"}}}};
  ASSERT_EQ(transports(expected), expected);
  EXPECT_NE(status().find("bulk bytes: none to apart, ucx to two"), std::string::npos) << status();

  // A node without a fabric takes part in everything else.
  const auto client = clients::Client::connect({troupe_->node(2).clients()});
  ASSERT_TRUE(client);
  const auto conversation = client->open();
  ASSERT_TRUE(conversation) << conversation.error().message;
  policy::Ask ask;
  ask.question = "Who may book travel?";
  ask.assurance = policy::Assurance::draft;
  ask.tier = policy::Tier::mini;
  ask.tokens_max = 8;
  const auto answer = conversation->ask(ask);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_TRUE(answer->end.outcome.committed) << answer->end.outcome.message;

  troupe_->node(1).kill();
  const Json without{{"one", {{"apart", "none"}}}, {"two", Json::object()}, {"apart", {{"one", "none"}}}};
  ASSERT_EQ(transports(without), without);
  const std::string of_gone = status();
  const std::size_t two = of_gone.find("\ntwo  gone");
  ASSERT_NE(two, std::string::npos) << of_gone;
  EXPECT_EQ(of_gone.find("\n  - conversations, - awake, - turns running\n", two), of_gone.find('\n', two + 1)) << of_gone;
  ASSERT_TRUE(troupe_->node(1).start());
  ASSERT_EQ(transports(expected), expected);
}

TEST_F(FabricOfNodes, StatusTellsThatATierIsNotTheSameModelEverywhere) {
  const std::vector<std::string> alone{"--fabric-transports", "none"};
  begin({{"one", {"mini", "medium"}, {}, {}, alone}, {"two", {"mini=" TROUPE_SOURCE_DIR "/portfolio/medium"}, {}, {}, alone}});
  const Json expected{{"one", {{"two", "none"}}}, {"two", {{"one", "none"}}}};
  ASSERT_EQ(transports(expected), expected);
  const std::string said = status();
  EXPECT_NE(said.find("another model than that of two: answers depend on who is asked\n  medium "), std::string::npos) << said;
  EXPECT_NE(said.find("another model than that of one"), std::string::npos) << said;
}

TEST_F(FabricOfNodes, ANodeWithTransportsThatDoNotExistDoesNotStart) {
  NodeProcess node(TROUPE_BINARY, folder_.path(), {"one", {"none"}, {}, {}, {"--fabric-transports", "pigeons"}});
  const auto started = node.start();
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message.find("pigeons"), std::string::npos) << started.error().message;
}

}  // namespace
}  // namespace troupe::tests
