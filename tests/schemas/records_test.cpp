#include "schemas/records.hpp"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "schemas/records.capnp.h"
#include "tests/support/random_turns.hpp"

namespace troupe::schemas {
namespace {

constexpr std::uint64_t epoch = 7;
using Limits = RecordLimits;

policy::TurnId turn_id(std::uint32_t number = 1) { return {.conversation = {.bytes = {1, 2, 3}}, .number = number}; }

policy::Summary summary_of(std::uint32_t version, const std::string& text = "") {
  policy::Summary summary;
  summary.version = version;
  summary.text = text;
  return summary;
}

template <class Value>
void expect_refused(const Result<Value>& result, ErrorCode code, const std::vector<std::string>& words) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, code) << result.error().message;
  for (const auto& word : words) EXPECT_NE(result.error().message.find(word), std::string::npos) << result.error().message;
}

/// A record whose fields `fill` sets, bad ones too.
std::string record_of(const std::function<void(records::Record::Builder)>& fill) {
  capnp::MallocMessageBuilder message(1U << 20);  // words: it stays in one segment
  auto record = message.initRoot<records::Record>();
  record.setVersion(records_version);
  fill(record);
  const auto words = capnp::messageToFlatArray(message);
  return {reinterpret_cast<const char*>(words.asBytes().begin()), words.asBytes().size()};
}

/// NaNs equal nothing, so floats are compared by what they are encoded as: equal values have equal bytes.
template <class Value>
void expect_same(const Value& decoded, const Value& value) {
  EXPECT_EQ(encode(decoded, epoch), encode(value, epoch));
}

/// Every decoder, so that hostile bytes meet all of them.
int decoders_that_accept(std::string_view bytes) {
  return decode_conversation(bytes).has_value() + decode_accepted(bytes).has_value() + decode_plan(bytes).has_value() +
         decode_result(bytes).has_value() + decode_ended(bytes).has_value() + decode_summary(bytes).has_value() +
         decode_pins(bytes).has_value() + decode_turn(bytes).has_value() + decode_turns(bytes).has_value() +
         decode_shadow(bytes).has_value() + decode_found(bytes).has_value();
}

std::vector<std::string> one_of_each(Random& random) {
  const auto turn = tests::random_turn(random, turn_id());
  const std::vector turns{turn, tests::random_turn(random, turn_id(2))};
  return {encode(ConversationRecord{.id = turn.id.conversation, .created_ms = 1, .turns = 2, .summary_version = 3}, epoch),
          encode_accepted(turn, epoch),
          encode(tests::random_plan(random, 1), epoch),
          encode(tests::random_result(random), epoch),
          encode(EndedTurn{.outcome = tests::random_outcome(random), .ended_ms = 5, .kind = "lookup", .search = "x"}, epoch),
          encode(tests::random_summary(random, 1), epoch),
          encode(tests::random_pins(random), epoch),
          encode(turn, epoch),
          encode(turns, epoch),
          encode_found({{{"rules#1", "Rules §1"}, tests::random_text(random)}}, epoch),
          encode(tests::random_shadow(random, turn_id(5)))};
}

