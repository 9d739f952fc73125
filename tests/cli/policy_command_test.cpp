// troupe policy, as its users meet it. What it decides is tested in tests/policy/, and with a node in tests/cluster/.
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "tests/cli/run_troupe.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::tests {
namespace {

class PolicyCommand : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) {
    const auto file = folder_.path() / name;
    std::ofstream(file) << text;
    return file.string();
  }
  TemporaryFolder folder_;
};

TEST_F(PolicyCommand, ExplainsTheDefault) {
  const Outcome run = troupe("policy check deploy/policy.toml");
  EXPECT_EQ(run.status, 0) << run.output;
  EXPECT_NE(run.output.find("otherwise: mini, below 0.85 medium, below 0.75 heavy"), std::string::npos) << run.output;
  EXPECT_NE(run.output.find("stage reasoning at most 45000 ms an attempt; otherwise the next tier"), std::string::npos)
      << run.output;
  EXPECT_NE(run.output.find("valid: 0 errors, 0 warnings"), std::string::npos) << run.output;
  EXPECT_NE(run.output.find("the smallest tier names one of 7 labels; out of scope, from 0.98 on: \"I can only help"),
            std::string::npos)
      << run.output;
  const Outcome json = troupe("policy check --json deploy/policy.toml");
  EXPECT_NE(json.output.find(R"("summary":{"deadline_ms":30000,"fallback":"keep")"), std::string::npos) << json.output;
}

TEST_F(PolicyCommand, NamesTheLabelsThatARuleMayAskFor) {
  expect_refusal(
      "policy check " + write("kind.toml", "[[rule]]\nname = \"x\"\nwhen = { kind = [\"idea\"] }\nstart = \"mini\"\n"), 1,
      "kind.toml:3: rule[1].when.kind is an array with \"idea\", expected a list of lookup, compare");
}

TEST_F(PolicyCommand, FindsContractsThatNobodyCanKeep) {
  const std::string rule = "[[rule]]\nname = \"all\"\nstart = \"mini\"\n";
  const Outcome run = troupe("policy check " + write("bad.toml",
                                                     "[stage.intent]\ndeadline_ms = 0\nprompt_tokens_max = 4000\n"
                                                     "[stage.summary]\nfallback = \"unknown\"\n" +
                                                         rule));
  EXPECT_EQ(run.status, 1);
  EXPECT_NE(run.output.find("stage intent has a deadline_ms of 0, which nothing can meet"), std::string::npos) << run.output;
  EXPECT_NE(run.output.find("stage intent has a prompt_tokens_max of 4000"), std::string::npos) << run.output;
  EXPECT_NE(run.output.find("stage summary falls back on unknown, which it does not have"), std::string::npos) << run.output;
  expect_refusal("policy check " + write("word.toml", "[stage.intent]\nfallback = \"panic\"\n" + rule), 1,
                 "word.toml:2: stage.intent.fallback is \"panic\", expected one of unknown");
  expect_refusal("policy check " + write("stage.toml", "[stage.thinking]\ndeadline_ms = 5\n" + rule), 1,
                 "stage.toml:1: stage.thinking is not known here; expected intent, retrieval, reasoning, summary");
  expect_refusal("policy check " + write("key.toml", "[stage.intent]\ndeadline = 5\n" + rule), 1,
                 "stage.intent.deadline is not known");
}

TEST_F(PolicyCommand, FindsAllThatIsWrong) {
  const std::string file = write("bad.toml",
                                 "[[rule]]\nname = \"all\"\nstart = \"mini\"\nescalate = [\"heavy\", \"medium\"]\n"
                                 "confidence_min = { mini = 0.5, heavy = 0.5 }\n"
                                 "[[rule]]\nname = \"never\"\nstart = \"mini\"\n");
  const Outcome run = troupe("policy check " + file);
  EXPECT_EQ(run.status, 1);
  EXPECT_NE(run.output.find("rule \"all\" escalates from heavy to medium"), std::string::npos) << run.output;
  EXPECT_NE(run.output.find("rule \"never\" can never match: rule \"all\""), std::string::npos) << run.output;
  EXPECT_NE(run.output.find("not valid: 2 errors"), std::string::npos) << run.output;
  const Outcome json = troupe("policy check --json " + file);
  EXPECT_NE(json.output.find("\"valid\":false"), std::string::npos) << json.output;
  EXPECT_NE(json.output.find("\"rule\":\"never\""), std::string::npos) << json.output;
}

