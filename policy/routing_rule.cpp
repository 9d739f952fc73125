#include "policy/routing_rule.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace troupe::policy {

namespace {

template <class T>
bool allows(const std::vector<T>& values, const T& value) {
  return values.empty() || std::find(values.begin(), values.end(), value) != values.end();
}

std::string joined(const std::vector<std::string>& parts, std::string_view between) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : std::string(between)) + part;
  return text;
}

template <class T>
std::string either(const std::vector<T>& values) {
  std::vector<std::string> names;
  for (const T& value : values) names.emplace_back(to_string(value));
  return joined(names, " or ");
}
std::string either(const std::vector<std::string>& values) { return joined(values, " or "); }

std::string limits_of_tokens(const RouteConditions& when) {
  std::vector<std::string> limits;
  if (when.prompt_tokens_min) limits.push_back("at least " + std::to_string(*when.prompt_tokens_min));
  if (when.prompt_tokens_max) limits.push_back("at most " + std::to_string(*when.prompt_tokens_max));
  return joined(limits, " and ");
}

std::string conditions_of(const RouteConditions& when) {
  std::vector<std::string> parts;
  if (!when.requested.empty()) parts.push_back("the client asks for " + either(when.requested));
  if (!when.assurance.empty()) parts.push_back("assurance is " + either(when.assurance));
  if (!when.priority.empty()) parts.push_back("priority is " + either(when.priority));
  if (!when.kind.empty()) parts.push_back("the question is taken for " + either(when.kind));
  if (when.kind_confidence_below) {
    parts.push_back("what it is taken for is less sure than " + shown(*when.kind_confidence_below));
  }
  if (!when.tenant.empty()) parts.push_back("the tenant is " + either(when.tenant));
  if (when.latency_budget_ms_max) {
    parts.push_back("the latency budget is at most " + std::to_string(*when.latency_budget_ms_max) + " ms");
  }
  if (when.prompt_tokens_min || when.prompt_tokens_max) {
    parts.push_back("the context has " + limits_of_tokens(when) + " tokens");
  }
  if (when.grounded) parts.emplace_back(*when.grounded ? "passages come with it" : "no passages come with it");
  if (when.retrieval_confidence_below) {
    parts.push_back("retrieval is less sure than " + shown(*when.retrieval_confidence_below));
  }
  return joined(parts, " and ");
}

std::string sampling_of(const RouteRule& rule) {
  switch (rule.sample) {
    case SampleAs::as_asked: return "a draft sampled as the client asks";
    case SampleAs::greedy: return "greedy";
    case SampleAs::sampled:
      return "a draft sampled at temperature " + rounded(static_cast<double>(rule.sampling.temperature)) + ", top_p " +
             rounded(static_cast<double>(rule.sampling.top_p));
  }
  return "unknown";
}

}  // namespace

std::string shown(double value) {
  std::array<char, 32> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

std::string rounded(double value) {
  constexpr int digits = 4;
  std::array<char, 32> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::general, digits).ptr};
}

bool matches(const RouteConditions& when, const RouteFacts& facts) {
  if (!when.requested.empty() && !(facts.requested && allows(when.requested, *facts.requested))) return false;
  if (!allows(when.assurance, facts.assurance) || !allows(when.priority, facts.priority)) return false;
  if (!when.kind.empty() && !(facts.kind && allows(when.kind, *facts.kind))) return false;
  if (when.kind_confidence_below && !(facts.kind_confidence && *facts.kind_confidence < *when.kind_confidence_below))
    return false;
  if (!allows(when.tenant, facts.tenant)) return false;
  if (when.latency_budget_ms_max && (facts.latency_budget_ms <= 0 || facts.latency_budget_ms > *when.latency_budget_ms_max)) {
    return false;
  }
  if (when.prompt_tokens_min && facts.prompt_tokens < *when.prompt_tokens_min) return false;
  if (when.prompt_tokens_max && facts.prompt_tokens > *when.prompt_tokens_max) return false;
  if (when.retrieval_confidence_below &&
      !(facts.retrieval_confidence && *facts.retrieval_confidence < *when.retrieval_confidence_below)) {
    return false;
  }
  return !when.grounded || *when.grounded == facts.grounded;
}

std::string inputs_of(const RouteConditions& when, const RouteFacts& facts) {
  std::vector<std::string> inputs;
  if (!when.requested.empty()) inputs.push_back("the client asks for " + std::string(to_string(*facts.requested)));
  if (!when.assurance.empty()) inputs.push_back("assurance is " + std::string(to_string(facts.assurance)));
  if (!when.priority.empty()) inputs.push_back("priority is " + std::string(to_string(facts.priority)));
  if (!when.kind.empty()) inputs.push_back("the question is taken for " + *facts.kind);
  if (when.kind_confidence_below) {
    inputs.push_back("the confidence of its kind is " + rounded(*facts.kind_confidence) + " (below " +
                     shown(*when.kind_confidence_below) + ")");
  }
  if (!when.tenant.empty()) inputs.push_back("the tenant is " + facts.tenant);
  if (when.latency_budget_ms_max) {
    inputs.push_back("the latency budget is " + std::to_string(facts.latency_budget_ms) + " ms (at most " +
                     std::to_string(*when.latency_budget_ms_max) + ")");
  }
  if (when.prompt_tokens_min || when.prompt_tokens_max) {
    inputs.push_back("the context has " + std::to_string(facts.prompt_tokens) + " tokens (" + limits_of_tokens(when) + ")");
  }
  if (when.grounded) {
    const bool found = facts.retrieval_confidence.has_value();
    inputs.emplace_back(!facts.grounded ? "no passages come with it"
                        : found         ? "passages come with it"
                                        : "it is for the corpus");
  }
  if (when.retrieval_confidence_below) {
    inputs.push_back("retrieval confidence is " + rounded(*facts.retrieval_confidence) + " (below " +
                     shown(*when.retrieval_confidence_below) + ")");
  }
  return inputs.empty() ? "nothing more particular matches" : joined(inputs, ", ");
}

std::string sentence_of(const RouteRule& rule) {
  const std::string conditions = conditions_of(rule.when);
  std::string text = (conditions.empty() ? "otherwise" : "if " + conditions) + ": " + std::string(to_string(rule.start));
  Tier before = rule.start;
  for (const Tier tier : rule.escalate) {
    const bool opinion = std::find(rule.second_opinion.begin(), rule.second_opinion.end(), tier) != rule.second_opinion.end();
    const double least = rule.confidence_min[place_of(before)];
    const double uncited = rule.uncited_min[place_of(before)];
    text += ", below " + shown(least) + (uncited > least ? " (or " + shown(uncited) + " without a citation)" : "") + " " +
            std::string(to_string(tier)) + (opinion ? " for a second opinion" : "");
    before = tier;
  }
  const double least = rule.confidence_min[place_of(before)];
  if (least > 0) text += ", whose answer is marked below " + shown(least);
  text += "; " + sampling_of(rule);
  if (rule.cost_max) text += "; for at most " + rounded(*rule.cost_max);
  return text;
}

}  // namespace troupe::policy
