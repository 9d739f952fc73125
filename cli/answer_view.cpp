#include "cli/answer_view.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <span>
#include <utility>
#include <variant>

#include "model/utf8.hpp"
#include "policy/citation.hpp"
#include "policy/early_stop.hpp"

namespace troupe::cli {

namespace {

Json json_of(const std::vector<policy::Passage>& passages) {
  Json list = Json::array();
  for (const policy::Passage& passage : passages) list.push_back({{"section", passage.section}, {"name", passage.name}});
  return list;
}

Json json_of(const policy::Sampling& sampling) {
  return {{"temperature", decimal(sampling.temperature)},
          {"top_k", sampling.top_k},
          {"top_p", decimal(sampling.top_p)},
          {"min_p", decimal(sampling.min_p)}};
}

Json json_of(const policy::Ask& ask) {
  Json object{{"key", ask.idempotency_key},
              {"question", ask.question},
              {"assurance", to_string(ask.assurance)},
              {"priority", to_string(ask.priority)},
              {"grounding", to_string(ask.grounding)},
              {"tier", nullptr},
              {"sampling", json_of(ask.sampling)},
              {"seed", nullptr},
              {"tokens_max", ask.tokens_max},
              {"deadline_ms", ask.deadline_ms},
              {"latency_budget_ms", ask.latency_budget_ms},
              {"keep_if_unread", ask.keep_if_unread},
              {"tenant", ask.tenant}};
  if (ask.tier) object["tier"] = to_string(*ask.tier);
  if (ask.seed) object["seed"] = *ask.seed;
  return object;
}

Json json_of(const policy::ModelClass& model) {
  return {{"fingerprint", model.fingerprint}, {"numeric_class", model.numeric_class}};
}

Json json_of(const std::vector<policy::MemoryEntry>& entries) {
  Json list = Json::array();
  for (const policy::MemoryEntry& entry : entries)
    list.push_back({{"line", entry.line}, {"text", entry.text}, {"turn", entry.turn}});
  return list;
}

Json json_of(const policy::AttemptPlan& plan) {
  Json object{{"attempt", plan.attempt},
              {"tier", to_string(plan.tier)},
              {"why", plan.why},
              {"rule", plan.rule},
              {"model", json_of(plan.model)},
              {"sampling", json_of(plan.sampling)},
              {"seed", plan.seed},
              {"tokens_max", plan.tokens_max},
              {"confidence_min", plan.confidence_min},
              {"held_back", plan.held_back},
              {"task", plan.task},
              {"summary_version", plan.summary_version},
              {"first_turn", plan.first_turn},
              {"passages", json_of(plan.passages)},
              {"corpus_version", plan.corpus_version},
              {"second_opinion", plan.second_opinion},
              {"uncited_min", plan.uncited_min},
              {"context_tokens", plan.context_tokens},
              {"price", {{"prompt_million", plan.price.prompt_million}, {"answer_million", plan.price.answer_million}}}};
  object["escalation"] = Json::array();
  for (const policy::Rung& rung : plan.escalation)
    object["escalation"].push_back({{"tier", to_string(rung.tier)},
                                    {"confidence_min", rung.confidence_min},
                                    {"second_opinion", rung.second_opinion},
                                    {"uncited_min", rung.uncited_min}});
  for (const policy::Message& message : plan.messages)
    object["messages"].push_back({{"role", message.role}, {"content", message.content}});
  if (!plan.prompt.empty()) object["prompt"] = plan.prompt;
  if (std::isfinite(plan.log_probability_sum_min)) object["log_probability_sum_min"] = plan.log_probability_sum_min;
  object["pins_version"] = plan.pins_version;
  object["recalled"] = json_of(plan.recalled);
  object["left_out"] = Json::array();
  for (const policy::LeftOut& each : plan.left_out) object["left_out"].push_back({{"what", each.what}, {"why", each.why}});
  return object;
}

Json json_of(const policy::AttemptResult& result) {
  const auto computed =
      static_cast<std::uint64_t>(std::max(0, result.prompt_tokens - result.reused_tokens + result.generated_tokens));
  Json object{{"node", result.node},
              {"finish_reason", result.finish_reason},
              {"confidence", result.confidence},
              {"prompt_tokens", result.prompt_tokens},
              {"reused_tokens", result.reused_tokens},
              {"generated_tokens", result.generated_tokens},
              {"seconds", result.seconds},
              {"active_parameters", result.active_parameters},
              {"cost", result.active_parameters * computed},
              {"spent", result.cost}};
  if (!result.superseded_why.empty()) object["superseded"] = result.superseded_why;
  if (!result.failed_check.empty()) object["failed_check"] = result.failed_check;
  for (const policy::Emission& emission : result.emissions) {
    object["emissions"].push_back({{"first_index", emission.first_index},
                                   {"ids", emission.ids},
                                   {"log_probabilities", emission.log_probabilities},
                                   {"text", emission.text}});
  }
  return object;
}

Json json_of(const policy::TurnOutcome& outcome) {
  if (!outcome.committed) return {{"committed", false}, {"error", {{"code", outcome.code}, {"message", outcome.message}}}};
  Json object{{"committed", true},          {"answer", outcome.answer},         {"citations", json_of(outcome.citations)},
              {"attempt", outcome.attempt}, {"confidence", outcome.confidence}, {"confident", outcome.confident}};
  if (!outcome.doubt.empty()) object["doubt"] = outcome.doubt;
  if (!outcome.rule.empty()) object["rule"] = outcome.rule;
  return object;
}

/// The passages by the numbers that the answer cites, where each cited number has its section.
std::vector<policy::Passage> numbered(const policy::TurnOutcome& outcome) {
  constexpr std::int32_t number_max = 1024;
  const auto numbers = policy::cited_numbers(outcome.answer);
  if (numbers.empty() || numbers.size() != outcome.citations.size() || numbers.front() < 1 || numbers.back() > number_max)
    return {};
  std::vector<policy::Passage> passages(static_cast<std::size_t>(numbers.back()));
  for (std::size_t i = 0; i < numbers.size(); ++i) passages[static_cast<std::size_t>(numbers[i]) - 1] = outcome.citations[i];
  return passages;
}

}  // namespace

std::string dumped(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string plain(std::string_view text) {
  std::string shown;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0U;
    const bool of_two_bytes = byte == 0xC2 && next >= 0x80 && next < 0xA0;  // U+0080 to U+009F
    if (of_two_bytes || byte == 0x7F || (byte < 0x20 && byte != '\t' && byte != '\n')) {
      shown += '?';
      i += of_two_bytes ? 1 : 0;
    } else {
      shown += text[i];
    }
  }
  return shown;
}

std::string plain_line(std::string_view text) {
  std::string shown;
  for (std::string_view rest = text; !rest.empty();) {
    const model::Utf8Unit unit = model::first_utf8_unit(rest);
    const std::string_view bytes = rest.substr(0, unit.length);
    shown += unit.kind != model::Utf8Unit::Kind::character || bytes == "\t" || bytes == "\n" ? "?" : plain(bytes);
    rest.remove_prefix(unit.length);
  }
  return shown;
}

double decimal(float value) {
  std::array<char, 32> text{};
  const char* const end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  double shown = 0;
  std::from_chars(text.data(), end, shown);
  return shown;
}

std::string readable(const policy::TurnOutcome& outcome) {
  return policy::resolve_citations(outcome.answer, numbered(outcome));
}

std::string readable(const policy::Turn& turn) {
  if (!turn.outcome) return {};
  for (const policy::Attempt& attempt : turn.attempts) {
    if (attempt.plan.attempt == turn.outcome->attempt)
      return policy::resolve_citations(turn.outcome->answer, attempt.plan.passages);
  }
  return readable(*turn.outcome);
}

Json json_of(const policy::StageEntry& entry) {
  Json object{{"stage", to_string(entry.stage)},
              {"held", entry.held()},
              {"prompt_tokens", entry.prompt_tokens},
              {"answer_tokens", entry.answer_tokens},
              {"milliseconds", entry.milliseconds}};
  if (entry.attempt >= 0) object["attempt"] = entry.attempt;
  if (entry.held()) return object;
  object["trouble"] = to_string(entry.trouble);
  object["fallback"] = to_string(entry.fallback);
  object["why"] = entry.why;
  return object;
}

Json json_of(const policy::Turn& turn) {
  Json object{{"turn", to_string(turn.id)},
              {"ask", json_of(turn.ask)},
              {"accepted_ms", turn.accepted_ms},
              {"kind", turn.kind},
              {"search", turn.search}};
  if (turn.kind_confidence) object["kind_confidence"] = *turn.kind_confidence;
  if (!turn.kind_said.empty()) object["kind_said"] = turn.kind_said;
  if (turn.retrieval_confidence) object["retrieval_confidence"] = *turn.retrieval_confidence;
  object["attempts"] = Json::array();
  for (const policy::Attempt& attempt : turn.attempts) {
    Json entry{{"plan", json_of(attempt.plan)}};
    if (attempt.result) entry["result"] = json_of(*attempt.result);
    if (attempt.result && policy::stopped_early(*attempt.result))
      entry["result"]["stopped"] = policy::sentence_of_stop(attempt.plan, *attempt.result);
    object["attempts"].push_back(std::move(entry));
  }
  object["stages"] = Json::array();
  for (const policy::StageEntry& entry : turn.stages) object["stages"].push_back(json_of(entry));
  if (turn.outcome) {
    object["outcome"] = json_of(*turn.outcome);
    if (turn.outcome->committed) object["outcome"]["text"] = readable(turn);
    object["ended_ms"] = turn.ended_ms;
  }
  return object;
}

Json json_of(const policy::Summary& summary) {
  return {{"version", summary.version}, {"first_turn", summary.first_turn},    {"last_turn", summary.last_turn},
          {"text", summary.text},       {"tier", to_string(summary.tier)},     {"model", json_of(summary.model)},
          {"turns", summary.turns},     {"retired", json_of(summary.retired)}, {"withdrawn", json_of(summary.withdrawn)}};
}

std::string date_of(std::int64_t milliseconds_since_1970) {
  const auto seconds = static_cast<std::time_t>(milliseconds_since_1970 / 1000);
  std::tm parts{};
  std::array<char, 32> text{};
  if (gmtime_r(&seconds, &parts) == nullptr) return "?";
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &parts);
  return text.data();
}

