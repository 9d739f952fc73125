// Random values of what is kept of a conversation, within the limits of a record: empty ones, long ones, and floats of any
// bits.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.hpp"
#include "policy/pins.hpp"
#include "policy/shadow_record.hpp"
#include "policy/turn.hpp"

namespace troupe::tests {

inline std::uint64_t random_word(Random& random) {
  const std::uint64_t high = random.next();
  return high << 32 | random.next();
}
inline std::int32_t random_int(Random& random) { return static_cast<std::int32_t>(random.next()); }
/// Infinities, NaNs and what has no name included.
inline float random_float(Random& random) { return std::bit_cast<float>(random.next()); }
inline double random_double(Random& random) { return std::bit_cast<double>(random_word(random)); }

/// Any bytes, zeroes too; often none.
inline std::string random_text(Random& random, std::uint64_t bytes_max = 40) {
  std::string text(random.chance(0.3F) ? 0 : random.below(bytes_max + 1), '\0');
  for (char& byte : text) byte = static_cast<char>(random.next());
  return text;
}

template <class Name>
Name random_name(Random& random) {
  Name name;
  for (auto& byte : name.bytes) byte = static_cast<std::uint8_t>(random.next());
  name.bytes[0] |= 1;  // not the name of nothing
  return name;
}

inline policy::Tier random_tier(Random& random) { return policy::tiers[random.below(policy::tiers.size())]; }
inline policy::ModelClass random_model(Random& random) {
  return {.fingerprint = random_text(random), .numeric_class = random_text(random)};
}
inline policy::Sampling random_sampling(Random& random) {
  return {.temperature = random_float(random),
          .top_k = random_int(random),
          .top_p = random_float(random),
          .min_p = random_float(random)};
}
inline policy::TokenIds random_ids(Random& random, std::uint64_t count) {
  policy::TokenIds ids(count);
  for (auto& id : ids) id = random_int(random);
  return ids;
}
inline std::vector<policy::Passage> random_passages(Random& random, std::uint64_t count) {
  std::vector<policy::Passage> passages(count);
  for (auto& passage : passages) passage = {.section = random_text(random), .name = random_text(random)};
  return passages;
}

inline policy::Ask random_ask(Random& random) {
  policy::Ask ask;
  ask.idempotency_key = random_text(random, policy::Ask::key_bytes_max);
  ask.question = random_text(random, 300);
  ask.assurance = static_cast<policy::Assurance>(random.below(3));
  ask.priority = static_cast<policy::Priority>(random.below(3));
  ask.grounding = static_cast<policy::Grounding>(random.below(3));
  if (random.chance(0.5F)) ask.tier = random_tier(random);
  ask.sampling = random_sampling(random);
  if (random.chance(0.5F)) ask.seed = random_word(random);
  ask.tokens_max = random_int(random);
  ask.deadline_ms = static_cast<std::int64_t>(random_word(random));
  ask.latency_budget_ms = static_cast<std::int64_t>(random_word(random));
  ask.keep_if_unread = random.chance(0.5F);
  ask.tenant = random_text(random, policy::Ask::tenant_bytes_max);
  return ask;
}

inline std::vector<policy::MemoryEntry> random_entries(Random& random) {
  std::vector<policy::MemoryEntry> entries(random.below(4));
  for (auto& entry : entries) entry = {random_text(random), random_text(random), random.next()};
  return entries;
}

inline policy::Pins random_pins(Random& random) {
  policy::Pins pins{random.next(), {}};
  for (auto left = random.below(4); left > 0; --left) pins.texts.push_back("p" + random_text(random));  // none is empty
  return pins;
}

inline policy::AttemptPlan random_plan(Random& random, std::int32_t attempt) {
  policy::AttemptPlan plan;
  plan.attempt = attempt;
  plan.event_number = random_word(random);
  plan.tier = random_tier(random);
  plan.why = random_text(random);
  plan.rule = random_text(random);
  plan.model = random_model(random);
  plan.prompt = random_ids(random, random.below(100));
  plan.sampling = random_sampling(random);
  plan.seed = random_word(random);
  plan.tokens_max = random_int(random);
  plan.confidence_min = random_double(random);
  plan.uncited_min = random_double(random);
  if (random.chance(0.5F)) plan.log_probability_sum_min = -100.0 * static_cast<double>(random.uniform());
  for (auto left = random.below(4); left > 0; --left) {
    plan.escalation.push_back({random_tier(random), random_double(random), random.chance(0.5F)});
  }
  plan.held_back = random.chance(0.5F);
  plan.task = random_text(random);
  plan.summary_version = random.next();
  plan.first_turn = random.next();
  plan.passages = random_passages(random, random.below(6));
  plan.corpus_version = random_text(random);
  plan.second_opinion = random.chance(0.5F);
  for (auto left = random.below(4); left > 0; --left) plan.messages.push_back({random_text(random), random_text(random)});
  plan.context_tokens = random_int(random);
  plan.price = {random_double(random), random_double(random)};
  plan.pins_version = random.next();
  plan.recalled = random_entries(random);
  for (auto left = random.below(4); left > 0; --left) plan.left_out.push_back({random_text(random), random_text(random)});
  return plan;
}

inline policy::AttemptResult random_result(Random& random) {
  policy::AttemptResult result;
  result.emissions.resize(random.below(8));
  for (auto& emission : result.emissions) {
    emission.first_index = random_int(random);
    emission.ids = random_ids(random, random.below(5));
    for (std::size_t i = 0; i < emission.ids.size(); ++i) emission.log_probabilities.push_back(random_float(random));
    emission.text = random_text(random);
  }
  result.finish_reason = random_text(random);
  result.confidence = random_double(random);
  result.prompt_tokens = random_int(random);
  result.reused_tokens = random_int(random);
  result.generated_tokens = random_int(random);
  result.seconds = random_double(random);
  result.node = random_text(random);
  result.active_parameters = random_word(random);
  result.superseded_why = random_text(random);
  result.failed_check = random_text(random);
  result.cost = random_double(random);
  return result;
}

inline policy::TurnOutcome random_outcome(Random& random) {
  policy::TurnOutcome outcome;
  outcome.committed = random.chance(0.5F);
  outcome.answer = random_text(random, 300);
  outcome.citations = random_passages(random, random.below(6));
  outcome.attempt = random_int(random);
  outcome.confidence = random_double(random);
  outcome.confident = random.chance(0.5F);
  outcome.code = random_text(random);
  outcome.message = random_text(random);
  outcome.doubt = random_text(random);
  outcome.rule = random_text(random);
  return outcome;
}

inline std::vector<policy::StageEntry> random_stages(Random& random) {
  std::vector<policy::StageEntry> stages(random.below(5));
  for (auto& entry : stages) {
    entry.stage = policy::stages[random.below(policy::stages.size())];
    entry.attempt = random_int(random);
    entry.prompt_tokens = random_int(random);
    entry.answer_tokens = random_int(random);
    entry.milliseconds = static_cast<std::int64_t>(random_word(random));
    entry.trouble = static_cast<policy::Trouble>(random.below(5));
    entry.fallback = static_cast<policy::Fallback>(random.below(10));
    entry.why = random_text(random);
  }
  return stages;
}

/// Accepted, and no more.
inline policy::Turn random_accepted(Random& random, policy::TurnId id) {
  policy::Turn turn;
  turn.id = id;
  turn.ask = random_ask(random);
  turn.accepted_ms = static_cast<std::int64_t>(random_word(random));
  turn.kind = random_text(random);
  turn.search = random_text(random);
  if (random.chance(0.5F)) turn.retrieval_confidence = static_cast<double>(random.uniform());
  if (random.chance(0.5F)) turn.kind_confidence = static_cast<double>(random.uniform());
  turn.kind_said = random_text(random);
  turn.stages = random_stages(random);
  return turn;
}

inline policy::Turn random_turn(Random& random, policy::TurnId id) {
  policy::Turn turn = random_accepted(random, id);
  for (auto left = random.below(4); left > 0; --left) {
    policy::Attempt attempt;
    attempt.plan = random_plan(random, static_cast<std::int32_t>(turn.attempts.size()));
    if (random.chance(0.7F)) attempt.result = random_result(random);
    turn.attempts.push_back(std::move(attempt));
  }
  if (random.chance(0.5F)) {
    turn.outcome = random_outcome(random);
    turn.ended_ms = static_cast<std::int64_t>(random_word(random));
  }
  return turn;
}

inline policy::Summary random_summary(Random& random, std::uint32_t version) {
  return {.version = version,
          .first_turn = random.next(),
          .last_turn = random.next(),
          .text = random_text(random, 300),
          .tier = random_tier(random),
          .model = random_model(random),
          .turns = {random.next(), random.next()},
          .retired = random_entries(random),
          .withdrawn = random_entries(random)};
}

inline policy::ShadowAnswer random_shadow_answer(Random& random) {
  policy::ShadowAnswer answer;
  for (auto tiers = random.below(4); tiers > 0; --tiers) answer.tiers.push_back(random_tier(random));
  answer.text = random_text(random, 300);
  for (auto citations = random.below(4); citations > 0; --citations) answer.citations.push_back(random_text(random));
  answer.confidence = random_double(random);
  answer.confident = random.chance(0.5F);
  answer.doubt = random_text(random);
  answer.failed_check = random_text(random);
  answer.cost = random_double(random);
  answer.computed = random_double(random);
  answer.engine_ms = static_cast<std::int64_t>(random_word(random));
  answer.whole_ms = static_cast<std::int64_t>(random_word(random));
  return answer;
}

inline policy::ShadowRecord random_shadow(Random& random, policy::TurnId turn) {
  policy::ShadowRecord record;
  record.experiment = random_text(random);
  record.turn = turn;
  record.at_ms = static_cast<std::int64_t>(random_word(random));
  record.question = random_text(random);
  record.fate = static_cast<policy::ShadowFate>(random.below(3));
  record.why = random_text(random);
  record.client = random_shadow_answer(random);
  record.shadow = random_shadow_answer(random);
  record.same_text = random.chance(0.5F);
  record.same_citations = random.chance(0.5F);
  record.same_values = random.chance(0.5F);
  return record;
}

}  // namespace troupe::tests