TEST_F(PolicyCommand, ExplainsShadowsAndReadsTheirPolicies) {
  const std::string rule = "[[rule]]\nname = \"all\"\nstart = \"mini\"\n";
  const std::string shadows = rule +
                              "[[shadow]]\nname = \"big\"\nshare = 0.05\ntier = \"heavy\"\n"
                              "[[shadow]]\nname = \"other\"\nshare = 1\npolicy = \"other.toml\"\n";
  const std::string file = write("shadows.toml", shadows);
  const Outcome missing = troupe("policy check " + file);
  EXPECT_EQ(missing.status, 1);
  EXPECT_NE(missing.output.find("error: shadow \"other\": "), std::string::npos) << missing.output;
  EXPECT_NE(missing.output.find("other.toml"), std::string::npos) << missing.output;

  write("other.toml", "[[rule]]\nname = \"all\"\nstart = \"tiny\"\n");
  EXPECT_NE(troupe("policy check " + file).output.find("other.toml:3: rule[1].start is \"tiny\""), std::string::npos);
  write("other.toml", shadows);
  EXPECT_NE(troupe("policy check " + file).output.find("has shadows of its own"), std::string::npos);

  write("other.toml", rule);
  const Outcome run = troupe("policy check " + file);
  EXPECT_EQ(run.status, 0) << run.output;
  EXPECT_NE(run.output.find("shadow big      0.05 of the turns: heavy, alone"), std::string::npos) << run.output;
  EXPECT_NE(run.output.find("shadow other    1 of the turns: under other.toml"), std::string::npos) << run.output;
  EXPECT_NE(troupe("policy check --json " + file).output.find("\"shadows\":[{\"name\":\"big\""), std::string::npos);
}

TEST_F(PolicyCommand, RefusesWhatItCannotRead) {
  expect_refusal("policy check " + write("tier.toml", "[[rule]]\nname = \"x\"\nstart = \"tiny\"\n"), 1,
                 "tier.toml:3: rule[1].start is \"tiny\", expected one of mini, medium, heavy");
  const Outcome json = troupe("policy check --json " + write("none.toml", "x =\n"));
  EXPECT_EQ(json.status, 1);
  EXPECT_NE(json.output.find(R"("valid":false,"findings":[{"weight":"error","code":"invalid_argument","rule":"","message":")"),
            std::string::npos)
      << json.output;
  expect_refusal("policy try deploy/policy.toml --on /nothing", 1, "/nothing");
  expect_refusal("policy try deploy/policy.toml --on " + write("a.jsonl", "\n{\n"), 1, "a.jsonl:2: this is not JSON");
  expect_refusal(
      "policy try deploy/policy.toml --on " +
          write("b.jsonl", R"({"turn":"000102030405060708090a0b0c0d0e0f/1","ask":{},"attempts":[{"plan":{"tier":"tiny"}}]})"),
      1, "b.jsonl:1: attempts[0].plan.tier is \"tiny\", expected a known word");
  expect_refusal("policy try deploy/policy.toml --on " + write("c.jsonl", "[1]\n"), 1, "c.jsonl:1:");
  expect_refusal("policy try deploy/policy.toml --on " + write("d.jsonl", "{\"question\": \"How long?\"}\n"), 1,
                 "d.jsonl:1: turn is not there");
  const std::string asked = R"({"turn":"000102030405060708090a0b0c0d0e0f/1","ask":{})";
  const auto expect_no_decision = [&](const char* rest, const char* message) {
    expect_refusal("policy try deploy/policy.toml --on " + write("e.jsonl", "\n" + asked + rest), 1, message);
  };
  expect_no_decision("}", "e.jsonl:2: attempts is not there");
  expect_no_decision(R"(,"attempts":[{"attempt":0}]})", "e.jsonl:2: attempts[0].plan is not there");
  expect_no_decision(R"(,"attempts":[7]})", "e.jsonl:2: attempts is [7], expected a list");
  expect_refusal("policy check /nothing", 2, "/nothing");
  expect_refusal("policy", 2, "subcommand");
}

TEST_F(PolicyCommand, ReplaysWhatWasRecorded) {
  const std::string log =
      write("log.jsonl",
            R"({"turn":"000102030405060708090a0b0c0d0e0f/1","ask":{"assurance":"standard"},"kind":"lookup","attempts":[)"
            R"({"plan":{"tier":"mini","rule":"standard","held_back":true,"task":"chat"},"result":{"finish_reason":"end_token",)"
            R"("confidence":0.9,"prompt_tokens":100,"generated_tokens":10,"text":"Seven years"}}],)"
            R"("outcome":{"committed":true,"confident":true,"attempt":0}})"
            "\n");
  const Outcome same = troupe("policy try deploy/policy.toml --on " + log);
  EXPECT_EQ(same.status, 0);
  EXPECT_NE(same.output.find("1 turns, 0 of them otherwise than recorded"), std::string::npos) << same.output;
  const std::string strict =
      write("strict.toml",
            "price.mini = { prompt_million = 10, answer_million = 100 }\n[[rule]]\nname = \"strict\"\nstart = \"mini\"\n"
            "escalate = [\"heavy\"]\nconfidence_min = { mini = 0.95 }\n");
  const Outcome other = troupe("policy try " + strict + " --on " + log);
  EXPECT_NE(other.output.find("tried         strict: mini, heavy, which was not asked then"), std::string::npos)
      << other.output;
  EXPECT_NE(other.output.find("1 unknown, cost 0.002"), std::string::npos) << other.output;
  const Outcome piped = troupe("policy try deploy/policy.toml --on - < " + log);
  EXPECT_EQ(piped.output, same.output);
  const Outcome json = troupe("policy try --json " + strict + " --on " + log);
  EXPECT_NE(json.output.find(R"("changed":true)"), std::string::npos) << json.output;
}

}  // namespace
}  // namespace troupe::tests
