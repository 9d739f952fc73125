// The other direction: a routing policy as the TOML that routing_file.cpp reads.
#include <array>
#include <charconv>
#include <string>
#include <vector>

#include "schemas/routing_file.hpp"
#include "schemas/toml_reader.hpp"

namespace troupe::schemas {

namespace {

using policy::PerTier;
using policy::RouteConditions;
using policy::RouteRule;
using policy::Tier;

/// As short as it can be and still be the same number.
template <class Number>
std::string number(Number value) {
  std::array<char, 64> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed).ptr};
}

std::string_view to_string(const std::string& text) { return text; }

template <class T>
std::string list(const std::vector<T>& values) {
  std::string text;
  for (const T& value : values) text += (text.empty() ? "" : ", ") + toml_quoted(to_string(value));
  return "[" + text + "]";
}

std::string when_text(const RouteConditions& when) {
  std::string text;
  const auto add = [&text](std::string_view key, const std::string& value) {
    text += std::string(text.empty() ? "" : ", ") + std::string(key) + " = " + value;
  };
  if (!when.requested.empty()) add("requested", list(when.requested));
  if (!when.assurance.empty()) add("assurance", list(when.assurance));
  if (!when.priority.empty()) add("priority", list(when.priority));
  if (when.latency_budget_ms_max) add("latency_budget_ms_max", std::to_string(*when.latency_budget_ms_max));
  if (when.prompt_tokens_min) add("prompt_tokens_min", std::to_string(*when.prompt_tokens_min));
  if (when.prompt_tokens_max) add("prompt_tokens_max", std::to_string(*when.prompt_tokens_max));
  if (when.grounded) add("grounded", *when.grounded ? "true" : "false");
  if (!when.kind.empty()) add("kind", list(when.kind));
  if (when.kind_confidence_below) add("kind_confidence_below", number(*when.kind_confidence_below));
  if (!when.tenant.empty()) add("tenant", list(when.tenant));
  if (when.retrieval_confidence_below) add("retrieval_confidence_below", number(*when.retrieval_confidence_below));
  return text;
}

/// Nothing if all are 0.
std::string per_tier_text(std::string_view key, const PerTier<double>& values) {
  std::string text;
  for (const Tier tier : policy::tiers) {
    const double value = values[policy::place_of(tier)];
    if (value != 0) text += (text.empty() ? "" : ", ") + std::string(to_string(tier)) + " = " + number(value);
  }
  return text.empty() ? text : std::string(key) + " = { " + text + " }\n";
}

std::string rule_text(const RouteRule& rule) {
  std::string text = "\n[[rule]]\nname = " + toml_quoted(rule.name) + "\n";
  if (rule.when != RouteConditions{}) text += "when = { " + when_text(rule.when) + " }\n";
  text += "start = " + toml_quoted(to_string(rule.start)) + "\n";
  if (!rule.escalate.empty()) text += "escalate = " + list(rule.escalate) + "\n";
  text += per_tier_text("confidence_min", rule.confidence_min) + per_tier_text("uncited_min", rule.uncited_min);
  if (rule.sample != policy::SampleAs::as_asked) text += "sample = " + toml_quoted(to_string(rule.sample)) + "\n";
  if (rule.sampling.temperature != 0) text += "temperature = " + number(rule.sampling.temperature) + "\n";
  if (rule.sampling.top_p != 1) text += "top_p = " + number(rule.sampling.top_p) + "\n";
  if (!rule.second_opinion.empty()) text += "second_opinion = " + list(rule.second_opinion) + "\n";
  if (rule.cost_max) text += "cost_max = " + number(*rule.cost_max) + "\n";
  return text;
}

std::string shadow_text(const policy::ShadowExperiment& shadow) {
  std::string text = "\n[[shadow]]\nname = " + toml_quoted(shadow.name) + "\nshare = " + number(shadow.share) + "\n";
  if (shadow.tier) text += "tier = " + toml_quoted(to_string(*shadow.tier)) + "\n";
  if (!shadow.policy.empty()) text += "policy = " + toml_quoted(shadow.policy) + "\n";
  std::string when;
  if (!shadow.assurance.empty()) when = "assurance = " + list(shadow.assurance);
  if (!shadow.tenant.empty()) when += std::string(when.empty() ? "" : ", ") + "tenant = " + list(shadow.tenant);
  return when.empty() ? text : text + "when = { " + when + " }\n";
}

