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
  if (!when.tenant.empty()) add("tenant", list(when.tenant));
  if (when.retrieval_confidence_below) add("retrieval_confidence_below", number(*when.retrieval_confidence_below));
  return text;
}

std::string rule_text(const RouteRule& rule) {
  std::string text = "\n[[rule]]\nname = " + toml_quoted(rule.name) + "\n";
  if (rule.when != RouteConditions{}) text += "when = { " + when_text(rule.when) + " }\n";
  text += "start = " + toml_quoted(to_string(rule.start)) + "\n";
  if (!rule.escalate.empty()) text += "escalate = " + list(rule.escalate) + "\n";
  if (rule.confidence_min != PerTier<double>{}) {
    std::string least;
    for (const Tier tier : policy::tiers) {
      const double value = rule.confidence_min[policy::place_of(tier)];
      if (value != 0) least += (least.empty() ? "" : ", ") + std::string(to_string(tier)) + " = " + number(value);
    }
    text += "confidence_min = { " + least + " }\n";
  }
  if (rule.sample != policy::SampleAs::as_asked) text += "sample = " + toml_quoted(to_string(rule.sample)) + "\n";
  if (rule.sampling.temperature != 0) text += "temperature = " + number(rule.sampling.temperature) + "\n";
  if (rule.sampling.top_p != 1) text += "top_p = " + number(rule.sampling.top_p) + "\n";
  if (!rule.second_opinion.empty()) text += "second_opinion = " + list(rule.second_opinion) + "\n";
  if (rule.cost_max) text += "cost_max = " + number(*rule.cost_max) + "\n";
  return text;
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

}  // namespace

std::string to_toml(const policy::RoutingPolicy& policy) {
  std::string text = "tiers = " + list(policy.portfolio) + "\n";
  text += "recent_tokens = " + std::to_string(policy.recent_tokens) + "\n";
  text += "recent_turns = " + std::to_string(policy.recent_turns) + "\n";
  text += "summary_tokens = " + std::to_string(policy.summary_tokens) + "\n";
  text += "recalled_max = " + std::to_string(policy.recalled_max) + "\n";
  if (!policy.when_unsure.empty()) text += "when_unsure = " + toml_quoted(policy.when_unsure) + "\n";
  text += "passages_max = " + std::to_string(policy.passages_max) + "\n";
  text += "when_all_failed = " + toml_quoted(policy.when_all_failed) + "\n\n[prompt_tokens]\n";
  for (const Tier tier : policy::tiers) {
    text += std::string(to_string(tier)) + " = " + std::to_string(policy.prompt_tokens[policy::place_of(tier)]) + "\n";
  }
  text += "\n[prompt_passages]\n";
  for (const Tier tier : policy::tiers) {
    text += std::string(to_string(tier)) + " = " + std::to_string(policy.prompt_passages[policy::place_of(tier)]) + "\n";
  }
  text += prices_text(policy) + calibrations_text(policy);
  for (const RouteRule& rule : policy.rules) text += rule_text(rule);
  return text;
}

}  // namespace troupe::schemas
