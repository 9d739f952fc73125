#include "bench/intent_set.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace troupe::bench {
namespace {

std::string row(const std::string& id, const std::string& label, const std::string& prompt = "Name it.") {
  return R"({"id": ")" + id + R"(", "messages": [{"role": "system", "content": ")" + prompt +
         R"("}, {"role": "user", "content": "play )" + id + R"("}], "answer": ")" + label + "\"}\n";
}

void expect_refused(const std::string& text, ErrorCode code, const std::vector<std::string>& words) {
  const auto set = parse_intents(text, "f.jsonl");
  ASSERT_FALSE(set) << text;
  EXPECT_EQ(set.error().code, code) << set.error().message;
  for (const std::string& word : words) EXPECT_NE(set.error().message.find(word), std::string::npos) << set.error().message;
}

TEST(IntentSet, HasRowsOfOnePrompt) {
  const auto set = parse_intents("\n" + row("a", "music") + row("b", "chat") + row("c", "music"), "f.jsonl");
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(set->prompt, "Name it.");
  ASSERT_EQ(set->rows.size(), 3U);
  EXPECT_EQ(set->rows[1], (IntentRow{3, "b", "play b", "chat"}));
  EXPECT_EQ(set->labels(), (std::vector<std::string>{"chat", "music"}));
}

TEST(IntentSet, NeedsThePromptOnce) {
  const std::string alone = R"({"id": "b", "messages": [{"role": "user", "content": "sing"}], "answer": "chat"})";
  const auto set = parse_intents(row("a", "music") + alone, "f.jsonl");
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(set->prompt, "Name it.");
  EXPECT_EQ(set->rows.at(1), (IntentRow{2, "b", "sing", "chat"}));
  expect_refused(alone, ErrorCode::invalid_argument, {"f.jsonl:1: messages", "may stand alone"});
}

TEST(IntentSet, NamesTheLineThatIsWrong) {
  const std::string good = row("a", "music");
  expect_refused("", ErrorCode::invalid_argument, {"f.jsonl has no rows"});
  expect_refused(good + "{\n", ErrorCode::invalid_argument, {"f.jsonl:2"});
  expect_refused(good + "[1]\n", ErrorCode::invalid_argument, {"f.jsonl:2"});
  expect_refused(good + good, ErrorCode::invalid_argument, {"f.jsonl:2", "id is \"a\", which an earlier line has"});
  expect_refused(good + row("b", "music", "Say it."), ErrorCode::invalid_argument,
                 {"f.jsonl:2", "expected one prompt in a file"});
  expect_refused(good + row("b", ""), ErrorCode::invalid_argument, {"f.jsonl:2: answer"});
  expect_refused(good + row("", "music"), ErrorCode::invalid_argument, {"f.jsonl:2: id"});
  expect_refused(good + R"({"id": "b", "answer": "x"})", ErrorCode::not_found, {"f.jsonl:2: messages is missing"});
  expect_refused(good + R"({"id": "b", "answer": 5, "messages": []})", ErrorCode::invalid_argument, {"f.jsonl:2: answer is 5"});
  const std::string user = R"({"role": "user", "content": "x"})";
  for (const std::string& messages : {std::string("[]"), "[" + user + ", " + user + "]"}) {
    expect_refused(good + R"({"id": "b", "answer": "x", "messages": )" + messages + "}", ErrorCode::invalid_argument,
                   {"f.jsonl:2: messages", "a system message and a user message"});
  }
  expect_refused(row(std::string(300, 'i'), "music"), ErrorCode::too_large, {"f.jsonl:1: id"});
  expect_refused(row("a", std::string(300, 'l')), ErrorCode::too_large, {"f.jsonl:1: answer"});
}

TEST(IntentSet, IsThinnedEvenly) {
  std::string text;
  for (int i = 0; i < 10; ++i) text += row(std::to_string(i), "music");
  const auto set = parse_intents(text, "f.jsonl");
  ASSERT_TRUE(set);
  const IntentSet some = spread(*set, 4);
  ASSERT_EQ(some.rows.size(), 4U);
  EXPECT_EQ(some.prompt, "Name it.");
  EXPECT_EQ(some.rows[1].id, "2");
  EXPECT_EQ(some.rows[3].id, "7");
  EXPECT_EQ(spread(*set, 100).rows.size(), 10U);
}

}  // namespace
}  // namespace troupe::bench
