// troupe eval: what it measures with the bundled models, and what it says of files that are none.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "tests/cli/run_troupe.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe {
namespace {

using tests::expect_refusal;
using tests::Outcome;
using tests::troupe;

constexpr const char* good =
    R"({"id": "q1", "question": "Who locks doors?", "answer": "The clerk.", "sections": ["rules#1.1"]})";

class EvalCommand : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_.path() / name) << text;
    return path(name);
  }
  std::string read(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(folder_.path() / name).rdbuf();
    return text.str();
  }
  tests::TemporaryFolder folder_;
};

TEST_F(EvalCommand, MeasuresTiersAloneAndThePortfolio) {
  const Outcome run = troupe("eval portfolio/handbook/questions.jsonl --limit 3 --tiers portfolio,mini --json --html " +
                             path("page.html") + " --answers " + path("answers.jsonl"));
  ASSERT_EQ(run.status, 0) << run.output;
  const auto object = nlohmann::json::parse(run.output.substr(run.output.rfind("{\"questions\"")));
  ASSERT_EQ(object["rows"].size(), 2U);
  EXPECT_EQ(object["rows"][0]["tier"], "mini");
  EXPECT_EQ(object["rows"][1]["tier"], "portfolio");
  for (const auto& row : object["rows"]) {
    EXPECT_EQ(row["questions"], 3);
    EXPECT_EQ(row["answered"], 3);
    EXPECT_GT(row["cost"], row["answers_cost"]) << "classifying costs something too";
    EXPECT_GE(row["p95_ms"], row["p50_ms"]);
    for (const char* key : {"accuracy", "abstention_recall", "citation_precision", "calibration_error"})
      EXPECT_TRUE(row.contains(key));
  }
  EXPECT_EQ(object["rows"][0]["work"]["heavy"]["cost"], 0);
  EXPECT_NE(read("page.html").find("<svg"), std::string::npos);
  const std::string answers = read("answers.jsonl");
  EXPECT_EQ(std::count(answers.begin(), answers.end(), '\n'), 6);
}

TEST_F(EvalCommand, LeavesNothingHalfDoneWhenItIsInterrupted) {
  write("old.html", "an older page");
  for (const char* page : {"page.html", "old.html"}) {
    const std::string answers = std::string(page) + ".jsonl";
    // What runs in the background ignores interrupts until it catches them, whenever that is.
    const Outcome run =
        troupe("eval portfolio/eval/grounded.jsonl --tiers heavy --html " + path(page) + " --answers " + path(answers) +
               " & pid=$!; for n in 1 2 3 4 5 6; do sleep 0.4; kill -INT $pid; done; wait $pid");
    EXPECT_NE(run.status, 0) << "the machine is so fast that it was done";
    EXPECT_FALSE(std::filesystem::exists(path("page.html"))) << run.output;
    EXPECT_EQ(std::filesystem::exists(path(answers)), !read(answers).empty());
  }
  EXPECT_EQ(read("old.html"), "an older page");
}

TEST_F(EvalCommand, AsksQuestionsThatBringTheirSources) {
  const Outcome run = troupe("eval portfolio/eval/grounded.jsonl --limit 4 --tiers heavy --answers " + path("answers.jsonl"));
  ASSERT_EQ(run.status, 0) << run.output;
  EXPECT_NE(run.output.find("heavy    100.0"), std::string::npos) << run.output << read("answers.jsonl");
}

TEST_F(EvalCommand, MeasuresWhatUtterancesAreTakenFor) {
  const Outcome run = troupe("eval portfolio/eval/intent.jsonl --limit 60 --tiers heavy,mini --json --html " +
                             path("page.html") + " --answers " + path("answers.jsonl"));
  ASSERT_EQ(run.status, 0) << run.output;
  const auto object = nlohmann::json::parse(run.output.substr(run.output.rfind("{\"questions\"")));
  ASSERT_EQ(object["rows"].size(), 2U);
  EXPECT_EQ(object["rows"][0]["tier"], "mini");
  EXPECT_EQ(object["rows"][1]["tier"], "heavy");
  for (const auto& row : object["rows"]) {
    EXPECT_EQ(row["questions"], 60);
    EXPECT_GT(row["accuracy"], 0.9);
    EXPECT_GT(row["out_of_scope_recall"], 0.5);
    EXPECT_GT(row["cost"], 0);
    EXPECT_GE(row["p95_ms"], row["p50_ms"]);
    EXPECT_EQ(row["by_policy"]["refused_in_scope"], 0) << "its prompt is the default policy's";
    for (const char* key : {"accuracy_in_scope", "out_of_scope_precision", "calibration_error", "cuts", "labels"})
      EXPECT_TRUE(row.contains(key)) << key;
  }
  EXPECT_NE(read("page.html").find("is, and was taken for"), std::string::npos);
  const std::string answers = read("answers.jsonl");
  EXPECT_EQ(std::count(answers.begin(), answers.end(), '\n'), 120);
  const Outcome again = troupe("eval portfolio/eval/intent.jsonl --limit 60 --tiers mini --answers " + path("again.jsonl"));
  ASSERT_EQ(again.status, 0) << again.output;
  EXPECT_NE(again.output.find("mini: the policy takes"), std::string::npos) << again.output;
}

