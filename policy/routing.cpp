#include "policy/routing.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/check.hpp"

namespace troupe::policy {

namespace {

template <class T>
bool contains(const std::vector<T>& values, T value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

/// As short as it can be and still be the same number.
std::string shown(double value) {
  std::array<char, 32> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

/// To two digits behind the point.
std::string rounded(double value) {
  std::array<char, 32> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed, 2).ptr};
}

template <class T>
bool allows(const std::vector<T>& values, T value) {
  return values.empty() || contains(values, value);
}

bool matches(const RouteConditions& when, const RouteFacts& facts) {
  if (!when.requested.empty() && !(facts.requested && contains(when.requested, *facts.requested))) return false;
  if (!allows(when.assurance, facts.assurance) || !allows(when.priority, facts.priority)) return false;
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

/// The inputs that the rule looked at, with their values.
std::string inputs_of(const RouteConditions& when, const RouteFacts& facts) {
  std::string text;
  const auto add = [&text](const std::string& input) { text += (text.empty() ? "" : ", ") + input; };
  if (!when.requested.empty()) add("the client asks for " + std::string(to_string(*facts.requested)));
  if (!when.assurance.empty()) add("assurance is " + std::string(to_string(facts.assurance)));
  if (!when.priority.empty()) add("priority is " + std::string(to_string(facts.priority)));
  if (when.latency_budget_ms_max) {
    add("the latency budget is " + std::to_string(facts.latency_budget_ms) + " ms (at most " +
        std::to_string(*when.latency_budget_ms_max) + ")");
  }
  if (when.prompt_tokens_min || when.prompt_tokens_max) {
    std::string limits = when.prompt_tokens_min ? "at least " + std::to_string(*when.prompt_tokens_min) : "";
    if (when.prompt_tokens_max) {
      limits += (limits.empty() ? "at most " : " and at most ") + std::to_string(*when.prompt_tokens_max);
    }
    add("the context has " + std::to_string(facts.prompt_tokens) + " tokens (" + limits + ")");
  }
  if (when.retrieval_confidence_below) {
    add("the search's confidence is " + rounded(*facts.retrieval_confidence) + " (below " +
        shown(*when.retrieval_confidence_below) + ")");
  }
  if (when.grounded) add(facts.grounded ? "passages come with it" : "no passages come with it");
  return text.empty() ? "nothing more particular matches" : text;
}

std::string ladder_text(const std::vector<Rung>& ladder) {
  std::string text(to_string(ladder.front().tier));
  for (std::size_t i = 1; i < ladder.size(); ++i) {
    text += ", below " + shown(ladder[i - 1].confidence_min) + " " + std::string(to_string(ladder[i].tier));
  }
  return text;
}

RouteDecision decide(const RoutingPolicy& policy, const RouteRule& rule, const RouteFacts& facts) {
  RouteDecision decision;
  decision.rule = rule.name;
  decision.greedy = rule.sample == SampleAs::greedy || facts.assurance != Assurance::draft;
  decision.held_back = facts.assurance != Assurance::draft;
  const auto add = [&](Tier tier) { decision.ladder.push_back({tier, rule.confidence_min[place_of(tier)]}); };
  std::string missing;
  if (facts.requested) {
    add(*facts.requested);
  } else {
    add(rule.start);
    for (const Tier tier : rule.escalate) {
      if (contains(policy.portfolio, tier)) {
        add(tier);
      } else {
        missing += "; the portfolio has no " + std::string(to_string(tier));
      }
    }
  }
  decision.why = "rule \"" + rule.name + "\": " + inputs_of(rule.when, facts) + "; " +
                 (facts.requested ? "as the client asks, " + std::string(to_string(*facts.requested)) + " alone"
                                  : ladder_text(decision.ladder) + missing);
  return decision;
}

/// The tier after `tier` on the ladder.
std::optional<Tier> next_on(const std::vector<Rung>& ladder, Tier tier) {
  const auto at = std::find_if(ladder.begin(), ladder.end(), [tier](const Rung& rung) { return rung.tier == tier; });
  if (at == ladder.end() || at + 1 == ladder.end()) return std::nullopt;
  return (at + 1)->tier;
}

}  // namespace

std::string_view to_string(SampleAs sample) {
  switch (sample) {
    case SampleAs::as_asked: return "as_asked";
    case SampleAs::greedy: return "greedy";
  }
  return "unknown";
}

std::optional<SampleAs> sample_as_of(std::string_view name) {
  for (const SampleAs sample : {SampleAs::as_asked, SampleAs::greedy}) {
    if (to_string(sample) == name) return sample;
  }
  return std::nullopt;
}

RoutingPolicy default_policy() {
  constexpr PerTier<double> cascade = {0.85, 0.8, 0.8};
  RoutingPolicy policy;
  RouteRule tight{.name = "tight", .when = {}, .start = Tier::mini, .escalate = {}, .confidence_min = cascade};
  tight.when.assurance = {Assurance::draft};
  tight.when.latency_budget_ms_max = 300;
  tight.sample = SampleAs::greedy;
  RouteRule long_context{.name = "long", .when = {}, .start = Tier::heavy, .escalate = {}, .confidence_min = cascade};
  long_context.when.prompt_tokens_min = policy.prompt_tokens[place_of(Tier::mini)] + 1;
  RouteRule draft{.name = "draft", .when = {}, .start = Tier::heavy, .escalate = {}, .confidence_min = cascade};
  draft.when.assurance = {Assurance::draft};
  RouteRule standard{.name = "standard", .when = {}, .start = Tier::mini, .escalate = {}, .confidence_min = cascade};
  standard.escalate = {Tier::medium, Tier::heavy};
  RouteRule doubtful{.name = "doubtful", .when = {}, .start = Tier::heavy, .escalate = {}, .confidence_min = cascade};
  doubtful.when.retrieval_confidence_below = 0.6;
  policy.rules = {tight, long_context, draft, doubtful, standard};
  return policy;
}

Result<RouteDecision> route(const RoutingPolicy& policy, const RouteFacts& facts) {
  if (facts.requested && !contains(policy.portfolio, *facts.requested)) {
    std::string there;
    for (const Tier tier : policy.portfolio) there += (there.empty() ? "" : ", ") + std::string(to_string(tier));
    return Error{ErrorCode::unsupported, "this cluster's portfolio has no " + std::string(to_string(*facts.requested)) +
                                             "; it has " + there + ": ask for one of these, or for none"};
  }
  const auto rule = std::find_if(policy.rules.begin(), policy.rules.end(),
                                 [&](const RouteRule& candidate) { return matches(candidate.when, facts); });
  TROUPE_CHECK(rule != policy.rules.end(), "the last rule of a valid policy always matches");
  RouteDecision decision = decide(policy, *rule, facts);
  if (!contains(facts.served, decision.start())) {
    return Error{ErrorCode::unavailable, "no node serves " + std::string(to_string(decision.start())) +
                                             " now, which is to answer (" + decision.why + "); start one, or wait for it"};
  }
  return decision;
}

Decision after_attempt(const RouteDecision& route, const AttemptPlan& plan, double confidence, std::string_view finish_reason,
                       const std::string& failed_check) {
  using Verdict = Decision::Verdict;
  const std::string tier(to_string(plan.tier));
  const auto next = next_on(route.ladder, plan.tier);
  const auto escalate = [&](const std::string& why) {
    return Decision{Verdict::escalate, false, next, why + "; " + std::string(to_string(*next)) + " follows"};
  };
  if (finish_reason == "cancelled" || finish_reason == "deadline_exceeded") {
    return {Verdict::fail, false, std::nullopt, "the answer of " + tier + " ended: " + std::string(finish_reason)};
  }
  const bool cut_short = finish_reason == "length";
  if (!cut_short && finish_reason != "end_token" && finish_reason != "stop_token" && finish_reason != "stop_string") {
    if (next) return escalate(tier + " failed");
    return {Verdict::fail, false, std::nullopt, tier + " failed, and no stronger tier is left"};
  }
  const bool sure = failed_check.empty() && confidence >= plan.confidence_min;  // not if it is no number
  const std::string seen = "confidence " + shown(confidence) + " of " + tier;
  if (sure && !cut_short) {
    return {Verdict::commit, true, std::nullopt, seen + " reaches " + shown(plan.confidence_min)};
  }
  const std::string short_of =
      sure                   ? "the answer of " + tier + " was cut short after " + std::to_string(plan.tokens_max) + " tokens"
      : failed_check.empty() ? seen + " is below " + shown(plan.confidence_min)
                             : failed_check + " (" + seen + ")";
  if (!plan.held_back) return {Verdict::commit, false, std::nullopt, short_of + "; it has been shown and stays"};
  if (!next) return {Verdict::commit, false, std::nullopt, short_of + ", and no stronger tier is left"};
  return escalate(short_of);
}

}  // namespace troupe::policy
