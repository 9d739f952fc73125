// Turns with their attempts.
#include <utility>

#include "schemas/client_codec.hpp"
#include "schemas/client_codec_parts.hpp"

namespace troupe::schemas {

using parts::read_numbers;
using parts::read_tier;
using parts::text;
using parts::write_enum;

namespace {

unsigned size_of(const auto& values) { return static_cast<unsigned>(values.size()); }

void write_passages(capnp::List<client::Passage>::Builder to, const std::vector<policy::Passage>& passages) {
  for (unsigned i = 0; i < to.size(); ++i) {
    to[i].setSection(text(passages[i].section));
    to[i].setName(text(passages[i].name));
  }
}

Result<std::vector<policy::Passage>> read_passages(capnp::List<client::Passage>::Reader from) {
  if (from.size() > ClientLimits::passages) return parts::too_many("passages", from.size(), ClientLimits::passages);
  std::vector<policy::Passage> passages;
  for (const auto passage : from) passages.push_back({text(passage.getSection()), text(passage.getName())});
  return passages;
}

void write_plan(client::AttemptPlan::Builder to, const policy::AttemptPlan& plan, TurnDetail detail) {
  to.setAttempt(plan.attempt);
  to.setEventNumber(plan.event_number);
  to.setTier(write_enum<client::Tier>(plan.tier));
  to.setWhy(text(plan.why));
  to.setRule(text(plan.rule));
  parts::write(to.initModel(), plan.model);
  if (detail == TurnDetail::tokens) parts::write_numbers(to.initPrompt(size_of(plan.prompt)), plan.prompt);
  parts::write(to.initSampling(), plan.sampling);
  to.setSeed(plan.seed);
  to.setTokensMax(plan.tokens_max);
  to.setConfidenceMin(plan.confidence_min);
  to.setHeldBack(plan.held_back);
  to.setTask(text(plan.task));
  to.setSummaryVersion(plan.summary_version);
  to.setFirstTurn(plan.first_turn);
  write_passages(to.initPassages(size_of(plan.passages)), plan.passages);
  to.setCorpusVersion(text(plan.corpus_version));
  auto rungs = to.initEscalation(size_of(plan.escalation));
  for (unsigned i = 0; i < rungs.size(); ++i) {
    rungs[i].setTier(write_enum<client::Tier>(plan.escalation[i].tier));
    rungs[i].setConfidenceMin(plan.escalation[i].confidence_min);
    rungs[i].setSecondOpinion(plan.escalation[i].second_opinion);
    rungs[i].setUncitedMin(plan.escalation[i].uncited_min);
  }
  to.setSecondOpinion(plan.second_opinion);
  to.setUncitedMin(plan.uncited_min);
  to.setLogProbabilitySumMin(plan.log_probability_sum_min);
  if (detail == TurnDetail::tokens) {
    auto messages = to.initMessages(size_of(plan.messages));
    for (unsigned i = 0; i < messages.size(); ++i) {
      messages[i].setRole(text(plan.messages[i].role));
      messages[i].setContent(text(plan.messages[i].content));
    }
  }
  to.setContextTokens(plan.context_tokens);
  auto price = to.initPrice();
  price.setPromptMillion(plan.price.prompt_million);
  price.setAnswerMillion(plan.price.answer_million);
  parts::write_context(to, plan);
}

Result<policy::AttemptPlan> read_plan(client::AttemptPlan::Reader from) {
  policy::AttemptPlan plan;
  plan.attempt = from.getAttempt();
  plan.event_number = from.getEventNumber();
  TROUPE_TRY(plan.tier, read_tier(from.getTier()));
  plan.why = text(from.getWhy());
  plan.rule = text(from.getRule());
  plan.model = parts::read(from.getModel());
  TROUPE_TRY(plan.prompt, read_numbers<std::int32_t>(from.getPrompt(), ClientLimits::tokens, "the prompt of an attempt"));
  plan.sampling = parts::read(from.getSampling());
  plan.seed = from.getSeed();
  plan.tokens_max = from.getTokensMax();
  plan.confidence_min = from.getConfidenceMin();
  plan.held_back = from.getHeldBack();
  plan.task = text(from.getTask());
  plan.summary_version = from.getSummaryVersion();
  plan.first_turn = from.getFirstTurn();
  TROUPE_TRY(plan.passages, read_passages(from.getPassages()));
  plan.corpus_version = text(from.getCorpusVersion());
  const auto rungs = from.getEscalation();
  if (rungs.size() > ClientLimits::rungs) return parts::too_many("the escalation of a plan", rungs.size(), ClientLimits::rungs);
  for (const auto rung : rungs) {
    TROUPE_TRY(const policy::Tier tier, read_tier(rung.getTier()));
    plan.escalation.push_back({tier, rung.getConfidenceMin(), rung.getSecondOpinion(), rung.getUncitedMin()});
  }
  plan.second_opinion = from.getSecondOpinion();
  plan.uncited_min = from.getUncitedMin();
  plan.log_probability_sum_min = from.getLogProbabilitySumMin();
  const auto messages = from.getMessages();
  if (messages.size() > ClientLimits::messages)
    return parts::too_many("the messages of a plan", messages.size(), ClientLimits::messages);
  for (const auto message : messages) plan.messages.push_back({text(message.getRole()), text(message.getContent())});
  plan.context_tokens = from.getContextTokens();
  plan.price = {from.getPrice().getPromptMillion(), from.getPrice().getAnswerMillion()};
  TROUPE_TRY_DO(parts::read_context(from, plan));
  return plan;
}

void write_emission(client::Emission::Builder to, const policy::Emission& emission) {
  to.setFirstIndex(emission.first_index);
  parts::write_numbers(to.initIds(size_of(emission.ids)), emission.ids);
  parts::write_numbers(to.initLogProbabilities(size_of(emission.log_probabilities)), emission.log_probabilities);
  to.setText(text(emission.text));
}

Result<policy::Emission> read_emission(client::Emission::Reader from) {
  policy::Emission emission;
  emission.first_index = from.getFirstIndex();
  TROUPE_TRY(emission.ids, read_numbers<std::int32_t>(from.getIds(), ClientLimits::tokens, "the ids of an emission"));
  TROUPE_TRY(emission.log_probabilities,
             read_numbers<float>(from.getLogProbabilities(), ClientLimits::tokens, "the log-probabilities of an emission"));
  emission.text = text(from.getText());
  return emission;
}

void write_result(client::AttemptResult::Builder to, const policy::AttemptResult& result, TurnDetail detail) {
  if (detail == TurnDetail::tokens) {
    auto emissions = to.initEmissions(size_of(result.emissions));
    for (unsigned i = 0; i < emissions.size(); ++i) write_emission(emissions[i], result.emissions[i]);
  }
  to.setFinishReason(text(result.finish_reason));
  to.setConfidence(result.confidence);
  to.setPromptTokens(result.prompt_tokens);
  to.setReusedTokens(result.reused_tokens);
  to.setGeneratedTokens(result.generated_tokens);
  to.setSeconds(result.seconds);
  to.setNode(text(result.node));
  to.setActiveParameters(result.active_parameters);
  to.setSupersededWhy(text(result.superseded_why));
  to.setFailedCheck(text(result.failed_check));
  to.setCost(result.cost);
}

Result<policy::AttemptResult> read_result(client::AttemptResult::Reader from) {
  policy::AttemptResult result;
  const auto emissions = from.getEmissions();
  if (emissions.size() > ClientLimits::emissions)
    return parts::too_many("the emissions of an attempt", emissions.size(), ClientLimits::emissions);
  for (const auto each : emissions) {
    TROUPE_TRY(auto emission, read_emission(each));
    result.emissions.push_back(std::move(emission));
  }
  result.finish_reason = text(from.getFinishReason());
  result.confidence = from.getConfidence();
  result.prompt_tokens = from.getPromptTokens();
  result.reused_tokens = from.getReusedTokens();
  result.generated_tokens = from.getGeneratedTokens();
  result.seconds = from.getSeconds();
  result.node = text(from.getNode());
  result.active_parameters = from.getActiveParameters();
  result.superseded_why = text(from.getSupersededWhy());
  result.failed_check = text(from.getFailedCheck());
  result.cost = from.getCost();
  return result;
}

Result<policy::Attempt> read_attempt(client::Attempt::Reader from) {
  policy::Attempt attempt;
  TROUPE_TRY(attempt.plan, read_plan(from.getPlan()));
  if (from.hasResult()) {
    TROUPE_TRY(attempt.result, read_result(from.getResult()));
  }
  return attempt;
}

}  // namespace

void parts::write(client::ModelClass::Builder to, const policy::ModelClass& model) {
  to.setFingerprint(text(model.fingerprint));
  to.setNumericClass(text(model.numeric_class));
}

policy::ModelClass parts::read(client::ModelClass::Reader from) {
  return {text(from.getFingerprint()), text(from.getNumericClass())};
}

void parts::write(client::TurnOutcome::Builder to, const policy::TurnOutcome& outcome) {
  to.setCommitted(outcome.committed);
  to.setAnswer(text(outcome.answer));
  write_passages(to.initCitations(size_of(outcome.citations)), outcome.citations);
  to.setAttempt(outcome.attempt);
  to.setConfidence(outcome.confidence);
  to.setConfident(outcome.confident);
  to.setDoubt(text(outcome.doubt));
  to.setRule(text(outcome.rule));
  if (outcome.code.empty() && outcome.message.empty()) return;
  auto failure = to.initFailure();
  failure.setCode(text(outcome.code));
  failure.setMessage(text(outcome.message));
}

Result<policy::TurnOutcome> parts::read(client::TurnOutcome::Reader from) {
  policy::TurnOutcome outcome;
  outcome.committed = from.getCommitted();
  outcome.answer = text(from.getAnswer());
  TROUPE_TRY(outcome.citations, read_passages(from.getCitations()));
  outcome.attempt = from.getAttempt();
  outcome.confidence = from.getConfidence();
  outcome.confident = from.getConfident();
  outcome.doubt = text(from.getDoubt());
  outcome.rule = text(from.getRule());
  outcome.code = text(from.getFailure().getCode());
  outcome.message = text(from.getFailure().getMessage());
  return outcome;
}

void write(client::Turn::Builder to, const policy::Turn& turn, TurnDetail detail) {
  to.setConversation(bytes_of(turn.id.conversation));
  to.setNumber(turn.id.number);
  write(to.initAsk(), turn.ask);
  to.setAcceptedMs(turn.accepted_ms);
  auto attempts = to.initAttempts(size_of(turn.attempts));
  for (unsigned i = 0; i < attempts.size(); ++i) {
    const policy::Attempt& attempt = turn.attempts[i];
    write_plan(attempts[i].initPlan(), attempt.plan, detail);
    if (attempt.result) write_result(attempts[i].initResult(), *attempt.result, detail);
  }
  if (turn.outcome) parts::write(to.initOutcome(), *turn.outcome);
  to.setEndedMs(turn.ended_ms);
  to.setKind(text(turn.kind));
  to.setSearch(text(turn.search));
  to.setRetrievalConfidence(turn.retrieval_confidence.value_or(-1));
  to.setKindConfidence(turn.kind_confidence.value_or(-1));
  to.setKindSaid(text(turn.kind_said));
  auto stages = to.initStages(size_of(turn.stages));
  for (unsigned i = 0; i < stages.size(); ++i) parts::write(stages[i], turn.stages[i]);
}

Result<policy::Turn> read(client::Turn::Reader from) {
  policy::Turn turn;
  TROUPE_TRY(turn.id.conversation, read_conversation(from.getConversation()));
  turn.id.number = from.getNumber();
  TROUPE_TRY(turn.ask, read(from.getAsk()));
  turn.accepted_ms = from.getAcceptedMs();
  const auto attempts = from.getAttempts();
  if (attempts.size() > ClientLimits::attempts)
    return parts::too_many("the attempts of a turn", attempts.size(), ClientLimits::attempts);
  for (const auto each : attempts) {
    TROUPE_TRY(auto attempt, read_attempt(each));
    turn.attempts.push_back(std::move(attempt));
  }
  if (from.hasOutcome()) {
    TROUPE_TRY(turn.outcome, parts::read(from.getOutcome()));
  }
  turn.ended_ms = from.getEndedMs();
  turn.kind = text(from.getKind());
  turn.search = text(from.getSearch());
  if (const double confidence = from.getRetrievalConfidence(); confidence >= 0 && confidence <= 1) {
    turn.retrieval_confidence = confidence;
  }
  if (const double confidence = from.getKindConfidence(); confidence >= 0 && confidence <= 1) turn.kind_confidence = confidence;
  turn.kind_said = text(from.getKindSaid());
  const auto stages = from.getStages();
  if (stages.size() > ClientLimits::stages) return parts::too_many("the stages of a turn", stages.size(), ClientLimits::stages);
  for (const auto each : stages) {
    TROUPE_TRY(auto entry, parts::read(each));
    turn.stages.push_back(std::move(entry));
  }
  return turn;
}

}  // namespace troupe::schemas
