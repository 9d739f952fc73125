#include "policy/ask.hpp"

#include <array>
#include <charconv>
#include <system_error>

#include "policy/utf8.hpp"

namespace troupe::policy {

namespace {

std::string shown(float value) {
  std::array<char, 32> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

Error outside(std::string_view field, const std::string& seen, const std::string& expected) {
  return {ErrorCode::out_of_range, std::string(field) + " is " + seen + ", expected " + expected};
}

Result<void> check_between(std::string_view field, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value >= low && value <= high) return {};
  return outside(field, std::to_string(value), std::to_string(low) + " to " + std::to_string(high));
}

/// The limits of model/sampler.hpp, so that an ask which is accepted is one that an engine takes. A NaN is outside of all.
Result<void> check_sampling(const Sampling& sampling) {
  if (!(sampling.temperature >= 0 && sampling.temperature <= 100)) {
    return outside("temperature", shown(sampling.temperature), "0 (greedy) to 100");
  }
  if (sampling.top_k < 0) return outside("top_k", std::to_string(sampling.top_k), "0 (all tokens) or more");
  if (!(sampling.top_p > 0 && sampling.top_p <= 1)) return outside("top_p", shown(sampling.top_p), "above 0, at most 1");
  if (!(sampling.min_p >= 0 && sampling.min_p < 1)) return outside("min_p", shown(sampling.min_p), "at least 0, below 1");
  return {};
}

Result<void> check_texts(const Ask& ask) {
  const auto bytes = [](const std::string& text) { return std::to_string(text.size()) + " bytes"; };
  if (ask.idempotency_key.empty()) {
    return Error{ErrorCode::invalid_argument,
                 "the idempotency key is empty; send 1 to " + std::to_string(Ask::key_bytes_max) +
                     " bytes that no other question of the conversation has, so that a repeated ask is not answered twice"};
  }
  if (ask.idempotency_key.size() > Ask::key_bytes_max) {
    return outside("the idempotency key", bytes(ask.idempotency_key) + " long", "1 to " + std::to_string(Ask::key_bytes_max));
  }
  if (ask.question.find_first_not_of(" \t\r\n") == std::string::npos) {
    return Error{ErrorCode::invalid_argument, "the question says nothing: it has " + bytes(ask.question) +
                                                  ", none of them more than a space; ask something"};
  }
  if (ask.question.size() > Ask::question_bytes_max) {
    return outside("the question", bytes(ask.question) + " long",
                   "at most " + std::to_string(Ask::question_bytes_max) + "; shorten it");
  }
  if (const auto place = find_invalid_utf8(ask.question)) {
    return Error{ErrorCode::invalid_argument, "the question is no UTF-8 at byte " + std::to_string(*place) + " of " +
                                                  std::to_string(ask.question.size()) + "; convert it"};
  }
  if (ask.tenant.size() > Ask::tenant_bytes_max) {
    return outside("the tenant", bytes(ask.tenant) + " long", "at most " + std::to_string(Ask::tenant_bytes_max));
  }
  return {};
}

}  // namespace

std::string to_string(const TurnId& turn) { return to_string(turn.conversation) + "/" + std::to_string(turn.number); }

std::optional<TurnId> parse_turn(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto conversation = parse_name<ConversationId>(text.substr(0, slash));
  const std::string_view digits = text.substr(slash + 1);
  std::uint32_t number = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  // One turn has one name: "7", not "07".
  const bool whole = problem == std::errc{} && end == digits.data() + digits.size() && !digits.starts_with('0');
  if (!conversation || !whole) return std::nullopt;
  return TurnId{*conversation, number};
}

std::string_view to_string(Assurance assurance) {
  switch (assurance) {
    case Assurance::draft: return "draft";
    case Assurance::standard: return "standard";
    case Assurance::high: return "high";
  }
  return "unknown";
}

std::optional<Assurance> assurance_of(std::string_view name) {
  for (const Assurance assurance : {Assurance::draft, Assurance::standard, Assurance::high}) {
    if (to_string(assurance) == name) return assurance;
  }
  return std::nullopt;
}

std::string_view to_string(Grounding grounding) {
  switch (grounding) {
    case Grounding::automatic: return "automatic";
    case Grounding::never: return "never";
    case Grounding::always: return "always";
  }
  return "unknown";
}

std::optional<Grounding> grounding_of(std::string_view name) {
  for (const Grounding grounding : {Grounding::automatic, Grounding::never, Grounding::always}) {
    if (to_string(grounding) == name) return grounding;
  }
  return std::nullopt;
}

std::string_view to_string(Priority priority) {
  switch (priority) {
    case Priority::interactive: return "interactive";
    case Priority::standard: return "standard";
    case Priority::batch: return "batch";
  }
  return "unknown";
}

std::optional<Priority> priority_of(std::string_view name) {
  for (const Priority priority : {Priority::interactive, Priority::standard, Priority::batch}) {
    if (to_string(priority) == name) return priority;
  }
  return std::nullopt;
}

Result<void> check_ask(const Ask& ask) {
  TROUPE_TRY_DO(check_texts(ask));
  TROUPE_TRY_DO(check_between("tokens_max", ask.tokens_max, 1, Ask::tokens_limit));
  TROUPE_TRY_DO(check_between("deadline_ms", ask.deadline_ms, 1, Ask::deadline_limit_ms));
  TROUPE_TRY_DO(check_between("latency_budget_ms", ask.latency_budget_ms, 0, Ask::deadline_limit_ms));
  TROUPE_TRY_DO(check_sampling(ask.sampling));
  if (ask.assurance == Assurance::high) {
    return Error{ErrorCode::unsupported, "assurance high is not supported; ask for draft or standard"};
  }
  if (ask.assurance == Assurance::standard && ask.sampling.temperature != 0) {
    return Error{ErrorCode::invalid_argument, "standard samples greedily, but temperature is " +
                                                  shown(ask.sampling.temperature) + "; set it to 0 or ask for draft"};
  }
  return {};
}

}  // namespace troupe::policy