TEST(Records, ComeBackAsTheyWere) {
  const ConversationRecord conversation{.id = turn_id().conversation, .created_ms = -5, .turns = 9, .summary_version = 2};
  EXPECT_EQ(decode_conversation(encode(conversation, epoch)).value(), conversation);

  policy::Turn turn;
  turn.id = turn_id(4);
  turn.ask.idempotency_key = "k";
  turn.ask.question = "Why?";
  turn.ask.tier = policy::Tier::heavy;
  turn.ask.seed = 0;
  turn.ask.keep_if_unread = true;
  turn.accepted_ms = 1234;
  turn.kind = "lookup";
  turn.search = "why";
  turn.stages = {{policy::Stage::intent, -1, 41, 2, 2000, policy::Trouble::late, policy::Fallback::unknown, "stuck"},
                 {policy::Stage::reasoning, 0, 300, 7, 12, policy::Trouble::none, policy::Fallback::none, ""}};
  const auto accepted = decode_accepted(encode_accepted(turn, epoch)).value();
  EXPECT_EQ(accepted.id, turn.id);
  EXPECT_EQ(accepted.ask.idempotency_key, "k");
  EXPECT_EQ(accepted.ask.question, "Why?");
  EXPECT_EQ(accepted.ask.tier, policy::Tier::heavy);
  EXPECT_EQ(accepted.ask.seed, 0U) << "a seed of 0 is a seed";
  EXPECT_EQ(accepted.ask.assurance, policy::Assurance::standard);
  EXPECT_EQ(accepted.ask.deadline_ms, 120000);
  EXPECT_TRUE(accepted.ask.keep_if_unread);
  EXPECT_EQ(accepted.accepted_ms, 1234);
  EXPECT_EQ(accepted.kind, "lookup");
  EXPECT_EQ(accepted.search, "why");
  EXPECT_FALSE(accepted.kind_confidence) << "as an older version wrote it";
  turn.kind_confidence = 0.0;
  turn.kind_said = "chat";
  EXPECT_EQ(decode_accepted(encode_accepted(turn, epoch)).value().kind_confidence, 0.0) << "that is a probability too";
  EXPECT_EQ(decode_accepted(encode_accepted(turn, epoch)).value().kind_said, "chat");
  turn.kind_confidence = 1.5;
  EXPECT_EQ(decode_accepted(encode_accepted(turn, epoch)).error().code, ErrorCode::corrupt);
  EXPECT_EQ(accepted.stages, turn.stages);

  policy::AttemptPlan plan;
  plan.attempt = 1;
  plan.event_number = 260;
  plan.tier = policy::Tier::medium;
  plan.why = "unsure";
  plan.prompt = {1, -2, 3};
  plan.seed = 9;
  plan.confidence_min = 0.6;
  plan.escalation = {{.tier = policy::Tier::heavy, .confidence_min = 0.5}};
  plan.held_back = true;
  plan.passages = {{.section = "a#1", .name = "A §1"}};
  EXPECT_EQ(decode_plan(encode(plan, epoch)).value(), plan);
  EXPECT_EQ(decode_plan(record_of([](auto record) { record.initPlan(); })).value().log_probability_sum_min,
            -std::numeric_limits<double>::infinity())
      << "as an older version wrote it, it is completed";
  plan.log_probability_sum_min = -0.25;
  EXPECT_EQ(decode_plan(encode(plan, epoch)).value(), plan);

  policy::AttemptResult result;
  result.emissions = {{.first_index = 0, .ids = {5, 6}, .log_probabilities = {-0.5F, -1}, .text = "hi"}};
  result.node = "one";
  EXPECT_EQ(decode_result(encode(result, epoch)).value(), result);

  EndedTurn ended;
  ended.outcome.committed = true;
  ended.outcome.answer = "So.";
  ended.outcome.confident = true;
  ended.ended_ms = 8;
  ended.kind = "chat";
  ended.retrieval_confidence = 0.5;
  ended.outcome.doubt = "unsure";
  ended.kind_confidence = 0.75;
  ended.kind_said = "out_of_scope";
  ended.outcome.rule = "out of scope";
  ended.stages = turn.stages;
  EXPECT_EQ(decode_ended(encode(ended, epoch)).value(), ended);

  auto summary = summary_of(2, "They asked.");
  summary.first_turn = 3;
  summary.last_turn = 5;
  summary.model = {.fingerprint = "ab", .numeric_class = "cpu-f32-v1"};
  EXPECT_EQ(decode_summary(encode(summary, epoch)).value(), summary);
}

