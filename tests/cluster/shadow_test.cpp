// Real processes: turns are answered once more while clients read, and an operator asks what came of it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "tests/cluster/troupe_of.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::tests {
namespace {

const std::vector<std::string> questions = {"How long are access logs kept?", "Who approves a purchase?",
                                            "How long are payroll records kept?", "Hello, who are you?"};
const std::string rule =
    "[[rule]]\nname = \"all\"\nstart = \"mini\"\nescalate = [\"medium\"]\nconfidence_min = { mini = 0.85 }\n";

class ShadowReport : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) {
    const auto file = folder_.path() / name;
    std::ofstream(file) << text;
    return file.string();
  }
  /// Two nodes under a policy; heavy is on neither.
  void start(const std::string& policy) {
    troupe_ = std::make_unique<TroupeOf>(
        TROUPE_BINARY, folder_.path(),
        std::vector<NodeSetup>{{.name = "one", .tiers = {"mini", "medium"}, .options = {"--policy", policy}},
                               {.name = "two", .tiers = {"mini", "medium"}, .options = {"--policy", policy}}});
    const auto started = troupe_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  /// Each question in a conversation of its own, half of them at home on either node; their bits.
  std::vector<std::string> ask_all() {
    std::vector<std::string> bits;
    for (std::size_t i = 0; i < questions.size(); ++i) {
      const auto conversation = troupe_->client(i % 2).open();
      TROUPE_CHECK(conversation.has_value(), "a node that serves opens a conversation");
      policy::Ask ask;
      ask.question = questions[i];
      ask.seed = i;
      const auto answer = conversation->ask(ask);
      EXPECT_TRUE(answer) << answer.error().message;
      const auto turn = conversation->explain(1, true);
      bits.push_back(turn ? bits_of(*turn) : "");
      for (const policy::Attempt& attempt : turn ? turn->attempts : std::vector<policy::Attempt>()) {
        bits.back() += " event " + std::to_string(attempt.plan.event_number);
      }
      EXPECT_NE(bits.back(), "");
    }
    return bits;
  }
  nlohmann::json report(const std::vector<std::string>& options = {}) {
    std::vector<std::string> command = {TROUPE_BINARY, "shadow", "report", "--json", "--connect", troupe_->node(0).clients()};
    command.insert(command.end(), options.begin(), options.end());
    const Said said = run(command, folder_.path() / "report.log");
    EXPECT_EQ(said.status, 0);
    return nlohmann::json::parse(said.output, nullptr, false);
  }

  TemporaryFolder folder_;
  std::unique_ptr<TroupeOf> troupe_;
};

TEST_F(ShadowReport, TellsWhatCameOfTheTurnsOfAllNodesAndNoAnswerChanges) {
  start(write("plain.toml", "tiers = [\"mini\", \"medium\"]\n" + rule));
  const auto undisturbed = ask_all();
  troupe_.reset();
  for (const char* name : {"one", "two"}) std::filesystem::remove_all(folder_.path() / name);
  write("same.toml", "tiers = [\"mini\", \"medium\"]\n" + rule);
  start(write("shadows.toml", "tiers = [\"mini\", \"medium\"]\n" + rule +
                                  "[[shadow]]\nname = \"same\"\nshare = 1\npolicy = \"same.toml\"\n"
                                  "[[shadow]]\nname = \"absent\"\nshare = 1\ntier = \"heavy\"\n"
                                  "[[shadow]]\nname = \"nobody's\"\nshare = 1\ntier = \"mini\"\nwhen.tenant = [\"press\"]\n"));
  EXPECT_EQ(ask_all(), undisturbed);

  nlohmann::json all;
  ASSERT_TRUE(soon([&] {
    all = report();
    return all["experiments"].size() == 2 && all["experiments"][0]["drawn"] == questions.size() &&
           all["experiments"][1]["drawn"] == questions.size();
  })) << all;
  EXPECT_EQ(all["nodes"], (nlohmann::json{"one", "two"}));
  const auto& absent = all["experiments"][0];
  EXPECT_EQ(absent["experiment"], "absent");
  EXPECT_EQ(absent["failed"], questions.size());
  EXPECT_EQ(absent["why_not"]["no node serves heavy"], questions.size());
  const auto& same = all["experiments"][1];
  EXPECT_EQ(same["compared"], questions.size()) << all;
  EXPECT_EQ(same["agreed"], questions.size()) << "the same policy says the same";
  EXPECT_EQ(same["client"]["confident"], same["shadow"]["confident"]);
  EXPECT_EQ(all["running"].size(), 3U);

  EXPECT_EQ(report({"--experiment", "same"})["experiments"].size(), 1U);
  EXPECT_TRUE(report({"--since", "2999-01-01"})["experiments"].empty());
  const Said nobody = run({TROUPE_BINARY, "shadow", "report", "--experiment", "x", "--connect", troupe_->node(0).clients()},
                          folder_.path() / "report.log");
  EXPECT_EQ(nobody.status, 1);

  // What came of them is durable, and a node that is away is named.
  ASSERT_TRUE(troupe_->node(0).start());
  ASSERT_TRUE(troupe_->wait_until_serving()) << "the first knows of the second again";
  troupe_->node(1).kill();
  ASSERT_TRUE(soon([&] {
    all = report();
    return all["away"].size() == 1;
  })) << all;
  EXPECT_EQ(all["nodes"], (nlohmann::json{"one"}));
  EXPECT_EQ(all["experiments"][1]["compared"], questions.size() / 2);
}

TEST_F(ShadowReport, SaysThatNothingIsShadowed) {
  start(write("plain.toml", "tiers = [\"mini\", \"medium\"]\n" + rule));
  const Said said = run({TROUPE_BINARY, "shadow", "report", "--connect", troupe_->node(0).clients()}, folder_.path() / "log");
  EXPECT_EQ(said.status, 0);
  EXPECT_NE(said.output.find("nothing is shadowed: give a node a policy that has a [[shadow]]"), std::string::npos)
      << said.output;
}

}  // namespace
}  // namespace troupe::tests
