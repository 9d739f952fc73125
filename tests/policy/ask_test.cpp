#include "policy/ask.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace troupe::policy {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

Ask plain() {
  Ask ask;
  ask.idempotency_key = "k1";
  ask.question = "Which classification do donor files carry?";
  return ask;
}

Ask draft() {
  Ask ask = plain();
  ask.assurance = Assurance::draft;
  return ask;
}

void expect_refused(const Ask& ask, ErrorCode code, const std::vector<std::string>& words) {
  const auto result = check_ask(ask);
  ASSERT_FALSE(result) << words.front();
  EXPECT_EQ(result.error().code, code) << result.error().message;
  for (const auto& word : words) EXPECT_NE(result.error().message.find(word), std::string::npos) << result.error().message;
}

/// A valid draft but for what `change` does to it is refused with these words.
template <class Change>
void expect_draft_refused(const Change& change, ErrorCode code, const std::vector<std::string>& words) {
  Ask ask = draft();
  change(ask);
  expect_refused(ask, code, words);
}

TEST(Ask, IsAcceptedWithItsDefaultsAndAtItsLimits) {
  EXPECT_TRUE(check_ask(plain()));
  Ask ask = draft();
  ask.idempotency_key = std::string(Ask::key_bytes_max, 'k');
  ask.question = std::string(Ask::question_bytes_max, 'q');
  ask.sampling = {.temperature = 100, .top_k = std::numeric_limits<std::int32_t>::max(), .top_p = 0.01F, .min_p = 0.99F};
  ask.tokens_max = Ask::tokens_limit;
  ask.deadline_ms = Ask::deadline_limit_ms;
  ask.latency_budget_ms = Ask::deadline_limit_ms;
  EXPECT_TRUE(check_ask(ask));
  ask.tokens_max = 1;
  ask.deadline_ms = 1;
  ask.latency_budget_ms = 0;
  EXPECT_TRUE(check_ask(ask));
}

TEST(Ask, IsRefusedByTheNameOfTheFieldThatIsWrong) {
  using enum ErrorCode;
  expect_draft_refused([](Ask& ask) { ask.question.clear(); }, invalid_argument, {"question", "0 bytes"});
  expect_draft_refused([](Ask& ask) { ask.question = " \n\t"; }, invalid_argument, {"question", "3 bytes"});
  expect_draft_refused([](Ask& ask) { ask.question.assign(65537, 'q'); }, out_of_range, {"question", "65537", "65536"});
  expect_draft_refused([](Ask& ask) { ask.question = "caf\xe9"; }, invalid_argument, {"question", "no UTF-8 at byte 3 of 4"});
  expect_draft_refused([](Ask& ask) { ask.idempotency_key.clear(); }, invalid_argument, {"idempotency key", "empty"});
  expect_draft_refused([](Ask& ask) { ask.idempotency_key.assign(129, 'k'); }, out_of_range, {"idempotency key", "129", "128"});
  expect_draft_refused([](Ask& ask) { ask.tokens_max = 0; }, out_of_range, {"tokens_max", "0", "4096"});
  expect_draft_refused([](Ask& ask) { ask.tokens_max = 4097; }, out_of_range, {"tokens_max", "4097", "4096"});
  expect_draft_refused([](Ask& ask) { ask.deadline_ms = 0; }, out_of_range, {"deadline_ms", "0"});
  expect_draft_refused([](Ask& ask) { ask.deadline_ms = 86400001; }, out_of_range, {"deadline_ms", "86400001", "86400000"});
  expect_draft_refused([](Ask& ask) { ask.latency_budget_ms = -1; }, out_of_range, {"latency_budget_ms", "-1"});
}

TEST(Ask, SamplesWithinWhatAnEngineTakes) {
  using enum ErrorCode;
  for (const float value : {-0.1F, 100.5F, nan, infinity}) {
    expect_draft_refused([&](Ask& ask) { ask.sampling.temperature = value; }, out_of_range, {"temperature", "100"});
  }
  for (const float value : {0.0F, 1.5F, nan}) {
    expect_draft_refused([&](Ask& ask) { ask.sampling.top_p = value; }, out_of_range, {"top_p"});
  }
  for (const float value : {-0.5F, 1.0F, nan, infinity}) {
    expect_draft_refused([&](Ask& ask) { ask.sampling.min_p = value; }, out_of_range, {"min_p"});
  }
  expect_draft_refused([](Ask& ask) { ask.sampling.top_k = -1; }, out_of_range, {"top_k", "-1"});
}

TEST(Ask, SamplesOnlyAsADraftAndIsNotYetOfHighAssurance) {
  Ask ask = plain();
  ask.sampling.temperature = 0.5F;
  expect_refused(ask, ErrorCode::invalid_argument, {"standard samples greedily", "0.5", "draft"});
  ask.assurance = Assurance::draft;
  EXPECT_TRUE(check_ask(ask));
  ask.assurance = Assurance::high;
  expect_refused(ask, ErrorCode::unsupported, {"assurance high"});
}

TEST(Ask, NamesItsChoicesBothWays) {
  for (const auto value : {Assurance::draft, Assurance::standard, Assurance::high}) {
    EXPECT_EQ(assurance_of(to_string(value)), value);
  }
  for (const auto value : {Grounding::automatic, Grounding::never, Grounding::always}) {
    EXPECT_EQ(grounding_of(to_string(value)), value);
  }
  for (const auto value : {Priority::interactive, Priority::standard, Priority::batch}) {
    EXPECT_EQ(priority_of(to_string(value)), value);
  }
  EXPECT_EQ(to_string(Assurance::standard), "standard");
  EXPECT_EQ(to_string(Grounding::automatic), "automatic");
  EXPECT_EQ(to_string(Priority::batch), "batch");
  for (const std::string_view name : {"", "unknown", "Draft", "standard "}) {
    EXPECT_FALSE(assurance_of(name));
    EXPECT_FALSE(grounding_of(name));
  }
  EXPECT_FALSE(priority_of("unknown"));
  EXPECT_EQ(to_string(static_cast<Assurance>(9)), "unknown");
}

TEST(Ask, NamesATurnInExactlyOneWay) {
  TurnId turn{.conversation = {}, .number = 17};
  turn.conversation.bytes[0] = 0xab;
  const std::string name = "ab" + std::string(30, '0');
  EXPECT_EQ(to_string(turn), name + "/17");
  EXPECT_EQ(parse_turn(name + "/17"), turn);
  EXPECT_EQ(parse_turn(name + "/4294967295")->number, 4294967295U);
  for (const char* wrong : {"", "/", "/0", "/017", "/+1", "/-1", "/1 ", "/ 1", "/1/1", "/4294967296", "/x", "1"}) {
    EXPECT_FALSE(parse_turn(name + wrong)) << wrong;
  }
  EXPECT_FALSE(parse_turn("/1"));
  EXPECT_FALSE(parse_turn(name.substr(1) + "/1"));
}

}  // namespace
}  // namespace troupe::policy