void AnswerView::take(const policy::TurnEvent& event) {
  if (const auto* attempt = std::get_if<policy::AttemptEvent>(&event.what)) {
    tries_.push_back({attempt->attempt, attempt->tier, attempt->why, {}});
  } else if (const auto* superseded = std::get_if<policy::SupersededEvent>(&event.what)) {
    for (Try& each : tries_) {
      if (each.attempt == superseded->attempt) each.superseded = superseded->why;
    }
    if (std::exchange(shown_, false)) std::cout << "\n[withdrawn: " << plain(superseded->why) << "]" << std::endl;
  } else if (const auto* tokens = std::get_if<policy::TokensEvent>(&event.what); tokens != nullptr && streams_) {
    shown_ = true;
    std::cout << plain(tokens->text) << std::flush;
  }
}

void AnswerView::break_off() {
  if (std::exchange(shown_, false)) std::cout << std::endl;
}

void AnswerView::print(const clients::Answer& answer, bool quiet) const {
  const policy::CommittedEvent& end = answer.end;
  const policy::TurnOutcome& outcome = end.outcome;
  if (shown_) std::cout << '\n';
  if (!outcome.committed) {
    std::cout << std::flush;
    std::cerr << "troupe: not answered: " << plain(outcome.message) << " (" << outcome.code << "); turn "
              << to_string(answer.turn) << '\n';
    return;
  }
  if (!shown_) {
    std::cout << plain(readable(outcome)) << '\n';
  } else {
    const auto passages = numbered(outcome);
    for (const std::int32_t number : policy::cited_numbers(outcome.answer)) {
      if (number < 1 || static_cast<std::size_t>(number) > passages.size()) continue;
      std::cout << "  [" << number << "] " << plain(passages[static_cast<std::size_t>(number) - 1].name) << '\n';
    }
  }
  std::cout << std::flush;
  if (quiet) return;
  std::string line = outcome.rule.empty() ? std::string(to_string(end.tier)) + " on " + end.node
                                          : "the policy's own answer, " + outcome.rule + "; no model was asked";
  for (const Try& each : tries_) {
    if (each.attempt == outcome.attempt) line += ": " + each.why;
  }
  for (const Try& each : tries_) {
    // The reason for the next attempt is mostly that the one before was superseded: it is not told twice.
    if (!each.superseded.empty() && line.find(each.superseded) == std::string::npos)
      line += "; " + std::string(to_string(each.tier)) + " before it: " + each.superseded;
  }
  const std::string doubt = outcome.confident ? "" : outcome.doubt.empty() ? " (low)" : " (low: " + outcome.doubt + ")";
  std::fprintf(stderr, "%s; confidence %.2f%s; %d of %d prompt tokens reused, %d generated, %.2f s%s\nturn %s\n",
               plain(line).c_str(), outcome.confidence, plain(doubt).c_str(), end.reused_tokens, end.prompt_tokens,
               end.generated_tokens, end.seconds, answer.replayed ? "; resumed after a lost connection" : "",
               to_string(answer.turn).c_str());
}