/// Replies are the same whether rows are asked alone or among others; only how long it took is not.
TEST_F(EvalCommand, SaysTheSameOfAnUtteranceWhateverIsAskedBesideIt) {
  const auto replies = [&](const std::string& options, const std::string& name) {
    const Outcome run = troupe("eval portfolio/eval/clinc_test.jsonl --tiers mini " + options + " --answers " + path(name));
    EXPECT_EQ(run.status, 0) << run.output;
    std::map<std::string, nlohmann::json> rows;
    std::istringstream lines(read(name));
    for (std::string line; std::getline(lines, line);) {
      auto row = nlohmann::json::parse(line);
      const std::string id = row["id"];
      rows[id] = std::move(row);
    }
    return rows;
  };
  const auto few = replies("--limit 44", "few.jsonl");
  const auto many = replies("--limit 1100", "many.jsonl");
  ASSERT_EQ(few.size(), 44U);
  ASSERT_EQ(many.size(), 1100U);
  int among_others = 0;
  for (const auto& [id, alone] : few) {
    EXPECT_TRUE(alone.contains("latency_ms"));
    ASSERT_TRUE(many.contains(id));
    const auto& other = many.at(id);
    among_others += other.contains("latency_ms") ? 0 : 1;
    EXPECT_EQ(other["said"], alone["said"]) << id;
    EXPECT_EQ(other["confidence"], alone["confidence"]) << id;
  }
  EXPECT_GT(among_others, 20);
}

TEST_F(EvalCommand, RefusesUtterancesThatAreNoneAndOptionsThatAreNotForThem) {
  const std::string row =
      R"({"id": "a", "messages": [{"role": "system", "content": "p"}, {"role": "user", "content": "x"}], "answer": "chat"})";
  expect_refusal("eval " + write("bad.jsonl", row + "\n" + row + "\n"), 1, "bad.jsonl:2: id is \"a\"");
  expect_refusal("eval " + write("other.jsonl", row + "\n" + R"({"id": "q", "question": "?"})"), 1,
                 "other.jsonl:2: answer is missing");
  const std::string set = "eval portfolio/eval/intent.jsonl ";
  expect_refusal(set + "--corpus portfolio/handbook", 1, "leave --corpus and --connect out");
  expect_refusal(set + "--connect 127.0.0.1:1", 1, "leave --corpus and --connect out");
  expect_refusal(set + "--tiers portfolio", 1, "expected some of mini, medium, heavy");
  expect_refusal(set + "--model mini=/nothing", 1, "/nothing");
  const std::string policy = write("policy.toml",
                                   "[intent]\nprompt = \"You name the kind of request: lookup, compare, multi_step, chat, "
                                   "summarize, follow_up or out_of_scope.\"\nlabels = [\"lookup\"]\n[[rule]]\nname = \"x\"\n"
                                   "start = \"mini\"\n");
  expect_refusal(set + "--policy " + policy, 1, "which is no label of the policy's intent");
}

/// Thirteen exchanges: what was said first is no longer word for word in the prompt, and was folded into the summary.
std::string dialogue() {
  std::string turns;
  const auto say = [&](const std::string& question, const std::string& answer) {
    turns += (turns.empty() ? "" : ",") + (R"({"role":"user","content":")" + question) +
             R"("},{"role":"assistant","content":")" + answer + "\"}";
  };
  say("My site is Split.", "Noted: site Split.");
  for (int i = 0; i < 12; ++i) say("Thanks", "You are welcome.");
  return R"({"id":"d","turns":[)" + turns + R"(],"facts":["site Split"],"probes":[{"question":"Which site am I at?",)" +
         R"("answer":"Your site is Split.","values":["Split"],"kind":"profile","asked":13}]})";
}

