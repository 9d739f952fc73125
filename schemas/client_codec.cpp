// Failures, questions and events; turns are in client_turn_codec.cpp, the cluster in client_cluster_codec.cpp.
#include "schemas/client_codec.hpp"

#include <algorithm>

#include "schemas/client_codec_parts.hpp"

namespace troupe::schemas {

using parts::read_enum;
using parts::read_tier;
using parts::text;
using parts::write_enum;

namespace {

constexpr std::array error_codes = {
    ErrorCode::invalid_argument, ErrorCode::out_of_range,      ErrorCode::not_found,  ErrorCode::unsupported,
    ErrorCode::corrupt,          ErrorCode::too_large,         ErrorCode::overloaded, ErrorCode::unavailable,
    ErrorCode::cancelled,        ErrorCode::deadline_exceeded, ErrorCode::io,
};

/// Longer ones are refused before they are copied.
Result<std::string> bounded(capnp::Text::Reader value, std::size_t bytes_max, std::string_view what) {
  if (value.size() > bytes_max) {
    return Error{ErrorCode::too_large, std::string(what) + " has " + std::to_string(value.size()) +
                                           " bytes, expected at most " + std::to_string(bytes_max)};
  }
  return text(value);
}

/// Fills the variant of an event.
struct EventWriter {
  client::TurnEvent::Builder to;

