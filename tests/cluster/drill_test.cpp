// A node with a model that is broken on purpose: what its users see of it. Every fault of every tier is in
// tests/sim/drill_test.cpp, on virtual time.
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/cli/run_troupe.hpp"
#include "tests/cluster/troupe_of.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::tests {
namespace {

using Json = nlohmann::json;

TEST(Drills, ShowAtTheNodeInTheAnswerAndInItsStory) {
  const TemporaryFolder folder;
  const std::string policy = (folder.path() / "policy.toml").string();
  std::ofstream(policy) << "when_unsure = \"Not sure. {source} says: {quote}\"\n"
                           "[stage.intent]\ndeadline_ms = 1000\n[stage.reasoning]\ndeadline_ms = 4000\n"
                           "[[rule]]\nname = \"all\"\nstart = \"mini\"\nescalate = [\"medium\", \"heavy\"]\n"
                           "confidence_min = { mini = 0.5, medium = 0.5 }\n";
  NodeSetup setup{"one", {"mini", "medium", "heavy"}};
  setup.options = {"--policy", policy, "--fault", "mini=stuck"};
  TroupeOf nodes(TROUPE_BINARY, folder.path(), {setup});
  const auto started = nodes.start();
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_NE(nodes.node(0).log().find("broken on purpose"), std::string::npos) << nodes.node(0).log();

  const std::string at = " --connect " + nodes.node(0).clients();
  const Outcome asked = troupe("ask --json" + at + " 'How long are payroll records kept?'");
  ASSERT_EQ(asked.status, 0) << asked.output;
  const Json answer = Json::parse(asked.output.substr(asked.output.find("{\"turn\"")));
  EXPECT_GE(answer["attempts"].size(), 2U) << asked.output;
  EXPECT_EQ(answer["attempts"][0]["tier"], "mini");
  EXPECT_NE(answer["attempts"][0]["superseded"].get<std::string>().find("mini had not answered after"), std::string::npos);
  EXPECT_FALSE(answer["citations"].empty()) << "it is answered from its sources, or one of them is quoted";

  const Outcome explained = troupe("explain" + at + " " + answer["turn"].get<std::string>());
  EXPECT_NE(explained.output.find("late: no reply after"), std::string::npos) << explained.output;
  EXPECT_NE(explained.output.find("reasoning 0"), std::string::npos) << explained.output;
  const Json turn = Json::parse(troupe("explain --json" + at + " " + answer["turn"].get<std::string>()).output);
  ASSERT_GE(turn["stages"].size(), 4U);
  EXPECT_EQ(turn["stages"][0]["stage"], "intent");
  EXPECT_EQ(turn["stages"][0]["trouble"], "late");
  EXPECT_EQ(turn["stages"][0]["fallback"], "unknown");
  EXPECT_EQ(turn["kind"], "unknown");

  Json node;
  EXPECT_TRUE(soon([&] {  // what a node says of itself is a moment old
    node = Json::parse(troupe("cluster status --json" + at).output)["nodes"][0];
    return node["contracts"]["intent"]["late"] == 1 && node["contracts"]["reasoning"]["late"] >= 1;
  })) << node;
  const std::string status = troupe("cluster status" + at).output;
  EXPECT_NE(status.find("FAULT: mini is broken on purpose (--fault mini=stuck)"), std::string::npos) << status;
  EXPECT_NE(status.find("contracts: intent 0 held, 1 late"), std::string::npos) << status;
  EXPECT_EQ(node["replicas"][0]["fault"], "stuck");
  EXPECT_EQ(node["replicas"][1]["fault"], "");

  // A turn that was answered reads the same after a power failure.
  ASSERT_TRUE(nodes.node(0).start());
  ASSERT_TRUE(nodes.wait_until_serving());
  EXPECT_EQ(Json::parse(troupe("explain --json" + at + " " + answer["turn"].get<std::string>()).output), turn);
}

/// The only tier is stuck and there is nothing to quote; and the passages are more than the policy lets a search find.
TEST(Drills, ShowWhereNobodyIsLeftAndWhatWasTooMuch) {
  const TemporaryFolder folder;
  const std::string policy = (folder.path() / "policy.toml").string();
  std::ofstream(policy)
      << "tiers = [\"mini\"]\n[stage.intent]\ndeadline_ms = 1000\n[stage.retrieval]\nanswer_tokens_max = 100\n"
         "[stage.reasoning]\ndeadline_ms = 1500\n[[rule]]\nname = \"all\"\nstart = \"mini\"\n";
  NodeSetup setup{"one", {"mini"}};
  setup.options = {"--policy", policy, "--fault", "mini=stuck"};
  TroupeOf nodes(TROUPE_BINARY, folder.path(), {setup});
  const auto started = nodes.start();
  ASSERT_TRUE(started) << started.error().message;

  const std::string at = " --connect " + nodes.node(0).clients();
  const Outcome asked = troupe("ask --json" + at + " 'How long are payroll records kept?'");
  EXPECT_NE(asked.status, 0) << asked.output;
  ASSERT_NE(asked.output.find("{\"turn\""), std::string::npos) << asked.output;
  const Json answer = Json::parse(asked.output.substr(asked.output.find("{\"turn\"")));
  const std::string turn = answer["turn"].get<std::string>();
  const Outcome explained = troupe("explain" + at + " " + turn);
  for (const char* words : {"passages exceed 100 tokens; what was too much was left out", "late: mini had not answered after",
                            "; the turn ended", "No model could answer"}) {
    EXPECT_NE(explained.output.find(words), std::string::npos) << words << " in " << explained.output;
  }
  const Json stages = Json::parse(troupe("explain --json" + at + " " + turn).output)["stages"];
  ASSERT_EQ(stages.size(), 3U) << stages;
  EXPECT_EQ(stages[1]["stage"], "retrieval");
  EXPECT_EQ(stages[1]["trouble"], "oversized");
  EXPECT_EQ(stages[1]["fallback"], "shorten");
  EXPECT_EQ(stages[2]["trouble"], "late");
  EXPECT_EQ(stages[2]["fallback"], "refuse");
  const std::string contracts = "contracts: intent 0 held, 1 late; retrieval 0 held, 1 oversized; reasoning 0 held, 1 late";
  Outcome status;
  EXPECT_TRUE(soon([&] {
    status = troupe("cluster status" + at);
    return status.output.find(contracts) != std::string::npos;
  })) << status.output;
}

/// A cluster of one tier: its questions do not wait for another tier to say what they are about.
TEST(Drills, DoNotWaitForATierThatNobodyHasServedForLong) {
  const TemporaryFolder folder;
  const std::string policy = (folder.path() / "policy.toml").string();
  std::ofstream(policy) << "[stage.intent]\ndeadline_ms = 500\n[[rule]]\nname = \"all\"\nstart = \"medium\"\n";
  NodeSetup setup{"one", {"medium"}};
  setup.options = {"--policy", policy};
  TroupeOf nodes(TROUPE_BINARY, folder.path(), {setup});
  const auto started = nodes.start();
  ASSERT_TRUE(started) << started.error().message;
  const std::string at = " --connect " + nodes.node(0).clients();
  Json stage;
  EXPECT_TRUE(soon([&] {  // in its first moments it is waited for
    const Outcome asked = troupe("ask --json" + at + " 'How long are payroll records kept?'");
    const Json answer = Json::parse(asked.output.substr(asked.output.find("{\"turn\"")));
    EXPECT_EQ(answer["tier"], "medium") << asked.output;
    stage = Json::parse(troupe("explain --json" + at + " " + answer["turn"].get<std::string>()).output)["stages"][0];
    return stage["why"].get<std::string>().starts_with("no node serves tier mini, and none has for");
  })) << stage;
  EXPECT_EQ(stage["stage"], "intent");
  EXPECT_EQ(stage["trouble"], "late");
  EXPECT_EQ(stage["fallback"], "unknown");
  EXPECT_LT(stage["milliseconds"], 500) << "the stage did not last until its deadline";
}

}  // namespace
}  // namespace troupe::tests