TEST(Records, OfAWholeTurnKeepWhichPartsThereAre) {
  policy::Turn turn;
  turn.id = turn_id();
  auto decoded = decode_turn(encode(turn, epoch)).value();
  EXPECT_TRUE(decoded.attempts.empty());
  EXPECT_FALSE(decoded.outcome);
  EXPECT_FALSE(decoded.ask.seed);
  EXPECT_FALSE(decoded.ask.tier);

  turn.attempts.resize(2);
  turn.attempts[0].result.emplace();
  turn.attempts[1].plan.attempt = 1;
  turn.outcome.emplace();
  turn.ended_ms = 77;
  decoded = decode_turn(encode(turn, epoch)).value();
  ASSERT_EQ(decoded.attempts.size(), 2U);
  EXPECT_TRUE(decoded.attempts[0].result) << "a result of nothing but defaults is a result";
  EXPECT_FALSE(decoded.attempts[1].result);
  EXPECT_EQ(decoded.outcome, turn.outcome);
  EXPECT_EQ(decoded.ended_ms, 77);
}

TEST(Records, HoldTheLargestThatTheirLimitsAllow) {
  Random random(1);
  policy::AttemptPlan plan = tests::random_plan(random, static_cast<std::int32_t>(Limits::attempts_max) - 1);
  plan.prompt = tests::random_ids(random, Limits::prompt_ids_max);
  plan.passages = tests::random_passages(random, Limits::passages_max);
  plan.escalation.resize(Limits::rungs_max);
  expect_same(decode_plan(encode(plan, epoch)).value(), plan);

  policy::AttemptResult result;
  result.emissions.resize(Limits::emissions_max);
  result.emissions.back().ids = tests::random_ids(random, Limits::emission_ids_max);
  result.emissions.back().log_probabilities.resize(Limits::emission_ids_max, -1.5F);
  EXPECT_EQ(decode_result(encode(result, epoch)).value(), result);

  policy::Turn turn;
  turn.id = {.conversation = {.bytes = {255}}, .number = std::numeric_limits<std::uint32_t>::max()};
  turn.ask.question.assign(policy::Ask::question_bytes_max, 'q');
  turn.ask.idempotency_key.assign(policy::Ask::key_bytes_max, '\xff');
  turn.ask.seed = std::numeric_limits<std::uint64_t>::max();
  for (std::size_t i = 0; i < Limits::attempts_max; ++i)
    turn.attempts.emplace_back().plan.attempt = static_cast<std::int32_t>(i);
  expect_same(decode_turn(encode(turn, epoch)).value(), turn);
  const std::vector turns(Limits::turns_max, turn);
  EXPECT_EQ(decode_turns(encode(turns, epoch)).value().size(), Limits::turns_max);
  EXPECT_TRUE(decode_turns(encode(std::vector<policy::Turn>(), epoch)).value().empty());
}

TEST(Records, KeepTheBitsOfFloats) {
  for (const std::uint32_t bits : {0x7fc00001U, 0xffc12345U, 0x7fa00001U, 0x80000000U, 0x00000001U, 0x7f800000U, 0x3f800000U}) {
    policy::AttemptResult result;
    result.emissions.resize(1);
    result.emissions[0].ids = {1};
    result.emissions[0].log_probabilities = {std::bit_cast<float>(bits)};
    const auto wide = (static_cast<std::uint64_t>(bits) << 32) | 1U;
    result.confidence = std::bit_cast<double>(wide);
    const auto decoded = decode_result(encode(result, epoch)).value();
    EXPECT_EQ(std::bit_cast<std::uint32_t>(decoded.emissions[0].log_probabilities[0]), bits);
    EXPECT_EQ(std::bit_cast<std::uint64_t>(decoded.confidence), wide);
  }
}

TEST(Records, KnowTheEpochOfTheirWriter) {
  Random random(2);
  auto all = one_of_each(random);
  EXPECT_EQ(decode_epoch(all.back()).value(), 0U) << "a shadow, which no home writes";
  all.pop_back();
  for (const auto& bytes : all) EXPECT_EQ(decode_epoch(bytes).value(), epoch);
  EXPECT_EQ(decode_epoch(encode(summary_of(1), std::numeric_limits<std::uint64_t>::max())).value(),
            std::numeric_limits<std::uint64_t>::max());
}

