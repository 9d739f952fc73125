// What a routing policy must be before anything is routed by it.
#include <algorithm>
#include <functional>
#include <string>

#include "policy/routing.hpp"

namespace troupe::policy {

namespace {

Error wrong(const RouteRule& rule, const std::string& what) {
  return {ErrorCode::invalid_argument, "rule \"" + rule.name + "\" " + what};
}

template <class T>
bool contains(const std::vector<T>& values, T value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

/// Whether what `inner` lets through, `outer` does too.
template <class T>
bool list_covers(const std::vector<T>& outer, const std::vector<T>& inner) {
  if (outer.empty()) return true;
  return !inner.empty() && std::all_of(inner.begin(), inner.end(), [&](T value) { return contains(outer, value); });
}

bool covers(const RouteConditions& outer, const RouteConditions& inner) {
  if (!list_covers(outer.requested, inner.requested) || !list_covers(outer.assurance, inner.assurance) ||
      !list_covers(outer.priority, inner.priority)) {
    return false;
  }
  const auto at_most = [](const auto& wide, const auto& narrow) { return !wide || (narrow && *narrow <= *wide); };
  const auto at_least = [](const auto& wide, const auto& narrow) { return !wide || (narrow && *narrow >= *wide); };
  return at_most(outer.latency_budget_ms_max, inner.latency_budget_ms_max) &&
         at_least(outer.prompt_tokens_min, inner.prompt_tokens_min) &&
         at_most(outer.prompt_tokens_max, inner.prompt_tokens_max) &&
         at_most(outer.retrieval_confidence_below, inner.retrieval_confidence_below) &&
         (!outer.grounded || outer.grounded == inner.grounded);
}

Result<void> check_conditions(const RouteRule& rule) {
  const RouteConditions& when = rule.when;
  if (when.latency_budget_ms_max && *when.latency_budget_ms_max < 1) {
    return wrong(rule, "can never match: its latency_budget_ms_max is " + std::to_string(*when.latency_budget_ms_max) +
                           ", and a budget has at least 1 ms");
  }
  const std::int32_t least = when.prompt_tokens_min.value_or(0);
  if (least < 0 || (when.prompt_tokens_max && *when.prompt_tokens_max < least)) {
    return wrong(rule, "can never match: its prompt_tokens_min is " + std::to_string(least) + " and its prompt_tokens_max " +
                           (when.prompt_tokens_max ? std::to_string(*when.prompt_tokens_max) : std::string("open")) +
                           ", expected 0 <= min <= max");
  }
  if (when.retrieval_confidence_below && !(*when.retrieval_confidence_below > 0 && *when.retrieval_confidence_below <= 1)) {
    return wrong(rule, "can never match: its retrieval_confidence_below is " +
                           std::to_string(*when.retrieval_confidence_below) + ", expected above 0, at most 1");
  }
  return {};
}

Result<void> check_ladder(const RouteRule& rule, const RoutingPolicy& policy) {
  if (!contains(policy.portfolio, rule.start)) {
    return wrong(rule, "starts with " + std::string(to_string(rule.start)) + ", which is not among the policy's tiers");
  }
  Tier before = rule.start;
  for (const Tier tier : rule.escalate) {
    if (tier <= before) {
      return wrong(rule, "escalates from " + std::string(to_string(before)) + " to " + std::string(to_string(tier)) +
                             "; each tier must be stronger than the one before it");
    }
    before = tier;
  }
  for (const Tier tier : tiers) {
    const double least = rule.confidence_min[place_of(tier)];
    if (!(least >= 0 && least <= 1)) {
      return wrong(
          rule, "asks of " + std::string(to_string(tier)) + " a confidence of " + std::to_string(least) + ", expected 0 to 1");
    }
  }
  return {};
}

Result<void> check_names(const RoutingPolicy& policy, std::size_t place) {
  const RouteRule& rule = policy.rules[place];
  if (rule.name.empty() || rule.name.size() > RoutingPolicy::name_bytes_max) {
    return Error{ErrorCode::invalid_argument, "rule " + std::to_string(place + 1) + " has a name of " +
                                                  std::to_string(rule.name.size()) + " bytes, expected 1 to " +
                                                  std::to_string(RoutingPolicy::name_bytes_max)};
  }
  for (std::size_t i = 0; i < place; ++i) {
    if (policy.rules[i].name == rule.name) {
      return wrong(rule, "is there twice, as rule " + std::to_string(i + 1) + " and " + std::to_string(place + 1) +
                             "; give each its own name");
    }
  }
  return {};
}

Result<void> check_rules(const RoutingPolicy& policy) {
  if (policy.rules.empty() || policy.rules.size() > RoutingPolicy::rules_max) {
    return Error{ErrorCode::invalid_argument, "the policy has " + std::to_string(policy.rules.size()) +
                                                  " rules, expected 1 to " + std::to_string(RoutingPolicy::rules_max)};
  }
  for (std::size_t place = 0; place < policy.rules.size(); ++place) {
    const RouteRule& rule = policy.rules[place];
    TROUPE_TRY_DO(check_names(policy, place));
    TROUPE_TRY_DO(check_conditions(rule));
    TROUPE_TRY_DO(check_ladder(rule, policy));
    for (std::size_t i = 0; i < place; ++i) {
      if (!covers(policy.rules[i].when, rule.when)) continue;
      return wrong(rule, "can never match: rule \"" + policy.rules[i].name +
                             "\" before it takes all that it could; move it up, or remove it");
    }
  }
  if (policy.rules.back().when != RouteConditions{}) {
    return wrong(policy.rules.back(), "is the last and has conditions; add one without any, or some questions have no rule");
  }
  return {};
}

Result<void> check_number(std::string_view name, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value >= low && value <= high) return {};
  return Error{ErrorCode::out_of_range, std::string(name) + " is " + std::to_string(value) + ", expected " +
                                            std::to_string(low) + " to " + std::to_string(high)};
}

}  // namespace

Result<void> validate(const RoutingPolicy& policy) {
  const auto& portfolio = policy.portfolio;
  if (portfolio.empty() || std::adjacent_find(portfolio.begin(), portfolio.end(), std::greater_equal<>()) != portfolio.end()) {
    return Error{ErrorCode::invalid_argument,
                 "the policy's tiers must be at least one of mini, medium and heavy, in this order, "
                 "each once"};
  }
  for (const Tier tier : tiers) {
    TROUPE_TRY_DO(check_number("prompt_tokens of " + std::string(to_string(tier)), policy.prompt_tokens[place_of(tier)], 1,
                               RoutingPolicy::tokens_limit));
    TROUPE_TRY_DO(check_number("prompt_passages of " + std::string(to_string(tier)), policy.prompt_passages[place_of(tier)], 0,
                               RoutingPolicy::passages_limit));
  }
  TROUPE_TRY_DO(check_number("recent_tokens", policy.recent_tokens, 0, RoutingPolicy::tokens_limit));
  TROUPE_TRY_DO(check_number("passages_max", policy.passages_max, 0, RoutingPolicy::passages_limit));
  if (policy.when_all_failed.size() > RoutingPolicy::text_bytes_max) {
    return Error{ErrorCode::out_of_range, "when_all_failed has " + std::to_string(policy.when_all_failed.size()) +
                                              " bytes, expected at most " + std::to_string(RoutingPolicy::text_bytes_max)};
  }
  return check_rules(policy);
}

}  // namespace troupe::policy
