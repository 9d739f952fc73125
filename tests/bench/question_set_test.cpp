#include "bench/question_set.hpp"

#include <gtest/gtest.h>

#include "tests/support/temporary_folder.hpp"

namespace troupe::bench {
namespace {

constexpr const char* about_a_corpus =
    R"({"id": "q1", "question": "Why?", "answer": "So.", "values": ["So"], "sections": ["b#2", "a#1"], "difficulty": "two_hop"})"
    "\n";
constexpr const char* with_sources =
    R"({"id": "d-1", "question": "Who?", "answer": "The clerk [2].", "citations": [2], "difficulty": "direct", "messages": [)"
    R"({"role": "system", "content": "You answer."},)"
    R"({"role": "user", "content": "[1] Rules §1: Doors: closed.\n[2] Code §2.1: The clerk pays.\n\nQuestion: Who?"}]})"
    "\n";

QuestionSet parsed(const std::string& text) {
  auto set = parse_questions(text, "set.jsonl");
  EXPECT_TRUE(set) << (set ? "" : set.error().message);
  return set.value_or(QuestionSet());
}

void expect_refused(const std::string& text, ErrorCode code, const std::string& message) {
  const auto set = parse_questions(text, "set.jsonl");
  ASSERT_FALSE(set) << text;
  EXPECT_EQ(set.error().code, code) << set.error().message;
  EXPECT_NE(set.error().message.find(message), std::string::npos) << set.error().message;
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  return text.replace(text.find(what), what.size(), by);
}

TEST(QuestionSets, AskAboutACorpus) {
  const QuestionSet set = parsed(std::string("\n") + about_a_corpus);
  ASSERT_EQ(set.questions.size(), 1U);
  EXPECT_FALSE(set.brings_sources);
  const Question& question = set.questions[0];
  EXPECT_EQ(question.line, 2);
  EXPECT_EQ(question.id, "q1");
  EXPECT_EQ(question.text, "Why?");
  EXPECT_EQ(question.answer, "So.");
  EXPECT_EQ(question.difficulty, "two_hop");
  EXPECT_EQ(question.values, std::vector<std::string>{"So"});
  EXPECT_EQ(question.sections, (std::vector<std::string>{"a#1", "b#2"}));
}

TEST(QuestionSets, BringTheirSources) {
  const QuestionSet set = parsed(with_sources);
  ASSERT_EQ(set.questions.size(), 1U);
  EXPECT_TRUE(set.brings_sources);
  const Question& question = set.questions[0];
  EXPECT_EQ(question.text, "Who?");
  EXPECT_EQ(question.sections, std::vector<std::string>{"d-1#2"});
  const std::vector<storage::Section> sources = {{"d-1#1", "Rules §1", "Doors: closed."},
                                                 {"d-1#2", "Code §2.1", "The clerk pays."}};
  EXPECT_EQ(question.sources, sources);
}

TEST(QuestionSets, NeedNeitherDifficultiesNorValuesNorAnswerableQuestions) {
  const QuestionSet set = parsed(R"({"id": "q", "question": "Why?", "answer": "Nobody knows.", "sections": []})");
  EXPECT_FALSE(set.questions.at(0).answerable());
  EXPECT_EQ(set.questions[0].difficulty, "");
}

TEST(QuestionSets, ThatAreNoneAreRefusedByTheirLine) {
  const std::string good = about_a_corpus;
  expect_refused("", ErrorCode::invalid_argument, "set.jsonl has no questions");
  expect_refused(" \n\n", ErrorCode::invalid_argument, "set.jsonl has no questions");
  expect_refused(good + "{", ErrorCode::invalid_argument, "set.jsonl:2");
  expect_refused(good + "\xFF", ErrorCode::invalid_argument, "set.jsonl:2");
  expect_refused("[]", ErrorCode::invalid_argument, "set.jsonl:1");
  expect_refused(good + replaced(good, "\"answer\": \"So.\", ", ""), ErrorCode::not_found, "set.jsonl:2: answer is missing");
  expect_refused(replaced(good, "\"So.\"", "5"), ErrorCode::invalid_argument, "set.jsonl:1: answer is 5, expected a string");
  expect_refused(replaced(good, "\"a#1\"", "1"), ErrorCode::invalid_argument, "expected a list of strings");
  expect_refused(replaced(good, "\"q1\"", "\"\""), ErrorCode::invalid_argument, "id is \"\"");
  expect_refused(good + good, ErrorCode::invalid_argument, "set.jsonl:2: id is \"q1\", which an earlier line has");
  expect_refused(good + with_sources, ErrorCode::invalid_argument,
                 "set.jsonl:2: question d-1 brings sources, unlike the first");
}

TEST(QuestionSets, RefuseSourcesOfAnotherForm) {
  const std::string good = with_sources;
  expect_refused(replaced(good, "[2] Code", "[3] Code"), ErrorCode::invalid_argument, "numbered sources");
  expect_refused(replaced(good, "2.1: ", "2.1 "), ErrorCode::invalid_argument, "numbered sources");
  expect_refused(replaced(good, "Question: Who?", "Question: What?"), ErrorCode::invalid_argument, "numbered sources");
  expect_refused(replaced(good, "\"citations\": [2]", "\"citations\": [3]"), ErrorCode::out_of_range, "citations");
  expect_refused(replaced(good, R"({"role": "system", "content": "You answer."},)", ""), ErrorCode::invalid_argument,
                 "messages");
}

TEST(QuestionSets, AreOfTheCorpusThatHasTheirSections) {
  const QuestionSet set = parsed(about_a_corpus);
  const std::vector<storage::Section> all = {{"a#1", "A", "x"}, {"b#2", "B", "x"}};
  EXPECT_TRUE(check_sections(set, all, "set.jsonl"));
  const auto checked = check_sections(set, std::span(all).first(1), "set.jsonl");
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, ErrorCode::not_found);
  EXPECT_NE(checked.error().message.find("set.jsonl:1: question q1 is about section \"b#2\""), std::string::npos)
      << checked.error().message;
}

TEST(QuestionSets, AreSpreadEvenly) {
  std::string text;
  for (int i = 0; i < 10; ++i)
    text += R"({"id": ")" + std::to_string(i) + R"(", "question": "?", "answer": "", "sections": []})" + "\n";
  const QuestionSet set = parsed(text);
  const auto ids = [](const QuestionSet& some) {
    std::string all;
    for (const Question& question : some.questions) all += question.id;
    return all;
  };
  EXPECT_EQ(ids(spread(set, 3)), "036");
  EXPECT_EQ(ids(spread(set, 1)), "0");
  EXPECT_EQ(ids(spread(set, 10)), "0123456789");
  EXPECT_EQ(ids(spread(set, 99)), "0123456789");
}

TEST(QuestionSets, OfThePortfolioAreRead) {
  const auto handbook = read_questions(TROUPE_SOURCE_DIR "/portfolio/handbook/questions.jsonl");
  ASSERT_TRUE(handbook) << handbook.error().message;
  EXPECT_EQ(handbook->questions.size(), 115U);
  EXPECT_FALSE(handbook->brings_sources);
  const auto grounded = read_questions(TROUPE_SOURCE_DIR "/portfolio/eval/grounded.jsonl");
  ASSERT_TRUE(grounded) << grounded.error().message;
  EXPECT_EQ(grounded->questions.size(), 800U);
  EXPECT_TRUE(grounded->brings_sources);
}

TEST(QuestionSets, ThatAreNotThereSaySo) {
  const tests::TemporaryFolder folder;
  const auto missing = read_questions(folder.path() / "none.jsonl");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace troupe::bench
