#include "schemas/records_codec.hpp"

#include <utility>

#include "base/check.hpp"

namespace troupe::schemas {

namespace {

using Limits = RecordLimits;

// Numbers of enums are the same on both sides, so that a cast between them is right.
static_assert(static_cast<int>(policy::Tier::heavy) == static_cast<int>(records::Tier::HEAVY));
static_assert(static_cast<int>(policy::Assurance::high) == static_cast<int>(records::Assurance::HIGH));
static_assert(static_cast<int>(policy::Priority::batch) == static_cast<int>(records::Priority::BATCH));
static_assert(static_cast<int>(policy::Grounding::always) == static_cast<int>(records::Grounding::ALWAYS));
constexpr std::uint16_t tiers = 3;
constexpr std::uint16_t assurances = 3;
constexpr std::uint16_t priorities = 3;
constexpr std::uint16_t groundings = 3;

Error corrupt(std::string_view field, const std::string& what) {
  return {ErrorCode::corrupt, std::string(field) + ": " + what + "; the record is damaged"};
}

Result<void> named(std::string_view field, Result<void> done) {
  if (!done) return std::move(done).error().within(field);
  return {};
}

kj::StringPtr text(const std::string& value) { return {value.c_str(), value.size()}; }
std::string text(capnp::Text::Reader value) { return {value.begin(), value.size()}; }

template <class Plain, class Wire>
Result<void> choose(Wire wire, std::uint16_t count, std::string_view field, Plain& value) {
  const auto number = static_cast<std::uint16_t>(wire);
  if (number >= count) return corrupt(field, std::to_string(number) + ", known are 0 to " + std::to_string(count - 1));
  value = static_cast<Plain>(number);
  return {};
}

/// A list's length must be bearable before anything is allocated for it.
Result<void> check_length(std::size_t size, std::size_t size_max, std::string_view field) {
  if (size <= size_max) return {};
  return Error{ErrorCode::too_large, std::string(field) + ": a list of " + std::to_string(size) + ", at most " +
                                         std::to_string(size_max) + " are read; the record is damaged"};
}
unsigned bounded(std::size_t size, std::size_t size_max) {
  TROUPE_CHECK(size <= size_max, "lists are within RecordLimits before they are kept");
  return static_cast<unsigned>(size);
}

Result<void> check_attempt(std::int32_t attempt, std::string_view field) {
  if (attempt >= 0 && static_cast<std::size_t>(attempt) < Limits::attempts_max) return {};
  return corrupt(field,
                 std::to_string(attempt) + ", attempts are numbered from 0 to " + std::to_string(Limits::attempts_max - 1));
}

void write_list(const policy::TokenIds& ids, capnp::List<std::int32_t>::Builder out) {
  for (unsigned i = 0; i < out.size(); ++i) out.set(i, ids[i]);
}
Result<void> read_list(capnp::List<std::int32_t>::Reader in, std::size_t size_max, std::string_view field,
                       policy::TokenIds& ids) {
  TROUPE_TRY_DO(check_length(in.size(), size_max, field));
  ids.resize(in.size());
  for (unsigned i = 0; i < in.size(); ++i) ids[i] = in[i];
  return {};
}

void write_list(const std::vector<policy::Passage>& passages, capnp::List<records::Passage>::Builder out) {
  for (unsigned i = 0; i < out.size(); ++i) write(passages[i], out[i]);
}
Result<void> read_list(capnp::List<records::Passage>::Reader in, std::string_view field,
                       std::vector<policy::Passage>& passages) {
  TROUPE_TRY_DO(check_length(in.size(), Limits::passages_max, field));
  passages.resize(in.size());
  for (unsigned i = 0; i < in.size(); ++i) TROUPE_TRY_DO(read(in[i], passages[i]));
  return {};
}

}  // namespace

records::Tier to_wire(policy::Tier tier) { return static_cast<records::Tier>(tier); }
Result<void> read(records::Tier wire, policy::Tier& tier) { return choose(wire, tiers, "tier", tier); }

records::Priority to_wire(policy::Priority priority) { return static_cast<records::Priority>(priority); }
Result<void> read(records::Priority wire, policy::Priority& priority) { return choose(wire, priorities, "priority", priority); }

namespace detail {
void write_name(const std::array<std::uint8_t, 16>& bytes, records::Name128::Builder out) {
  std::array<std::uint64_t, 2> words{};
  for (std::size_t i = 0; i < bytes.size(); ++i) words[i / 8] |= std::uint64_t{bytes[i]} << (8 * (i % 8));
  out.setLow(words[0]);
  out.setHigh(words[1]);
}
Result<void> read_name(records::Name128::Reader in, std::array<std::uint8_t, 16>& bytes) {
  const std::array<std::uint64_t, 2> words{in.getLow(), in.getHigh()};
  if (words[0] == 0 && words[1] == 0) return corrupt("name", "all zeroes, which names nothing");
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(words[i / 8] >> (8 * (i % 8)));
  return {};
}
}  // namespace detail

void write(const policy::Passage& passage, records::Passage::Builder out) {
  out.setSection(text(passage.section));
  out.setName(text(passage.name));
}
Result<void> read(records::Passage::Reader in, policy::Passage& passage) {
  passage.section = text(in.getSection());
  passage.name = text(in.getName());
  return {};
}

void write(const policy::Sampling& sampling, records::Sampling::Builder out) {
  out.setTemperature(sampling.temperature);
  out.setTopK(sampling.top_k);
  out.setTopP(sampling.top_p);
  out.setMinP(sampling.min_p);
}
Result<void> read(records::Sampling::Reader in, policy::Sampling& sampling) {
  sampling = {.temperature = in.getTemperature(), .top_k = in.getTopK(), .top_p = in.getTopP(), .min_p = in.getMinP()};
  return {};
}

void write(const policy::ModelClass& model, records::ModelClass::Builder out) {
  out.setFingerprint(text(model.fingerprint));
  out.setNumericClass(text(model.numeric_class));
}
Result<void> read(records::ModelClass::Reader in, policy::ModelClass& model) {
  model = {.fingerprint = text(in.getFingerprint()), .numeric_class = text(in.getNumericClass())};
  return {};
}

void write(const policy::Ask& ask, records::Ask::Builder out) {
  TROUPE_CHECK(
      ask.question.size() <= policy::Ask::question_bytes_max && ask.idempotency_key.size() <= policy::Ask::key_bytes_max,
      "check_ask has seen what is accepted");
  out.setIdempotencyKey(text(ask.idempotency_key));
  out.setQuestion(text(ask.question));
  out.setAssurance(static_cast<records::Assurance>(ask.assurance));
  out.setPriority(to_wire(ask.priority));
  out.setGrounding(static_cast<records::Grounding>(ask.grounding));
  if (ask.tier) out.getTier().setOnly(to_wire(*ask.tier));
  write(ask.sampling, out.initSampling());
  if (ask.seed) out.getSeed().setValue(*ask.seed);
  out.setTokensMax(ask.tokens_max);
  out.setDeadlineMs(ask.deadline_ms);
  out.setLatencyBudgetMs(ask.latency_budget_ms);
  out.setKeepIfUnread(ask.keep_if_unread);
  out.setTenant(text(ask.tenant));
}
Result<void> read(records::Ask::Reader in, policy::Ask& ask) {
  const auto key = in.getIdempotencyKey();
  const auto question = in.getQuestion();
  TROUPE_TRY_DO(check_length(key.size(), policy::Ask::key_bytes_max, "ask.idempotency_key"));
  TROUPE_TRY_DO(check_length(question.size(), policy::Ask::question_bytes_max, "ask.question"));
  ask.idempotency_key = text(key);
  ask.question = text(question);
  TROUPE_TRY_DO(choose(in.getAssurance(), assurances, "ask.assurance", ask.assurance));
  TROUPE_TRY_DO(choose(in.getPriority(), priorities, "ask.priority", ask.priority));
  TROUPE_TRY_DO(choose(in.getGrounding(), groundings, "ask.grounding", ask.grounding));
  switch (const auto tier = in.getTier(); tier.which()) {
    case records::Ask::Tier::ANY: ask.tier.reset(); break;
    case records::Ask::Tier::ONLY: TROUPE_TRY_DO(choose(tier.getOnly(), tiers, "ask.tier", ask.tier.emplace())); break;
    default: return corrupt("ask.tier", "neither any nor one");
  }
  TROUPE_TRY_DO(read(in.getSampling(), ask.sampling));
  switch (const auto seed = in.getSeed(); seed.which()) {
    case records::Ask::Seed::NONE: ask.seed.reset(); break;
    case records::Ask::Seed::VALUE: ask.seed = seed.getValue(); break;
    default: return corrupt("ask.seed", "neither none nor a value");
  }
  ask.tokens_max = in.getTokensMax();
  ask.deadline_ms = in.getDeadlineMs();
  ask.latency_budget_ms = in.getLatencyBudgetMs();
  ask.keep_if_unread = in.getKeepIfUnread();
  const auto tenant = in.getTenant();
  TROUPE_TRY_DO(check_length(tenant.size(), policy::Ask::tenant_bytes_max, "ask.tenant"));
  ask.tenant = text(tenant);
  return {};
}

void write(const ConversationRecord& conversation, records::Conversation::Builder out) {
  write(conversation.id, out.initId());
  out.setCreatedMs(conversation.created_ms);
  out.setTurns(conversation.turns);
  out.setSummaryVersion(conversation.summary_version);
}
Result<void> read(records::Conversation::Reader in, ConversationRecord& conversation) {
  TROUPE_TRY_DO(named("conversation.id", read(in.getId(), conversation.id)));
  conversation.created_ms = in.getCreatedMs();
  conversation.turns = in.getTurns();
  conversation.summary_version = in.getSummaryVersion();
  return {};
}

/// None if it is negative.
Result<void> read_share(double value, std::string_view field, std::optional<double>& share) {
  if (!(value <= 1)) return corrupt(field, std::to_string(value) + ", expected 0 to 1, or less than 0 for none");
  if (value >= 0) share = value;
  return {};
}

void write(const policy::Turn& turn, records::Accepted::Builder out) {
  write(turn.id.conversation, out.initConversation());
  out.setNumber(turn.id.number);
  write(turn.ask, out.initAsk());
  out.setAcceptedMs(turn.accepted_ms);
  out.setKind(text(turn.kind));
  out.setSearch(text(turn.search));
  out.setRetrievalConfidence(turn.retrieval_confidence.value_or(-1));
  out.setKindConfidence(turn.kind_confidence.value_or(-1));
  out.setKindSaid(text(turn.kind_said));
  write(turn.stages, out.initStages(bounded(turn.stages.size(), Limits::stages_max)));
}
Result<void> read(records::Accepted::Reader in, policy::Turn& turn) {
  TROUPE_TRY_DO(named("accepted.conversation", read(in.getConversation(), turn.id.conversation)));
  turn.id.number = in.getNumber();
  if (turn.id.number == 0) return corrupt("accepted.number", "0, turns are numbered from 1");
  TROUPE_TRY_DO(read(in.getAsk(), turn.ask));
  turn.accepted_ms = in.getAcceptedMs();
  turn.kind = text(in.getKind());
  turn.search = text(in.getSearch());
  turn.kind_said = text(in.getKindSaid());
  TROUPE_TRY_DO(read_share(in.getKindConfidence(), "accepted.kind_confidence", turn.kind_confidence));
  TROUPE_TRY_DO(read(in.getStages(), turn.stages));
  return read_share(in.getRetrievalConfidence(), "accepted.retrieval_confidence", turn.retrieval_confidence);
}

void write(const policy::Rung& rung, records::Rung::Builder out) {
  out.setTier(to_wire(rung.tier));
  out.setConfidenceMin(rung.confidence_min);
  out.setSecondOpinion(rung.second_opinion);
  out.setUncitedMin(rung.uncited_min);
}
Result<void> read(records::Rung::Reader in, policy::Rung& rung) {
  rung.confidence_min = in.getConfidenceMin();
  rung.second_opinion = in.getSecondOpinion();
  rung.uncited_min = in.getUncitedMin();
  return choose(in.getTier(), tiers, "plan.escalation.tier", rung.tier);
}

void write(const policy::Message& message, records::Message::Builder out) {
  out.setRole(text(message.role));
  out.setContent(text(message.content));
}
Result<void> read(records::Message::Reader in, policy::Message& message) {
  message = {.role = text(in.getRole()), .content = text(in.getContent())};
  return {};
}

void write(const policy::TokenPrice& price, records::TokenPrice::Builder out) {
  out.setPromptMillion(price.prompt_million);
  out.setAnswerMillion(price.answer_million);
}
Result<void> read(records::TokenPrice::Reader in, policy::TokenPrice& price) {
  price = {.prompt_million = in.getPromptMillion(), .answer_million = in.getAnswerMillion()};
  return {};
}

void write(const policy::AttemptPlan& plan, records::AttemptPlan::Builder out) {
  TROUPE_CHECK(check_attempt(plan.attempt, "").has_value(), "attempts are within RecordLimits before they are kept");
  out.setAttempt(plan.attempt);
  out.setEventNumber(plan.event_number);
  out.setTier(to_wire(plan.tier));
  out.setWhy(text(plan.why));
  out.setRule(text(plan.rule));
  write(plan.model, out.initModel());
  write_list(plan.prompt, out.initPrompt(bounded(plan.prompt.size(), Limits::prompt_ids_max)));
  write(plan.sampling, out.initSampling());
  out.setSeed(plan.seed);
  out.setTokensMax(plan.tokens_max);
  out.setConfidenceMin(plan.confidence_min);
  out.setHeldBack(plan.held_back);
  out.setTask(text(plan.task));
  out.setSummaryVersion(plan.summary_version);
  out.setFirstTurn(plan.first_turn);
  write_list(plan.passages, out.initPassages(bounded(plan.passages.size(), Limits::passages_max)));
  out.setCorpusVersion(text(plan.corpus_version));
  auto escalation = out.initEscalation(bounded(plan.escalation.size(), Limits::rungs_max));
  for (unsigned i = 0; i < escalation.size(); ++i) write(plan.escalation[i], escalation[i]);
  out.setSecondOpinion(plan.second_opinion);
  out.setUncitedMin(plan.uncited_min);
  auto messages = out.initMessages(bounded(plan.messages.size(), Limits::messages_max));
  for (unsigned i = 0; i < messages.size(); ++i) write(plan.messages[i], messages[i]);
  out.setContextTokens(plan.context_tokens);
  write(plan.price, out.initPrice());
  out.setLogProbabilitySumMin(plan.log_probability_sum_min);
  write_context(plan, out);
}
Result<void> read(records::AttemptPlan::Reader in, policy::AttemptPlan& plan) {
  plan.attempt = in.getAttempt();
  TROUPE_TRY_DO(check_attempt(plan.attempt, "plan.attempt"));
  plan.event_number = in.getEventNumber();
  TROUPE_TRY_DO(choose(in.getTier(), tiers, "plan.tier", plan.tier));
  plan.why = text(in.getWhy());
  plan.rule = text(in.getRule());
  TROUPE_TRY_DO(read(in.getModel(), plan.model));
  TROUPE_TRY_DO(read_list(in.getPrompt(), Limits::prompt_ids_max, "plan.prompt", plan.prompt));
  TROUPE_TRY_DO(read(in.getSampling(), plan.sampling));
  plan.seed = in.getSeed();
  plan.tokens_max = in.getTokensMax();
  plan.confidence_min = in.getConfidenceMin();
  plan.held_back = in.getHeldBack();
  plan.task = text(in.getTask());
  plan.summary_version = in.getSummaryVersion();
  plan.first_turn = in.getFirstTurn();
  TROUPE_TRY_DO(read_list(in.getPassages(), "plan.passages", plan.passages));
  plan.corpus_version = text(in.getCorpusVersion());
  const auto escalation = in.getEscalation();
  TROUPE_TRY_DO(check_length(escalation.size(), Limits::rungs_max, "plan.escalation"));
  plan.escalation.resize(escalation.size());
  for (unsigned i = 0; i < escalation.size(); ++i) TROUPE_TRY_DO(read(escalation[i], plan.escalation[i]));
  plan.second_opinion = in.getSecondOpinion();
  plan.uncited_min = in.getUncitedMin();
  const auto messages = in.getMessages();
  TROUPE_TRY_DO(check_length(messages.size(), Limits::messages_max, "plan.messages"));
  plan.messages.resize(messages.size());
  for (unsigned i = 0; i < messages.size(); ++i) TROUPE_TRY_DO(read(messages[i], plan.messages[i]));
  plan.context_tokens = in.getContextTokens();
  TROUPE_TRY_DO(read(in.getPrice(), plan.price));
  plan.log_probability_sum_min = in.getLogProbabilitySumMin();
  if (!(plan.log_probability_sum_min <= 0)) {
    return corrupt("plan.log_probability_sum_min", std::to_string(plan.log_probability_sum_min) + ", it is at most 0");
  }
  return read_context(in, plan);
}

void write(const policy::Emission& emission, records::Emission::Builder out) {
  TROUPE_CHECK(emission.ids.size() == emission.log_probabilities.size(), "every id of an emission has its probability");
  const unsigned size = bounded(emission.ids.size(), Limits::emission_ids_max);
  out.setFirstIndex(emission.first_index);
  write_list(emission.ids, out.initIds(size));
  auto probabilities = out.initLogProbabilities(size);
  for (unsigned i = 0; i < size; ++i) probabilities.set(i, emission.log_probabilities[i]);
  out.setText(text(emission.text));
}
Result<void> read(records::Emission::Reader in, policy::Emission& emission) {
  emission.first_index = in.getFirstIndex();
  TROUPE_TRY_DO(read_list(in.getIds(), Limits::emission_ids_max, "emission.ids", emission.ids));
  const auto probabilities = in.getLogProbabilities();
  if (probabilities.size() != emission.ids.size()) {
    return corrupt("emission.log_probabilities", std::to_string(probabilities.size()) + " of them for " +
                                                     std::to_string(emission.ids.size()) + " ids, one each was expected");
  }
  emission.log_probabilities.resize(emission.ids.size());
  for (unsigned i = 0; i < probabilities.size(); ++i) emission.log_probabilities[i] = probabilities[i];
  emission.text = text(in.getText());
  return {};
}

void write(const policy::AttemptResult& result, records::AttemptResult::Builder out) {
  auto emissions = out.initEmissions(bounded(result.emissions.size(), Limits::emissions_max));
  for (unsigned i = 0; i < emissions.size(); ++i) write(result.emissions[i], emissions[i]);
  out.setFinishReason(text(result.finish_reason));
  out.setConfidence(result.confidence);
  out.setPromptTokens(result.prompt_tokens);
  out.setReusedTokens(result.reused_tokens);
  out.setGeneratedTokens(result.generated_tokens);
  out.setSeconds(result.seconds);
  out.setNode(text(result.node));
  out.setActiveParameters(result.active_parameters);
  out.setSupersededWhy(text(result.superseded_why));
  out.setFailedCheck(text(result.failed_check));
  out.setCost(result.cost);
}
Result<void> read(records::AttemptResult::Reader in, policy::AttemptResult& result) {
  const auto emissions = in.getEmissions();
  TROUPE_TRY_DO(check_length(emissions.size(), Limits::emissions_max, "result.emissions"));
  result.emissions.resize(emissions.size());
  for (unsigned i = 0; i < emissions.size(); ++i) TROUPE_TRY_DO(read(emissions[i], result.emissions[i]));
  result.finish_reason = text(in.getFinishReason());
  result.confidence = in.getConfidence();
  result.prompt_tokens = in.getPromptTokens();
  result.reused_tokens = in.getReusedTokens();
  result.generated_tokens = in.getGeneratedTokens();
  result.seconds = in.getSeconds();
  result.node = text(in.getNode());
  result.active_parameters = in.getActiveParameters();
  result.superseded_why = text(in.getSupersededWhy());
  result.failed_check = text(in.getFailedCheck());
  result.cost = in.getCost();
  return {};
}

void write(const std::vector<policy::Emission>& pieces, records::Pieces::Builder out) {
  auto emissions = out.initEmissions(bounded(pieces.size(), Limits::emissions_max));
  for (unsigned i = 0; i < emissions.size(); ++i) write(pieces[i], emissions[i]);
}
Result<void> read(records::Pieces::Reader in, std::vector<policy::Emission>& pieces) {
  const auto emissions = in.getEmissions();
  TROUPE_TRY_DO(check_length(emissions.size(), Limits::emissions_max, "pieces.emissions"));
  pieces.resize(emissions.size());
  for (unsigned i = 0; i < emissions.size(); ++i) TROUPE_TRY_DO(read(emissions[i], pieces[i]));
  return {};
}

void write(const policy::TurnOutcome& outcome, records::Outcome::Builder out) {
  out.setCommitted(outcome.committed);
  out.setAnswer(text(outcome.answer));
  write_list(outcome.citations, out.initCitations(bounded(outcome.citations.size(), Limits::passages_max)));
  out.setAttempt(outcome.attempt);
  out.setConfidence(outcome.confidence);
  out.setConfident(outcome.confident);
  out.setCode(text(outcome.code));
  out.setMessage(text(outcome.message));
  out.setDoubt(text(outcome.doubt));
  out.setRule(text(outcome.rule));
}
Result<void> read(records::Outcome::Reader in, policy::TurnOutcome& outcome) {
  outcome.committed = in.getCommitted();
  outcome.answer = text(in.getAnswer());
  TROUPE_TRY_DO(read_list(in.getCitations(), "outcome.citations", outcome.citations));
  outcome.attempt = in.getAttempt();
  outcome.confidence = in.getConfidence();
  outcome.confident = in.getConfident();
  outcome.code = text(in.getCode());
  outcome.message = text(in.getMessage());
  outcome.doubt = text(in.getDoubt());
  outcome.rule = text(in.getRule());
  return {};
}

void write(const EndedTurn& ended, records::Ended::Builder out) {
  write(ended.outcome, out.initOutcome());
  out.setEndedMs(ended.ended_ms);
  out.setKind(text(ended.kind));
  out.setSearch(text(ended.search));
  out.setRetrievalConfidence(ended.retrieval_confidence.value_or(-1));
  out.setKindConfidence(ended.kind_confidence.value_or(-1));
  out.setKindSaid(text(ended.kind_said));
  write(ended.stages, out.initStages(bounded(ended.stages.size(), Limits::stages_max)));
}
Result<void> read(records::Ended::Reader in, EndedTurn& ended) {
  TROUPE_TRY_DO(read(in.getOutcome(), ended.outcome));
  ended.ended_ms = in.getEndedMs();
  ended.kind = text(in.getKind());
  ended.search = text(in.getSearch());
  ended.kind_said = text(in.getKindSaid());
  TROUPE_TRY_DO(read_share(in.getKindConfidence(), "ended.kind_confidence", ended.kind_confidence));
  TROUPE_TRY_DO(read(in.getStages(), ended.stages));
  return read_share(in.getRetrievalConfidence(), "ended.retrieval_confidence", ended.retrieval_confidence);
}

void write(const policy::Turn& turn, records::Turn::Builder out) {
  write(turn, out.initAccepted());
  auto attempts = out.initAttempts(bounded(turn.attempts.size(), Limits::attempts_max));
  for (unsigned i = 0; i < attempts.size(); ++i) {
    write(turn.attempts[i].plan, attempts[i].initPlan());
    if (turn.attempts[i].result) write(*turn.attempts[i].result, attempts[i].initResult());
  }
  if (turn.outcome) {
    write(EndedTurn{.outcome = *turn.outcome,
                    .ended_ms = turn.ended_ms,
                    .kind = turn.kind,
                    .search = turn.search,
                    .retrieval_confidence = turn.retrieval_confidence,
                    .kind_confidence = turn.kind_confidence,
                    .kind_said = turn.kind_said,
                    .stages = turn.stages},
          out.initEnded());
  }
}
Result<void> read(records::Turn::Reader in, policy::Turn& turn) {
  TROUPE_TRY_DO(read(in.getAccepted(), turn));
  const auto attempts = in.getAttempts();
  TROUPE_TRY_DO(check_length(attempts.size(), Limits::attempts_max, "turn.attempts"));
  turn.attempts.resize(attempts.size());
  for (unsigned i = 0; i < attempts.size(); ++i) {
    TROUPE_TRY_DO(read(attempts[i].getPlan(), turn.attempts[i].plan));
    if (attempts[i].hasResult()) TROUPE_TRY_DO(read(attempts[i].getResult(), turn.attempts[i].result.emplace()));
  }
  if (!in.hasEnded()) return {};
  EndedTurn ended;
  TROUPE_TRY_DO(read(in.getEnded(), ended));
  turn.outcome = std::move(ended.outcome);
  turn.ended_ms = ended.ended_ms;
  turn.kind = std::move(ended.kind);
  turn.search = std::move(ended.search);
  turn.retrieval_confidence = ended.retrieval_confidence;
  turn.kind_confidence = ended.kind_confidence;
  turn.kind_said = std::move(ended.kind_said);
  turn.stages = std::move(ended.stages);
  return {};
}

}  // namespace troupe::schemas
