// A real node and `troupe ask --input`: files of questions, answers that are kept, and runs that go on where others ended.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/cluster/troupe_of.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::tests {
namespace {

class Batch : public testing::Test {
 protected:
  void SetUp() override {
    troupe_ = std::make_unique<TroupeOf>(TROUPE_BINARY, folder_.path(), std::vector<NodeSetup>{{"one", {"mini"}}});
    const auto started = troupe_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  std::string text_of(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(path(name)).rdbuf();
    return text.str();
  }
  std::vector<nlohmann::json> rows(const std::string& text) const {
    std::vector<nlohmann::json> rows;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) rows.push_back(nlohmann::json::parse(line, nullptr, false));
    return rows;
  }
  /// What of the answers depends on nothing but the questions.
  std::map<std::string, std::string> texts(const std::string& text) const {
    std::map<std::string, std::string> found;
    for (const auto& row : rows(text)) found.emplace(row.at("id"), row.at("answer"));
    return found;
  }
  Said ask(std::vector<std::string> options) {
    std::vector<std::string> command = {TROUPE_BINARY, "ask", "--connect", troupe_->node(0).clients(), "--tier", "mini"};
    command.insert(command.end(), options.begin(), options.end());
    return run(command, folder_.path() / "ask.log");
  }

  TemporaryFolder folder_;
  std::unique_ptr<TroupeOf> troupe_;
};

TEST_F(Batch, GoesOnWhereItWasAndAsksNothingTwice) {
  constexpr int count = 12;
  std::ofstream questions(path("questions.jsonl"));
  for (int i = 0; i < count; ++i)
    questions << nlohmann::json{{"id", "q" + std::to_string(i)},
                                {"question", "How long are records of site " + std::to_string(i) + " kept?"}}
              << "\n";
  questions.close();

  const Said whole = ask({"--input", path("questions.jsonl"), "--at-once", "3"});
  EXPECT_EQ(whole.status, 0);
  const auto expected = texts(whole.output);
  ASSERT_EQ(expected.size(), count);

  // A run that was killed in the middle of a line; and one question had not been answered for a reason that is over.
  std::ofstream answers(path("answers.jsonl"));
  std::istringstream lines(whole.output);
  std::string line;
  for (int i = 0; i < 5 && std::getline(lines, line); ++i) answers << line << "\n";
  const auto failed = rows(whole.output)[6];
  answers << nlohmann::json{{"id", failed["id"]},
                            {"question", failed["question"]},
                            {"error", {{"code", "unavailable"}, {"message", ""}}}}
          << "\n";
  answers << R"({"id":"q11","ques)";
  answers.close();
  EXPECT_EQ(ask({"--input", path("questions.jsonl"), "--answers", path("answers.jsonl")}).status, 0);
  const auto kept = rows(text_of("answers.jsonl"));
  ASSERT_EQ(kept.size(), count + 1) << "five that were there, the failure, and seven new ones";
  std::map<std::string, std::string> answered;
  for (const auto& row : kept) {
    ASSERT_FALSE(row.is_discarded());
    if (row.contains("answer")) {
      EXPECT_TRUE(answered.emplace(row["id"], row["answer"]).second) << row;
    }
  }
  EXPECT_EQ(answered, expected);

  const std::string before = text_of("answers.jsonl");
  EXPECT_EQ(ask({"--input", path("questions.jsonl"), "--answers", path("answers.jsonl")}).status, 0);
  EXPECT_EQ(text_of("answers.jsonl"), before) << "nothing is left to ask";
  std::ofstream(path("answers.jsonl")) << before.substr(0, before.size() - 1);  // as some editors leave it
  EXPECT_EQ(ask({"--input", path("questions.jsonl"), "--answers", path("answers.jsonl")}).status, 0);
  EXPECT_EQ(text_of("answers.jsonl"), before) << "a whole line without its end is an answer";
}

TEST_F(Batch, NamesWhatWasNotAnsweredAndKeepsTheAnswersOfAnotherFileApart) {
  std::ofstream(path("questions.jsonl")) << R"({"question": "Hello", "id": 17})" << "\n"
                                         << nlohmann::json{{"question", std::string(20000, 'a')}} << "\n";
  const Said said = ask({"--input", path("questions.jsonl"), "--answers", path("answers.jsonl")});
  EXPECT_EQ(said.status, 1);
  EXPECT_NE(text_of("ask.log").find("1 not answered; the first that was not: the question "), std::string::npos)
      << text_of("ask.log");
  std::map<std::string, nlohmann::json> by_id;
  for (const auto& row : rows(text_of("answers.jsonl"))) by_id[row.at("id")] = row;
  ASSERT_EQ(by_id.size(), 2U);
  EXPECT_TRUE(by_id["17"].contains("answer")) << by_id["17"];
  EXPECT_EQ(by_id["2"]["error"]["code"], "too_large") << by_id["2"];

  std::ofstream(path("others.jsonl")) << R"({"question": "Who are you?"})" << "\n";
  const std::string before = text_of("answers.jsonl");
  EXPECT_EQ(ask({"--input", path("others.jsonl"), "--answers", path("answers.jsonl")}).status, 1);
  // Somebody's file of one line, which ends without a line end, is not taken for an answer that was cut off.
  for (const char* foreign : {"{\"colour\": \"blue\"}", "notes"}) {
    std::ofstream(path("foreign")) << foreign;
    EXPECT_EQ(ask({"--input", path("questions.jsonl"), "--answers", path("foreign")}).status, 1);
    EXPECT_EQ(text_of("foreign"), foreign);
  }
  EXPECT_EQ(text_of("answers.jsonl"), before);
}

}  // namespace
}  // namespace troupe::tests