TEST_F(EvalCommand, HoldsConversationsAgainAndAsksWhatWasSaid) {
  const Outcome run = troupe("eval " + write("dialogues.jsonl", dialogue()) + " --tiers mini --json --answers " +
                             path("answers.jsonl") + " --html " + path("page.html"));
  ASSERT_EQ(run.status, 0) << run.output;
  const auto object = nlohmann::json::parse(run.output.substr(run.output.rfind("{\"dialogues\"")));
  EXPECT_EQ(object["tier"], "mini");
  EXPECT_EQ(object["summarizer"], "mini");
  EXPECT_EQ(object["conversations"], 1);
  ASSERT_EQ(object["rows"].size(), 4U) << run.output;
  std::map<std::string, nlohmann::json> rows;
  for (const auto& row : object["rows"]) {
    EXPECT_EQ(row["exchanges"], 13);
    EXPECT_EQ(row["probes"], 1);
    EXPECT_EQ(row["early_probes"], 1);
    rows[row["method"]] = row;
  }
  EXPECT_EQ(rows["summaries"]["recall"], 1.0) << run.output << read("answers.jsonl");
  EXPECT_EQ(rows["pinned"]["verbatim"], 1.0);
  EXPECT_EQ(rows["everything"]["whole"], 1.0);
  EXPECT_EQ(rows["truncated"]["whole"], 0.0);
  EXPECT_LT(rows["summaries"]["prompt_tokens"], rows["everything"]["prompt_tokens"]);
  EXPECT_LT(rows["truncated"]["prompt_tokens"], rows["everything"]["prompt_tokens"]);
  const std::string page = read("page.html");
  EXPECT_NE(page.find("1 conversation of "), std::string::npos);
  EXPECT_NE(page.find("13, summaries: 100</title>"), std::string::npos) << page;
  EXPECT_NE(page.find(std::string(object["machine"])), std::string::npos);
}

TEST_F(EvalCommand, RefusesConversationsThatItCannotHold) {
  const std::string set = write("dialogues.jsonl", dialogue());
  expect_refusal("eval " + set + " --corpus " + path("."), 1, "--corpus has no effect");
  expect_refusal("eval " + set + " --tiers mini,heavy", 1, "--tiers");
  expect_refusal("eval " + set + " --tiers portfolio", 1, "--tiers");
  expect_refusal("eval " + set + " --html " + path("no/page.html"), 1, "cannot write to");
  expect_refusal("eval " + set + " --html " + path("both") + " --answers " + path("./both"), 1, "are the same file");
  expect_refusal("eval " + write("bad.jsonl", dialogue() + "\n" + R"({"id":"d","turns":[],"probes":[]})"), 1,
                 "bad.jsonl:2: turns");
}

TEST_F(EvalCommand, RefusesWhatIsNoSetWithTheLine) {
  const std::string rules = write("rules.md", "# Rules\n### §1.1 Doors\nThe clerk locks doors.\n");
  expect_refusal("eval " + path("none.jsonl"), 2, "none.jsonl");
  expect_refusal("eval " + write("empty.jsonl", "\n"), 1, "empty.jsonl has no questions");
  expect_refusal("eval " + write("bad.jsonl", std::string(good) + "\n{\n"), 1, "bad.jsonl:2");
  expect_refusal("eval " + write("field.jsonl", R"({"id": "q"})"), 1, "field.jsonl:1: question is missing");
  const std::string elsewhere =
      write("elsewhere.jsonl", R"({"id": "q", "question": "?", "answer": "", "sections": ["rules#9"]})");
  expect_refusal("eval " + elsewhere, 1, "elsewhere.jsonl:1: question q is about section \"rules#9\"");
}

TEST_F(EvalCommand, WritesOverNothingThatItReads) {
  std::string line;
  std::ifstream questions(TROUPE_SOURCE_DIR "/portfolio/handbook/questions.jsonl");
  std::getline(questions, line);
  const std::string set = write("set.jsonl", line);
  std::filesystem::create_symlink(set, path("link"));
  for (const std::string& options : {"--answers " + set, "--html " + set, "--answers " + path("link")}) {
    expect_refusal("eval " + set + " --corpus portfolio/handbook --tiers mini " + options, 1, "would be written over");
    EXPECT_EQ(read("set.jsonl"), line);
  }
}

TEST_F(EvalCommand, RefusesACorpusWithoutSectionsAndOptionsWithoutEffect) {
  const std::string set = write("good.jsonl", good);
  expect_refusal("eval " + set, 1, "say with --corpus where the documents are");
  expect_refusal("eval " + set + " --corpus " + path("none"), 2, "none");
  expect_refusal("eval portfolio/eval/grounded.jsonl --corpus portfolio/handbook", 1, "leave --corpus out");
  expect_refusal("eval portfolio/eval/grounded.jsonl --connect 127.0.0.1:1", 1, "leave --connect out");
  expect_refusal("eval portfolio/handbook/questions.jsonl --connect 127.0.0.1:1 --tiers mini,heavy", 1,
                 "expected one with --connect");
  expect_refusal("eval portfolio/handbook/questions.jsonl --connect 127.0.0.1:1 --limit 1", 1, "is a node running there?");
  expect_refusal("eval portfolio/handbook/questions.jsonl --tiers huge", 1, "expected some of mini, medium, heavy, portfolio");
  expect_refusal("eval portfolio/handbook/questions.jsonl --model heavy", 1, "as in heavy=FOLDER");
  expect_refusal("eval portfolio/handbook/questions.jsonl --html " + path("no/page.html"), 1, "cannot write to");
}

}  // namespace
}  // namespace troupe
