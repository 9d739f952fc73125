// Real nodes, of which one stops an attempt as soon as it cannot be confident any more, and one completes it, since its text
// counts as the opinion that a second one is held against: both say the same, and the first has computed less.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/run_troupe.hpp"
#include "tests/cluster/troupe_of.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::tests {
namespace {

using Json = nlohmann::json;

const std::vector<std::string> questions = {"How long are payroll records kept?", "Who approves a purchase of 9000 euros?",
                                            "Which records are kept longer, payroll or visitor records?"};

/// A node under a policy that never takes mini for sure of itself.
class Asked {
 public:
  explicit Asked(const std::string& second_opinion) {
    const std::string policy = (folder_.path() / "policy.toml").string();
    std::ofstream(policy) << "[[rule]]\nname = \"all\"\nstart = \"mini\"\nescalate = [\"medium\"]\n" + second_opinion +
                                 "confidence_min = { mini = 1 }\n";
    NodeSetup setup{"one", {"mini", "medium"}};
    setup.options = {"--policy", policy};
    nodes_ = std::make_unique<TroupeOf>(TROUPE_BINARY, folder_.path(), std::vector<NodeSetup>{setup});
    const auto started = nodes_->start();
    EXPECT_TRUE(started) << started.error().message;
  }

  std::string explain(const std::string& question, const std::string& options) {
    const std::string at = " --connect " + nodes_->node(0).clients();
    const Outcome asked = troupe("ask --seed 1 --json" + at + " '" + question + "'");
    EXPECT_EQ(asked.status, 0) << asked.output;
    const Json answer = Json::parse(asked.output.substr(asked.output.find("{\"turn\"")));
    return troupe("explain" + options + at + " " + answer["turn"].get<std::string>()).output;
  }

 private:
  TemporaryFolder folder_;
  std::unique_ptr<TroupeOf> nodes_;
};

std::vector<int> tokens_of(const Json& attempt) {
  std::vector<int> tokens;
  for (const Json& emission : attempt["result"]["emissions"]) {
    const auto ids = emission["ids"].get<std::vector<int>>();
    tokens.insert(tokens.end(), ids.begin(), ids.end());
  }
  return tokens;
}

TEST(EarlyStop, AnAttemptThatCannotBeConfidentStopsAndTheAnswerIsTheSame) {
  Asked stopping("");
  Asked completing("second_opinion = [\"medium\"]\n");
  int stopped = 0;
  for (const std::string& question : questions) {
    const Json early = Json::parse(stopping.explain(question, " --tokens --json"));
    const Json whole = Json::parse(completing.explain(question, " --tokens --json"));
    ASSERT_EQ(early["attempts"].size(), 2U) << question;
    ASSERT_EQ(whole["attempts"].size(), 2U) << question;
    EXPECT_EQ(early["outcome"]["answer"], whole["outcome"]["answer"]) << question;
    EXPECT_EQ(tokens_of(early["attempts"][1]), tokens_of(whole["attempts"][1])) << question;
    EXPECT_EQ(whole["attempts"][0]["result"]["finish_reason"], "end_token");
    EXPECT_FALSE(whole["attempts"][0]["plan"].contains("log_probability_sum_min"));
    EXPECT_LT(early["attempts"][0]["plan"]["log_probability_sum_min"], 0);
    EXPECT_FALSE(early["attempts"][1]["plan"].contains("log_probability_sum_min")) << "nobody follows";

    const auto beginning = tokens_of(early["attempts"][0]);
    const auto all = tokens_of(whole["attempts"][0]);
    ASSERT_LE(beginning.size(), all.size()) << question;
    EXPECT_TRUE(std::equal(beginning.begin(), beginning.end(), all.begin())) << question;
    const Json& result = early["attempts"][0]["result"];
    if (result["finish_reason"] == "end_token") continue;
    ++stopped;
    EXPECT_LT(beginning.size(), all.size()) << question;
    EXPECT_EQ(result["finish_reason"], "unsure");
    EXPECT_EQ(result["superseded"], "mini could no longer reach 1; medium follows");
    const std::string words = "stopped after " + std::to_string(beginning.size()) +
                              (beginning.size() == 1 ? " token" : " tokens") + ": can no longer reach 1";
    EXPECT_EQ(result["stopped"], words);
    const std::string explained = stopping.explain(question, "");
    EXPECT_NE(explained.find(words), std::string::npos) << explained;
    EXPECT_NE(explained.find("stopped once it cannot"), std::string::npos) << explained;
  }
  EXPECT_GT(stopped, 0) << "mini was sure of all of them";
}

}  // namespace
}  // namespace troupe::tests