std::string prices_text(const policy::RoutingPolicy& policy) {
  std::string text;
  for (const Tier tier : policy::tiers) {
    const policy::TokenPrice& price = policy.price[policy::place_of(tier)];
    if (price == policy::TokenPrice{}) continue;
    text += std::string(to_string(tier)) + " = { prompt_million = " + number(price.prompt_million) +
            ", answer_million = " + number(price.answer_million) + " }\n";
  }
  return text.empty() ? text : "\n[price]\n" + text;
}

std::string calibrations_text(const policy::RoutingPolicy& policy) {
  std::string text;
  for (const Tier tier : policy::tiers) {
    std::string points;
    for (const auto& point : policy.calibration[policy::place_of(tier)].points) {
      points += (points.empty() ? "[" : ", [") + number(point.raw) + ", " + number(point.right) + "]";
    }
    if (!points.empty()) text += std::string(to_string(tier)) + " = [" + points + "]\n";
  }
  return text.empty() ? text : "\n[calibration]\n" + text;
}

std::string intent_text(const policy::Intent& intent) {
  std::vector<std::string> names;
  std::vector<std::string> ungrounded;
  std::vector<std::string> follow_up;
  std::vector<std::string> out_of_scope;
  const auto sort_in = [&](const policy::IntentLabel& label) {
    if (!label.grounded) ungrounded.push_back(label.name);
    if (label.follow_up) follow_up.push_back(label.name);
    if (label.out_of_scope) out_of_scope.push_back(label.name);
  };
  for (const policy::IntentLabel& label : intent.labels) {
    names.push_back(label.name);
    sort_in(label);
  }
  sort_in(intent.unknown);
  std::string text = "\n[intent]\nprompt = " + toml_quoted(intent.prompt) + "\nlabels = " + list(names) + "\n";
  text += "ungrounded = " + list(ungrounded) + "\nfollow_up = " + list(follow_up) + "\n";
  text += "out_of_scope = " + list(out_of_scope) + "\nconfidence_min = " + number(intent.confidence_min) + "\n";
  text += "out_of_scope_confidence_min = " + number(intent.out_of_scope_confidence_min) + "\n";
  if (intent.tier) text += "tier = " + toml_quoted(to_string(*intent.tier)) + "\n";
  return text + "out_of_scope_answer = " + toml_quoted(intent.out_of_scope_answer) + "\n";
}

std::string contracts_text(const policy::RoutingPolicy& policy) {
  std::string text;
  for (const policy::Stage stage : policy::stages) {
    const policy::Contract& contract = policy.contracts[policy::place_of(stage)];
    text += "\n[stage." + std::string(to_string(stage)) + "]\ndeadline_ms = " + std::to_string(contract.deadline_ms) + "\n";
    if (contract.prompt_tokens_max) text += "prompt_tokens_max = " + std::to_string(*contract.prompt_tokens_max) + "\n";
    if (contract.answer_tokens_max) text += "answer_tokens_max = " + std::to_string(*contract.answer_tokens_max) + "\n";
    text += "fallback = " + toml_quoted(to_string(contract.fallback)) + "\n";
  }
  return text;
}

}  // namespace

std::string to_toml(const policy::RoutingPolicy& policy) {
  std::string text = "tiers = " + list(policy.portfolio) + "\n";
  text += "recent_tokens = " + std::to_string(policy.recent_tokens) + "\n";
  text += "recent_turns = " + std::to_string(policy.recent_turns) + "\n";
  text += "summary_tokens = " + std::to_string(policy.summary_tokens) + "\n";
  text += "recalled_max = " + std::to_string(policy.recalled_max) + "\n";
  if (!policy.when_unsure.empty()) text += "when_unsure = " + toml_quoted(policy.when_unsure) + "\n";
  text += "when_unsupported = " + toml_quoted(policy.when_unsupported) + "\n";
  text += "passages_max = " + std::to_string(policy.passages_max) + "\n";
  text += "when_all_failed = " + toml_quoted(policy.when_all_failed) + "\n\n[prompt_tokens]\n";
  for (const Tier tier : policy::tiers) {
    text += std::string(to_string(tier)) + " = " + std::to_string(policy.prompt_tokens[policy::place_of(tier)]) + "\n";
  }
  text += "\n[prompt_passages]\n";
  for (const Tier tier : policy::tiers) {
    text += std::string(to_string(tier)) + " = " + std::to_string(policy.prompt_passages[policy::place_of(tier)]) + "\n";
  }
  text += prices_text(policy) + calibrations_text(policy) + intent_text(policy.intent) + contracts_text(policy);
  for (const RouteRule& rule : policy.rules) text += rule_text(rule);
  for (const policy::ShadowExperiment& shadow : policy.shadow) text += shadow_text(shadow);
  return text;
}

}  // namespace troupe::schemas