TEST(Records, AreReadFromAnyAddress) {
  const auto summary = summary_of(1, "unaligned");
  for (std::size_t shift = 1; shift < 8; ++shift) {
    const std::string bytes = std::string(shift, 'x') + encode(summary, epoch);
    EXPECT_EQ(decode_summary(std::string_view(bytes).substr(shift)).value(), summary);
  }
}

TEST(Records, OfAnotherKindAreRefused) {
  Random random(3);
  const auto each = one_of_each(random);
  for (const auto& bytes : each) EXPECT_EQ(decoders_that_accept(bytes), 1);
  expect_refused(decode_plan(each[0]), ErrorCode::corrupt, {"kind 0", "expected a plan", "kind 2"});
  expect_refused(decode_turns(each[6]), ErrorCode::corrupt, {"a list of turns"});
}

TEST(Records, OfOtherVersionsAreRefused) {
  const auto of_version = [](std::uint16_t version) {
    return record_of([&](records::Record::Builder record) {
      record.initSummary().setVersion(1);
      record.setVersion(version);
    });
  };
  EXPECT_TRUE(decode_summary(of_version(records_version)));
  expect_refused(decode_summary(of_version(9)), ErrorCode::unsupported, {"version 9", "up to 1", "newer"});
  expect_refused(decode_epoch(of_version(9)), ErrorCode::unsupported, {"version 9"});
  expect_refused(decode_summary(of_version(0)), ErrorCode::corrupt, {"version 0"});
  expect_refused(decode_summary(std::string(64, '\0')), ErrorCode::corrupt, {});
}

TEST(Records, RefuseNonsense) {
  expect_refused(decode_plan(""), ErrorCode::corrupt, {"0 bytes"});
  expect_refused(decode_plan("seven.."), ErrorCode::corrupt, {"7 bytes", "words of 8"});
  expect_refused(decode_plan(std::string(8000, '\xff')), ErrorCode::corrupt, {});
  expect_refused(decode_plan(std::string(Limits::record_bytes_max + 8, 'x')), ErrorCode::too_large, {"16777224", "16777216"});
  expect_refused(decode_turns(std::string(Limits::turns_bytes_max + 8, 'x')), ErrorCode::too_large, {"67108864"});
  expect_refused(decode_summary(encode(summary_of(1), epoch) + "12345678"), ErrorCode::corrupt, {"after its end"});
}