Json AnswerView::json(const clients::Answer& answer) const {
  const policy::CommittedEvent& end = answer.end;
  const policy::TurnOutcome& outcome = end.outcome;
  Json object{{"turn", to_string(answer.turn)}, {"conversation", to_string(answer.turn.conversation)}};
  object["attempts"] = Json::array();
  for (const Try& each : tries_) {
    Json entry{{"attempt", each.attempt}, {"tier", to_string(each.tier)}, {"why", each.why}};
    if (!each.superseded.empty()) entry["superseded"] = each.superseded;
    object["attempts"].push_back(std::move(entry));
  }
  object["resumed"] = answer.replayed;
  if (!outcome.committed) {
    object["error"] = {{"code", outcome.code}, {"message", outcome.message}};
    return object;
  }
  object["answer"] = outcome.answer;
  object["text"] = readable(outcome);
  object["citations"] = json_of(outcome.citations);
  object["tier"] = outcome.rule.empty() ? Json(to_string(end.tier)) : Json(nullptr);
  object["node"] = outcome.rule.empty() ? Json(end.node) : Json(nullptr);
  if (!outcome.rule.empty()) object["rule"] = outcome.rule;
  object["confidence"] = outcome.confidence;
  object["confident"] = outcome.confident;
  if (!outcome.doubt.empty()) object["doubt"] = outcome.doubt;
  object["prompt_tokens"] = end.prompt_tokens;
  object["reused_tokens"] = end.reused_tokens;
  object["generated_tokens"] = end.generated_tokens;
  object["seconds"] = end.seconds;
  return object;
}

}  // namespace troupe::cli