  void operator()(const policy::AcceptedEvent& event) { to.setAccepted(text(event.question)); }
  void operator()(const policy::AttemptEvent& event) {
    auto attempt = to.initAttempt();
    attempt.setAttempt(event.attempt);
    attempt.setTier(write_enum<client::Tier>(event.tier));
    attempt.setWhy(text(event.why));
  }
  void operator()(const policy::TokensEvent& event) {
    auto tokens = to.initTokens();
    tokens.setAttempt(event.attempt);
    tokens.setFirstIndex(event.first_index);
    parts::write_numbers(tokens.initIds(static_cast<unsigned>(event.ids.size())), event.ids);
    tokens.setText(text(event.text));
  }
  void operator()(const policy::SupersededEvent& event) {
    auto superseded = to.initSuperseded();
    superseded.setAttempt(event.attempt);
    superseded.setWhy(text(event.why));
  }
  void operator()(const policy::CommittedEvent& event) {
    auto committed = to.initCommitted();
    parts::write(committed.initOutcome(), event.outcome);
    committed.setTier(write_enum<client::Tier>(event.tier));
    committed.setNode(text(event.node));
    committed.setPromptTokens(event.prompt_tokens);
    committed.setReusedTokens(event.reused_tokens);
    committed.setGeneratedTokens(event.generated_tokens);
    committed.setSeconds(event.seconds);
  }
  void operator()(const policy::FailedEvent& event) {
    auto failed = to.initFailed();
    failed.setCode(text(event.code));
    failed.setMessage(text(event.message));
  }
};

Result<policy::TokensEvent> read_tokens(client::TokensEvent::Reader from) {
  policy::TokensEvent event{.attempt = from.getAttempt(), .first_index = from.getFirstIndex(), .ids = {}, .text = {}};
  TROUPE_TRY(event.ids, parts::read_numbers<std::int32_t>(from.getIds(), ClientLimits::tokens, "the ids of an event"));
  event.text = text(from.getText());
  return event;
}

Result<policy::CommittedEvent> read_committed(client::CommittedEvent::Reader from) {
  policy::CommittedEvent event;
  TROUPE_TRY(event.outcome, parts::read(from.getOutcome()));
  TROUPE_TRY(event.tier, read_tier(from.getTier()));
  event.node = text(from.getNode());
  event.prompt_tokens = from.getPromptTokens();
  event.reused_tokens = from.getReusedTokens();
  event.generated_tokens = from.getGeneratedTokens();
  event.seconds = from.getSeconds();
  return event;
}

}  // namespace

void write(client::Failure::Builder to, ErrorCode code, std::string_view message) {
  to.setCode(text(std::string(to_string(code))));
  to.setMessage(text(std::string(message)));
}

Error read(client::Failure::Reader from) {
  const std::string name = text(from.getCode());
  std::string message = text(from.getMessage());
  const auto* code =
      std::find_if(error_codes.begin(), error_codes.end(), [&](ErrorCode known) { return to_string(known) == name; });
  if (code != error_codes.end()) return Error{*code, std::move(message)};
  return Error{ErrorCode::unavailable, message + " (code \"" + name + "\")"};
}

void parts::write(client::Sampling::Builder to, const policy::Sampling& sampling) {
  to.setTemperature(sampling.temperature);
  to.setTopK(sampling.top_k);
  to.setTopP(sampling.top_p);
  to.setMinP(sampling.min_p);
}

policy::Sampling parts::read(client::Sampling::Reader from) {
  return {.temperature = from.getTemperature(), .top_k = from.getTopK(), .top_p = from.getTopP(), .min_p = from.getMinP()};
}

void write(client::Ask::Builder to, const policy::Ask& ask) {
  to.setIdempotencyKey(text(ask.idempotency_key));
  to.setQuestion(text(ask.question));
  to.setAssurance(write_enum<client::Assurance>(ask.assurance));
  to.setPriority(write_enum<client::Priority>(ask.priority));
  to.setGrounding(write_enum<client::Grounding>(ask.grounding));
  if (ask.tier) to.getTier().setOnly(write_enum<client::Tier>(*ask.tier));
  parts::write(to.initSampling(), ask.sampling);
  if (ask.seed) to.getSeed().setGiven(*ask.seed);
  to.setTokensMax(ask.tokens_max);
  to.setDeadlineMs(ask.deadline_ms);
  to.setLatencyBudgetMs(ask.latency_budget_ms);
  to.setKeepIfUnread(ask.keep_if_unread);
  to.setTenant(text(ask.tenant));
}

Result<policy::Ask> read(client::Ask::Reader from) {
  policy::Ask ask;
  TROUPE_TRY(ask.idempotency_key, bounded(from.getIdempotencyKey(), policy::Ask::key_bytes_max, "idempotency_key"));
  TROUPE_TRY(ask.question, bounded(from.getQuestion(), policy::Ask::question_bytes_max, "question"));
  TROUPE_TRY(ask.assurance, read_enum(from.getAssurance(), policy::Assurance::high, "assurance"));
  TROUPE_TRY(ask.priority, read_enum(from.getPriority(), policy::Priority::batch, "priority"));
  TROUPE_TRY(ask.grounding, read_enum(from.getGrounding(), policy::Grounding::always, "grounding"));
  switch (from.getTier().which()) {
    case client::Ask::Tier::ANY: break;
    case client::Ask::Tier::ONLY: {
      TROUPE_TRY(ask.tier, read_tier(from.getTier().getOnly()));
      break;
    }
    default: return Error{ErrorCode::unsupported, "tier is chosen in a way that this version does not know"};
  }
  ask.sampling = parts::read(from.getSampling());
  switch (from.getSeed().which()) {
    case client::Ask::Seed::DRAWN: break;
    case client::Ask::Seed::GIVEN: ask.seed = from.getSeed().getGiven(); break;
    default: return Error{ErrorCode::unsupported, "seed is chosen in a way that this version does not know"};
  }
  ask.tokens_max = from.getTokensMax();
  ask.deadline_ms = from.getDeadlineMs();
  ask.latency_budget_ms = from.getLatencyBudgetMs();
  ask.keep_if_unread = from.getKeepIfUnread();
  ask.tenant = text(from.getTenant());
  return ask;
}

void write(client::TurnEvent::Builder to, const policy::TurnEvent& event) {
  to.setNumber(event.number);
  std::visit(EventWriter{to}, event.what);
}

Result<policy::TurnEvent> read(client::TurnEvent::Reader from) {
  policy::TurnEvent event{.number = from.getNumber(), .what = {}};
  switch (from.which()) {
    case client::TurnEvent::ACCEPTED: event.what = policy::AcceptedEvent{text(from.getAccepted())}; return event;
    case client::TurnEvent::ATTEMPT: {
      const auto attempt = from.getAttempt();
      TROUPE_TRY(const policy::Tier tier, read_tier(attempt.getTier()));
      event.what = policy::AttemptEvent{attempt.getAttempt(), tier, text(attempt.getWhy())};
      return event;
    }
    case client::TurnEvent::TOKENS: {
      TROUPE_TRY(event.what, read_tokens(from.getTokens()));
      return event;
    }
    case client::TurnEvent::SUPERSEDED: {
      const auto superseded = from.getSuperseded();
      event.what = policy::SupersededEvent{superseded.getAttempt(), text(superseded.getWhy())};
      return event;
    }
    case client::TurnEvent::COMMITTED: {
      TROUPE_TRY(event.what, read_committed(from.getCommitted()));
      return event;
    }
    case client::TurnEvent::FAILED: {
      const auto failed = from.getFailed();
      event.what = policy::FailedEvent{text(failed.getCode()), text(failed.getMessage())};
      return event;
    }
  }
  return Error{ErrorCode::unsupported,
               "event " + std::to_string(event.number) + " is of a kind that this version does not know"};
}

Result<policy::ConversationId> read_conversation(capnp::Data::Reader from) {
  policy::ConversationId id;
  if (from.size() != id.bytes.size()) {
    return Error{ErrorCode::invalid_argument, "the id of a conversation has " + std::to_string(from.size()) +
                                                  " bytes, expected " + std::to_string(id.bytes.size())};
  }
  std::copy(from.begin(), from.end(), id.bytes.begin());
  return id;
}

kj::ArrayPtr<const kj::byte> bytes_of(const policy::ConversationId& id) { return {id.bytes.data(), id.bytes.size()}; }

}  // namespace troupe::schemas