TEST(Records, RefuseValuesThatNobodyWrites) {
  expect_refused(decode_conversation(record_of([](auto record) { record.initConversation(); })), ErrorCode::corrupt,
                 {"conversation.id", "zeroes"});
  const auto accepted = [](const std::function<void(records::Accepted::Builder)>& spoil) {
    return decode_accepted(record_of([&](records::Record::Builder record) {
      auto turn = record.initAccepted();
      turn.initConversation().setLow(1);
      turn.setNumber(1);
      spoil(turn);
    }));
  };
  EXPECT_TRUE(accepted([](auto) {}));
  expect_refused(accepted([](auto turn) { turn.setNumber(0); }), ErrorCode::corrupt, {"accepted.number", "from 1"});
  expect_refused(accepted([](auto turn) { turn.initAsk().setAssurance(static_cast<records::Assurance>(3)); }),
                 ErrorCode::corrupt, {"ask.assurance", "3"});
  expect_refused(accepted([](auto turn) { turn.initAsk().setPriority(static_cast<records::Priority>(9)); }), ErrorCode::corrupt,
                 {"ask.priority", "9"});
  expect_refused(accepted([](auto turn) { turn.initAsk().setGrounding(static_cast<records::Grounding>(65535)); }),
                 ErrorCode::corrupt, {"ask.grounding", "65535"});
  expect_refused(accepted([](auto turn) { turn.initAsk().getTier().setOnly(static_cast<records::Tier>(4)); }),
                 ErrorCode::corrupt, {"ask.tier", "4"});
  const std::string long_key(policy::Ask::key_bytes_max + 1, 'k');
  expect_refused(accepted([&](auto turn) { turn.initAsk().setIdempotencyKey(long_key.c_str()); }), ErrorCode::too_large,
                 {"ask.idempotency_key", "129", "128"});
  const std::string long_question(policy::Ask::question_bytes_max + 1, 'q');
  expect_refused(accepted([&](auto turn) { turn.initAsk().setQuestion(long_question.c_str()); }), ErrorCode::too_large,
                 {"ask.question"});
  for (const std::int32_t attempt : {-1, static_cast<std::int32_t>(Limits::attempts_max)}) {
    expect_refused(decode_plan(record_of([&](auto record) { record.initPlan().setAttempt(attempt); })), ErrorCode::corrupt,
                   {"plan.attempt", std::to_string(attempt)});
  }
  for (const double sum : {0.25, std::numeric_limits<double>::quiet_NaN()}) {
    expect_refused(decode_plan(record_of([&](auto record) { record.initPlan().setLogProbabilitySumMin(sum); })),
                   ErrorCode::corrupt, {"plan.log_probability_sum_min", "at most 0"});
  }
  expect_refused(decode_summary(record_of([](auto record) { record.initSummary(); })), ErrorCode::corrupt, {"summary.version"});
  expect_refused(decode_result(record_of([](auto record) {
                   auto emission = record.initResult().initEmissions(1)[0];
                   emission.initIds(2);
                   emission.initLogProbabilities(3);
                 })),
                 ErrorCode::corrupt, {"emission.log_probabilities", "3", "2"});
}

TEST(Records, RefuseListsThatAreTooLong) {
  const auto past = [](std::size_t size_max) { return static_cast<unsigned>(size_max + 1); };
  expect_refused(decode_plan(record_of([&](auto record) { record.initPlan().initPrompt(past(Limits::prompt_ids_max)); })),
                 ErrorCode::too_large, {"plan.prompt", "1048577", "1048576"});
  expect_refused(decode_plan(record_of([&](auto record) { record.initPlan().initPassages(past(Limits::passages_max)); })),
                 ErrorCode::too_large, {"plan.passages", "257"});
  expect_refused(decode_plan(record_of([&](auto record) { record.initPlan().initEscalation(past(Limits::rungs_max)); })),
                 ErrorCode::too_large, {"plan.escalation", "9"});
  expect_refused(decode_result(record_of([&](auto record) { record.initResult().initEmissions(past(Limits::emissions_max)); })),
                 ErrorCode::too_large, {"result.emissions", "8193"});
  expect_refused(decode_result(record_of(
                     [&](auto record) { record.initResult().initEmissions(1)[0].initIds(past(Limits::emission_ids_max)); })),
                 ErrorCode::too_large, {"emission.ids", "4097"});
  expect_refused(
      decode_ended(record_of([&](auto record) { record.initEnded().initOutcome().initCitations(past(Limits::passages_max)); })),
      ErrorCode::too_large, {"outcome.citations", "257"});
  expect_refused(decode_turn(record_of([&](auto record) {
                   auto turn = record.initTurn();
                   auto accepted = turn.initAccepted();
                   accepted.initConversation().setLow(1);
                   accepted.setNumber(1);
                   turn.initAttempts(past(Limits::attempts_max));
                 })),
                 ErrorCode::too_large, {"turn.attempts", "65"});
  expect_refused(decode_turns(record_of([&](auto record) { record.initTurns(past(Limits::turns_max)); })), ErrorCode::too_large,
                 {"turns", "257"});
}

/// One that says nothing but whose it is: what later versions add is read from it as its default.
TEST(Records, AShadowOfAnEarlierVersionIsRead) {
  const auto read = decode_shadow(record_of([](auto record) {
    auto shadow = record.initShadow();
    shadow.initConversation().setLow(1);
    shadow.setTurn(3);
  }));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->turn.number, 3U);
  EXPECT_EQ(read->client, policy::ShadowAnswer());
  EXPECT_EQ(read->fate, policy::ShadowFate::compared);
}

