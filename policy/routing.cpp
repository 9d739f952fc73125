#include "policy/routing.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "policy/routing_rule.hpp"

namespace troupe::policy {

namespace {

template <class T>
bool contains(const std::vector<T>& values, T value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

std::string ladder_text(const std::vector<Rung>& ladder) {
  std::string text(to_string(ladder.front().tier));
  for (std::size_t i = 1; i < ladder.size(); ++i) {
    text += ", below " + shown(ladder[i - 1].confidence_min) + " " + std::string(to_string(ladder[i].tier)) +
            (ladder[i].second_opinion ? " for a second opinion" : "");
  }
  return text;
}

/// What an answer of this tier costs if it is as long as asked for.
double cost_of_attempt(const RoutingPolicy& policy, Tier tier, const RouteFacts& facts) {
  const std::size_t place = place_of(tier);
  return policy.price[place].of(std::min(facts.prompt_tokens, policy.prompt_tokens[place]), facts.tokens_max);
}

bool affords_start(const RoutingPolicy& policy, const RouteRule& rule, const RouteFacts& facts) {
  return !rule.cost_max || cost_of_attempt(policy, facts.requested.value_or(rule.start), facts) <= *rule.cost_max;
}

/// The rule's tiers that the portfolio has and the rule may spend money on. What is left out is named in `left_out`.
std::vector<Rung> ladder_of(const RoutingPolicy& policy, const RouteRule& rule, const RouteFacts& facts,
                            std::string& left_out) {
  const auto rung = [&](Tier tier) {
    return Rung{tier, rule.confidence_min[place_of(tier)], contains(rule.second_opinion, tier),
                rule.uncited_min[place_of(tier)]};
  };
  if (facts.requested) return {Rung{*facts.requested, rule.confidence_min[place_of(*facts.requested)]}};
  std::vector<Rung> ladder = {rung(rule.start)};
  double cost = cost_of_attempt(policy, rule.start, facts);
  for (const Tier tier : rule.escalate) {
    const double more = cost_of_attempt(policy, tier, facts);
    if (!contains(policy.portfolio, tier)) {
      left_out += "; the portfolio has no " + std::string(to_string(tier));
    } else if (rule.cost_max && cost + more > *rule.cost_max) {
      left_out += "; without " + std::string(to_string(tier)) + ", which could bring the cost to " + rounded(cost + more) +
                  " (at most " + rounded(*rule.cost_max) + ")";
    } else {
      ladder.push_back(rung(tier));
      cost += more;
    }
  }
  return ladder;
}

RouteDecision decide(const RoutingPolicy& policy, const RouteRule& rule, const RouteFacts& facts) {
  RouteDecision decision;
  decision.rule = rule.name;
  decision.greedy = rule.sample == SampleAs::greedy || facts.assurance != Assurance::draft;
  if (rule.sample == SampleAs::sampled && !decision.greedy) decision.sampling = rule.sampling;
  decision.held_back = facts.assurance != Assurance::draft;
  std::string left_out;
  decision.ladder = ladder_of(policy, rule, facts, left_out);
  decision.why = "rule \"" + rule.name + "\": " + inputs_of(rule.when, facts) + "; " +
                 (facts.requested ? "as the client asks, " + std::string(to_string(*facts.requested)) + " alone"
                                  : ladder_text(decision.ladder) + left_out);
  return decision;
}

}  // namespace

std::string_view to_string(SampleAs sample) {
  switch (sample) {
    case SampleAs::as_asked: return "as_asked";
    case SampleAs::greedy: return "greedy";
    case SampleAs::sampled: return "sampled";
  }
  return "unknown";
}

std::optional<SampleAs> sample_as_of(std::string_view name) {
  for (const SampleAs sample : {SampleAs::as_asked, SampleAs::greedy, SampleAs::sampled}) {
    if (to_string(sample) == name) return sample;
  }
  return std::nullopt;
}

bool RoutingPolicy::asks_for_kind() const {
  return std::any_of(rules.begin(), rules.end(), [](const RouteRule& rule) {
    const bool asks = !rule.when.kind.empty() || rule.when.kind_confidence_below;
    return asks && !rule.when.grounded.value_or(false);
  });
}

RoutingPolicy default_policy() {
  constexpr PerTier<double> cascade = {0.85, 0.75, 0.8};
  RoutingPolicy policy;
  const auto rule = [&](const char* name, Tier start) {
    RouteRule made;
    made.name = name;
    made.start = start;
    made.confidence_min = cascade;
    return made;
  };
  RouteRule tight = rule("tight", Tier::mini);
  tight.when.assurance = {Assurance::draft};
  tight.when.latency_budget_ms_max = 300;
  tight.sample = SampleAs::greedy;
  RouteRule long_context = rule("long", Tier::heavy);
  long_context.when.prompt_tokens_min = policy.prompt_tokens[place_of(Tier::mini)] + 1;
  RouteRule draft = rule("draft", Tier::heavy);
  draft.when.assurance = {Assurance::draft};
  RouteRule grounded = rule("grounded", Tier::medium);
  grounded.when.grounded = true;
  grounded.escalate = {Tier::heavy};
  grounded.uncited_min[place_of(Tier::medium)] = 1;
  RouteRule doubtful = grounded;
  doubtful.name = "doubtful";
  doubtful.when = {};
  doubtful.when.retrieval_confidence_below = 0.6;
  doubtful.confidence_min[place_of(Tier::medium)] = 0.85;
  RouteRule compare = rule("compare", Tier::heavy);
  compare.when.kind = {"compare"};
  compare.when.grounded = true;
  RouteRule standard = rule("standard", Tier::mini);
  standard.escalate = {Tier::medium, Tier::heavy};
  policy.rules = {tight, long_context, draft, doubtful, compare, grounded, standard};
  return policy;
}

Result<RouteDecision> route(const RoutingPolicy& policy, const RouteFacts& facts) {
  if (facts.requested && !contains(policy.portfolio, *facts.requested)) {
    std::string there;
    for (const Tier tier : policy.portfolio) there += (there.empty() ? "" : ", ") + std::string(to_string(tier));
    return Error{ErrorCode::unsupported, "this cluster's portfolio has no " + std::string(to_string(*facts.requested)) +
                                             "; it has " + there + ": ask for one of these, or for none"};
  }
  const auto rule = std::find_if(policy.rules.begin(), policy.rules.end(), [&](const RouteRule& candidate) {
    return matches(candidate.when, facts) && affords_start(policy, candidate, facts);
  });
  TROUPE_CHECK(rule != policy.rules.end(), "the last rule of a valid policy always matches");
  RouteDecision decision = decide(policy, *rule, facts);
  if (!contains(facts.served, decision.start())) {
    return Error{ErrorCode::unavailable, "no node serves " + std::string(to_string(decision.start())) +
                                             " now, which is to answer (" + decision.why + "); start one, or wait for it"};
  }
  return decision;
}

}  // namespace troupe::policy