TEST(Records, AShadowThatContradictsItselfIsRefused) {
  const auto shadow_with = [](const std::function<void(records::Shadow::Builder)>& fill) {
    return decode_shadow(record_of([&](auto record) {
      auto shadow = record.initShadow();
      shadow.initConversation().setLow(1);
      shadow.setTurn(3);
      fill(shadow);
    }));
  };
  expect_refused(shadow_with([](auto shadow) { shadow.setTurn(0); }), ErrorCode::corrupt, {"shadow.turn"});
  expect_refused(shadow_with([](auto shadow) { shadow.initConversation(); }), ErrorCode::corrupt, {"names nothing"});
  expect_refused(shadow_with([](auto shadow) { shadow.setFate(static_cast<records::Shadow::Fate>(9)); }), ErrorCode::corrupt,
                 {"shadow.fate: 9"});
  expect_refused(shadow_with([](auto shadow) { shadow.initClient().initTiers(65); }), ErrorCode::too_large,
                 {"shadow.client.tiers", "65"});
  expect_refused(shadow_with([](auto shadow) { shadow.initShadow().initCitations(257); }), ErrorCode::too_large,
                 {"shadow.shadow.citations", "257"});
  expect_refused(shadow_with([](auto shadow) { shadow.initClient().initTiers(1).set(0, static_cast<records::Tier>(7)); }),
                 ErrorCode::corrupt, {"tier: 7"});
}

/// One long text that every element of a list points to would be copied once for each.
TEST(Records, ManyPointersToOneTextDoNotMultiplyIt) {
  constexpr unsigned emissions = 1000;
  constexpr std::size_t long_text = std::size_t{100} << 10;
  std::string bytes = record_of([&](records::Record::Builder record) {
    auto list = record.initResult().initEmissions(emissions);
    for (unsigned i = 0; i + 1 < emissions; ++i) list[i].setText("y");
    list[emissions - 1].setText(std::string(long_text, 'x').c_str());
  });
  ASSERT_TRUE(decode_result(bytes));

  // The record is one segment. A pointer to a text: 1 in the low two bits, then the words from its end to the text; then, in
  // the high half, 2 (bytes), and their number.
  std::vector<std::uint64_t> words(bytes.size() / 8);
  std::memcpy(words.data(), bytes.data(), bytes.size());
  const auto pointer = [&](std::size_t place, std::size_t text_bytes) {
    return (words[place] & 3U) == 1 && words[place] >> 32 == ((text_bytes + 1) << 3U | 2U);
  };
  std::size_t last = words.size() - 1;
  while (!pointer(last, long_text)) ASSERT_GT(last--, 0U);
  const std::size_t text = last + 1 + ((words[last] & 0xffffffffU) >> 2U);
  unsigned bent = 0;
  for (std::size_t place = 1; place < last; ++place) {
    if (!pointer(place, 1)) continue;
    words[place] = (words[last] >> 32) << 32 | (text - place - 1) << 2U | 1U;
    ++bent;
  }
  ASSERT_EQ(bent, emissions - 1);
  std::memcpy(bytes.data(), words.data(), bytes.size());
  expect_refused(decode_result(bytes), ErrorCode::corrupt, {"limit"});
}

TEST(Records, ComeBackWhateverTheyHold) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const policy::TurnId id{.conversation = tests::random_name<policy::ConversationId>(random), .number = random.next() | 1U};
    const ConversationRecord conversation{.id = id.conversation,
                                          .created_ms = static_cast<std::int64_t>(tests::random_word(random)),
                                          .turns = random.next(),
                                          .summary_version = random.next()};
    EXPECT_EQ(decode_conversation(encode(conversation, epoch)).value(), conversation);
    const auto turn = tests::random_turn(random, id);
    const auto decoded = decode_turn(encode(turn, epoch)).value();
    expect_same(decoded, turn);
    EXPECT_EQ(decoded.id, turn.id);
    EXPECT_EQ(decoded.ask.question, turn.ask.question);
    EXPECT_EQ(decoded.attempts.size(), turn.attempts.size());
    EXPECT_EQ(decoded.search, turn.search);
    EXPECT_EQ(decoded.retrieval_confidence, turn.retrieval_confidence);
    EXPECT_EQ(decoded.kind_confidence, turn.kind_confidence);
    EXPECT_EQ(decoded.kind_said, turn.kind_said);
    EXPECT_EQ(encode_accepted(decode_accepted(encode_accepted(turn, epoch)).value(), epoch), encode_accepted(turn, epoch));
    const auto plan = tests::random_plan(random, 5);
    expect_same(decode_plan(encode(plan, epoch)).value(), plan);
    const auto result = tests::random_result(random);
    expect_same(decode_result(encode(result, epoch)).value(), result);
    const EndedTurn ended{.outcome = tests::random_outcome(random), .ended_ms = -1, .kind = turn.kind, .search = turn.search};
    expect_same(decode_ended(encode(ended, epoch)).value(), ended);
    const auto summary = tests::random_summary(random, random.next() | 1U);
    EXPECT_EQ(decode_summary(encode(summary, epoch)).value(), summary);
    const std::vector<policy::FoundPassage> found{
        {{tests::random_text(random), tests::random_text(random)}, tests::random_text(random)}, {}};
    EXPECT_EQ(decode_found(encode_found(found, epoch)).value(), found);
    const auto pins = tests::random_pins(random);
    EXPECT_EQ(decode_pins(encode(pins, epoch)).value(), pins);
    const std::vector turns{turn, tests::random_turn(random, id)};
    const auto list = decode_turns(encode(turns, epoch)).value();
    ASSERT_EQ(list.size(), 2U);
    expect_same(list[1], turns[1]);
    const auto shadow = tests::random_shadow(random, id);
    const auto decoded_shadow = decode_shadow(encode(shadow)).value();
    EXPECT_EQ(encode(decoded_shadow), encode(shadow));
    EXPECT_EQ(decoded_shadow.turn, id);
    EXPECT_EQ(decoded_shadow.shadow.text, shadow.shadow.text);
    EXPECT_EQ(decoded_shadow.client.citations, shadow.client.citations);
    EXPECT_EQ(decoded_shadow.why, shadow.why);
  }
}

TEST(Records, CutAnywhereAreRefused) {
  Random random(4);
  for (const auto& bytes : one_of_each(random)) {
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      ASSERT_EQ(decoders_that_accept(std::string_view(bytes).substr(0, size)), 0) << size << " bytes of " << bytes.size();
    }
  }
}

TEST(Records, ChangedAnywhereAreReadOrRefused) {
  int refused = 0;
  for (std::uint64_t seed = 0; seed < 600; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    for (std::string bytes : one_of_each(random)) {
      for (auto flips = random.between(1, 8); flips > 0; --flips) {
        bytes[random.below(bytes.size())] ^= static_cast<char>(1U << random.below(8));
      }
      const int accepting = decoders_that_accept(bytes);
      ASSERT_LE(accepting, 1);
      refused += accepting == 0 ? 1 : 0;
    }
  }
  EXPECT_GT(refused, 500) << "of 5400";
}

TEST(RecordsDeathTest, WhatNobodyCouldReadIsNotWritten) {
  policy::AttemptPlan plan;
  plan.prompt.resize(Limits::prompt_ids_max + 1);
  EXPECT_DEATH(encode(plan, epoch), "within RecordLimits");
  policy::AttemptResult result;
  result.emissions.resize(1);
  result.emissions[0].ids = {1};
  EXPECT_DEATH(encode(result, epoch), "has its probability");
  const auto summary = summary_of(1, std::string(Limits::record_bytes_max, 'x'));
  EXPECT_DEATH(encode(summary, epoch), "within RecordLimits");
}

}  // namespace
}  // namespace troupe::schemas
