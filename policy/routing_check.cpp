#include "policy/routing_check.hpp"

#include <algorithm>
#include <functional>
#include <string>

#include "policy/contract_check.hpp"
#include "policy/memory.hpp"
#include "policy/route_region.hpp"
#include "policy/routing_rule.hpp"

namespace troupe::policy {

namespace {

using Weight = PolicyFinding::Weight;

template <class T>
bool contains(const std::vector<T>& values, const T& value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

class Checker {
 public:
  explicit Checker(const RoutingPolicy& policy) : policy_(policy) {
    for (const RouteRule& rule : policy.rules) {
      for (const std::string& tenant : rule.when.tenant) {
        if (!contains(tenants_, tenant)) tenants_.push_back(tenant);
      }
    }
  }

  std::vector<PolicyFinding> findings() {
    check_portfolio();
    check_numbers();
    check_intent();
    check_stages(policy_, findings_);
    if (policy_.rules.empty() || policy_.rules.size() > RoutingPolicy::rules_max) {
      find("the policy has " + std::to_string(policy_.rules.size()) + " rules, expected 1 to " +
           std::to_string(RoutingPolicy::rules_max));
      return std::move(findings_);
    }
    if (tenants_.size() > RoutingPolicy::tenants_max) {
      find("the policy names " + std::to_string(tenants_.size()) + " tenants, expected at most " +
           std::to_string(RoutingPolicy::tenants_max));
      return std::move(findings_);
    }
    if (policy_.intent.labels.size() > Intent::labels_max) return std::move(findings_);
    for (std::size_t place = 0; place < policy_.rules.size(); ++place) {
      rule_ = &policy_.rules[place];
      check_name(place);
      check_ladder();
      check_contract();
      if (check_conditions()) check_reach(place);
    }
    rule_ = &policy_.rules.back();
    if (rule_->when != RouteConditions{} || rule_->cost_max) {
      wrong("is the last and has conditions; add one without any, or some questions have no rule");
    }
    return std::move(findings_);
  }

 private:
  void find(std::string message, ErrorCode code = ErrorCode::invalid_argument, Weight weight = Weight::error) {
    findings_.push_back({weight, code, rule_ == nullptr ? "" : rule_->name, std::move(message)});
  }
  void wrong(const std::string& what) { find("rule \"" + rule_->name + "\" " + what); }
  void warn(const std::string& what) {
    find("rule \"" + rule_->name + "\" " + what, ErrorCode::invalid_argument, Weight::warning);
  }

  void check_portfolio() {
    const auto& portfolio = policy_.portfolio;
    const auto unordered = std::adjacent_find(portfolio.begin(), portfolio.end(), std::greater_equal<>());
    if (!portfolio.empty() && unordered == portfolio.end()) return;
    find("the policy's tiers must be at least one of mini, medium and heavy, in this order, each once");
  }

  void check_number(const std::string& name, std::int64_t value, std::int64_t low, std::int64_t high) {
    if (value >= low && value <= high) return;
    find(name + " is " + std::to_string(value) + ", expected " + std::to_string(low) + " to " + std::to_string(high),
         ErrorCode::out_of_range);
  }

  void check_number(const std::string& name, double value, double high) {
    if (value >= 0 && value <= high) return;
    find(name + " is " + shown(value) + ", expected 0 to " + shown(high), ErrorCode::out_of_range);
  }

  void check_text(const std::string& name, const std::string& text) {
    if (text.size() <= RoutingPolicy::text_bytes_max) return;
    find(name + " has " + std::to_string(text.size()) + " bytes, expected at most " +
             std::to_string(RoutingPolicy::text_bytes_max),
         ErrorCode::out_of_range);
  }

  void check_numbers() {
    for (const Tier tier : tiers) {
      const std::string of = " of " + std::string(to_string(tier));
      check_number("prompt_tokens" + of, policy_.prompt_tokens[place_of(tier)], 1, RoutingPolicy::tokens_limit);
      check_number("prompt_passages" + of, policy_.prompt_passages[place_of(tier)], 0, RoutingPolicy::passages_limit);
      const TokenPrice& price = policy_.price[place_of(tier)];
      check_number("price" + of + " for a prompt", price.prompt_million, RoutingPolicy::price_limit);
      check_number("price" + of + " for an answer", price.answer_million, RoutingPolicy::price_limit);
      check_calibration(tier);
    }
    check_number("recent_tokens", policy_.recent_tokens, 0, RoutingPolicy::tokens_limit);
    check_number("recent_turns", policy_.recent_turns, 1, RoutingPolicy::tokens_limit);
    check_number("summary_tokens", policy_.summary_tokens, 0, RoutingPolicy::tokens_limit);
    check_number("recalled_max", policy_.recalled_max, 0, RoutingPolicy::recalled_limit);
    check_number("passages_max", policy_.passages_max, 0, RoutingPolicy::passages_limit);
    for (const std::string& fault : faults_of(policy_.shadow)) find(fault);
    check_text("when_all_failed", policy_.when_all_failed);
    check_text("when_unsure", policy_.when_unsure);
    check_text("when_unsupported", policy_.when_unsupported);
    if (!policy_.when_unsure.empty() && policy_.when_unsure.find("{quote}") == std::string::npos) {
      find("when_unsure quotes nothing; write {quote} where the passage is to stand");
    }
  }

  void check_intent() {
    for (Error& fault : check(policy_.intent)) find(std::move(fault.message), fault.code);
    check_intent_prompt();
    if (!policy_.intent.tier || contains(policy_.portfolio, *policy_.intent.tier)) return;
    find("intent.tier is " + std::string(to_string(*policy_.intent.tier)) + ", which is not among the policy's tiers");
  }

  void check_intent_prompt() {
    const Tier tier = policy_.classifier();
    std::int32_t most = policy_.prompt_tokens[place_of(tier)];
    most = std::min(most, policy_.contracts[place_of(Stage::intent)].prompt_tokens_max.value_or(most));
    const std::int32_t about = estimate_tokens(policy_.intent.prompt);
    if (about < most) return;
    find("intent.prompt has about " + std::to_string(about) + " tokens, and " + std::string(to_string(tier)) +
             ", which classifies, reads at most " + std::to_string(most) + " with the question: its kind may always be unknown",
         ErrorCode::invalid_argument, Weight::warning);
  }

  void check_calibration(Tier tier) {
    const std::string name = "calibration of " + std::string(to_string(tier));
    const auto& points = policy_.calibration[place_of(tier)].points;
    if (points.size() > Calibration::points_max) {
      find(name + " has " + std::to_string(points.size()) + " points, expected at most " +
               std::to_string(Calibration::points_max),
           ErrorCode::out_of_range);
    }
    Calibration::Point before;
    for (const Calibration::Point& point : points) {
      const bool inside = point.raw >= 0 && point.raw <= 1 && point.right >= 0 && point.right <= 1;
      if (!inside || point.raw < before.raw || point.right < before.right) {
        find(name + " has the point [" + shown(point.raw) + ", " + shown(point.right) + "] after [" + shown(before.raw) + ", " +
             shown(before.right) + "]; both numbers ascend from 0 to 1");
        return;
      }
      before = point;
    }
    if (!points.empty() && points.back().raw != 1) find(name + " ends at " + shown(points.back().raw) + ", expected 1");
  }

  void check_name(std::size_t place) {
    if (rule_->name.empty() || rule_->name.size() > RoutingPolicy::name_bytes_max) {
      find("rule " + std::to_string(place + 1) + " has a name of " + std::to_string(rule_->name.size()) +
           " bytes, expected 1 to " + std::to_string(RoutingPolicy::name_bytes_max));
    }
    for (std::size_t i = 0; i < place; ++i) {
      if (policy_.rules[i].name != rule_->name) continue;
      return wrong("is there twice, as rule " + std::to_string(i + 1) + " and " + std::to_string(place + 1) +
                   "; give each its own name");
    }
  }

  void check_ladder() {
    if (!contains(policy_.portfolio, rule_->start)) {
      wrong("starts with " + std::string(to_string(rule_->start)) + ", which is not among the policy's tiers");
    }
    Tier before = rule_->start;
    for (const Tier tier : rule_->escalate) {
      if (tier <= before) {
        wrong("escalates from " + std::string(to_string(before)) + " to " + std::string(to_string(tier)) +
              "; each tier must be stronger than the one before it, or answers could go round in circles");
      } else if (rule_->confidence_min[place_of(before)] == 0) {
        warn("escalates from " + std::string(to_string(before)) +
             " only if that fails: its confidence_min is 0, which every answer reaches");
      }
      before = tier;
    }
    check_second_opinions();
  }

  void check_second_opinions() {
    for (const Tier tier : rule_->second_opinion) {
      const std::string name(to_string(tier));
      const auto at = std::find(rule_->escalate.begin(), rule_->escalate.end(), tier);
      if (at == rule_->escalate.end()) {
        wrong("wants a second opinion of " + name + ", which it does not escalate to; add it to escalate");
      } else if (at + 1 != rule_->escalate.end()) {
        const TokenPrice& own = policy_.price[place_of(tier)];
        const TokenPrice& next = policy_.price[place_of(*(at + 1))];
        if (own.prompt_million + own.answer_million >= next.prompt_million + next.answer_million && own != TokenPrice{}) {
          warn("wants a second opinion of " + name + ", which costs no less than " + std::string(to_string(*(at + 1))) +
               " after it; escalate at once");
        }
      }
    }
    if (!rule_->second_opinion.empty() && rule_->when.assurance == std::vector{Assurance::draft}) {
      warn("wants a second opinion on drafts, which have been shown and stay");
    }
  }

  void check_contract() {
    for (const Tier tier : tiers) {
      const std::string name(to_string(tier));
      const double least = rule_->confidence_min[place_of(tier)];
      const auto& points = policy_.calibration[place_of(tier)].points;
      if (!(least >= 0 && least <= 1)) {
        wrong("asks of " + name + " a confidence of " + shown(least) + ", expected 0 to 1");
      } else if (!points.empty() && least > points.back().right && (tier == rule_->start || contains(rule_->escalate, tier))) {
        wrong("asks of " + name + " a confidence of " + shown(least) + ", and its calibration never exceeds " +
              shown(points.back().right) + ": no answer could meet that");
      }
      const double uncited = rule_->uncited_min[place_of(tier)];
      if (!(uncited >= 0 && uncited <= 1)) {
        wrong("asks of " + name + " an uncited_min of " + shown(uncited) + ", expected 0 to 1");
      }
    }
    std::int32_t room = policy_.prompt_tokens[place_of(rule_->start)];
    for (const Tier tier : rule_->escalate) room = std::max(room, policy_.prompt_tokens[place_of(tier)]);
    if (rule_->when.prompt_tokens_min.value_or(0) > room) {
      warn("takes contexts of at least " + std::to_string(*rule_->when.prompt_tokens_min) +
           " tokens, and its tiers read at most " + std::to_string(room) + ": something is always left out");
    }
    if (rule_->sample == SampleAs::sampled) check_sampling();
    if (rule_->cost_max) check_cost();
  }

  void check_sampling() {
    const Sampling& sampling = rule_->sampling;
    if (!(sampling.temperature > 0 && sampling.temperature <= 100) || !(sampling.top_p > 0 && sampling.top_p <= 1)) {
      wrong("samples at temperature " + rounded(static_cast<double>(sampling.temperature)) + ", top_p " +
            rounded(static_cast<double>(sampling.top_p)) + ", expected a temperature above 0 to 100 and top_p above 0 to 1");
    }
    const auto& assurance = rule_->when.assurance;
    if (!assurance.empty() && !contains(assurance, Assurance::draft)) {
      wrong("samples, and only drafts are sampled: it takes none; make it greedy, or let it take drafts");
    }
  }

  void check_cost() {
    const double least = policy_.price[place_of(rule_->start)].of(rule_->when.prompt_tokens_min.value_or(0), 1);
    if (!(*rule_->cost_max >= 0 && *rule_->cost_max <= RoutingPolicy::price_limit)) {
      wrong("has a cost_max of " + rounded(*rule_->cost_max) + ", expected 0 to " + shown(RoutingPolicy::price_limit));
    } else if (least > *rule_->cost_max) {
      wrong("can never match: its cost_max is " + rounded(*rule_->cost_max) + ", and one token of an answer of " +
            std::string(to_string(rule_->start)) + " costs " + rounded(least) + " with the shortest context that it takes");
    }
  }

  /// Whether the conditions by themselves make sense.
  bool check_conditions() {
    const RouteConditions& when = rule_->when;
    const std::size_t before = findings_.size();
    if (when.latency_budget_ms_max && *when.latency_budget_ms_max < 1) {
      wrong("can never match: its latency_budget_ms_max is " + std::to_string(*when.latency_budget_ms_max) +
            ", and a budget has at least 1 ms");
    }
    const std::int32_t least = when.prompt_tokens_min.value_or(0);
    if (least < 0 || (when.prompt_tokens_max && *when.prompt_tokens_max < least)) {
      wrong("can never match: its prompt_tokens_min is " + std::to_string(least) + " and its prompt_tokens_max " +
            (when.prompt_tokens_max ? std::to_string(*when.prompt_tokens_max) : std::string("open")) +
            ", expected 0 <= min <= max");
    }
    if (when.retrieval_confidence_below && !(*when.retrieval_confidence_below > 0 && *when.retrieval_confidence_below <= 1)) {
      wrong("can never match, or always: its retrieval_confidence_below is " + shown(*when.retrieval_confidence_below) +
            ", expected above 0 and at most 1");
    }
    if (when.kind_confidence_below && !(*when.kind_confidence_below > 0 && *when.kind_confidence_below <= 1)) {
      wrong("can never match, or always: its kind_confidence_below is " + shown(*when.kind_confidence_below) +
            ", expected above 0 and at most 1");
    }
    for (const std::string& kind : when.kind) {
      if (policy_.intent.knows(kind)) continue;
      wrong("asks for the kind \"" + kind + "\", which is no label of intent; it has " + names_of(policy_.intent));
    }
    for (const std::string& tenant : when.tenant) {
      if (tenant.empty() || tenant.size() > Ask::tenant_bytes_max) {
        wrong("names a tenant of " + std::to_string(tenant.size()) + " bytes, expected 1 to " +
              std::to_string(Ask::tenant_bytes_max));
      }
    }
    return findings_.size() == before;
  }

  RouteRegion region_of(const RouteRule& rule) const {
    return RouteRegion::of(rule.when, policy_.portfolio, tenants_, policy_.intent);
  }

  void check_reach(std::size_t place) {
    const RouteRegion own = region_of(*rule_);
    if (own.empty()) return wrong("can never match: nobody can ask for what it takes, as the policy has no such tier");
    std::vector<RouteRegion> before;
    std::string names;
    std::size_t meeting = 0;
    for (std::size_t i = 0; i < place; ++i) {
      const RouteRule& other = policy_.rules[i];
      if (other.cost_max) continue;  // it may leave what it could take to those behind it
      const RouteRegion region = region_of(other);
      if (region.contains(own)) {
        return wrong("can never match: rule \"" + other.name +
                     "\" before it takes all that it could; move it up, or remove it");
      }
      if (!region.meets(own)) continue;
      before.push_back(region);
      names += std::string(meeting++ == 0 ? "" : ", ") + "\"" + other.name + "\"";
    }
    if (meeting == 0 || !covered(own, before).value_or(false)) return;
    if (place + 1 == policy_.rules.size()) {
      // It is asked for, and stands for what the others may come to leave out.
      warn("can never match: rules " + names + " before it together take all questions");
    } else {
      wrong("can never match: rules " + names + " before it together take all that it could; move it up, or remove it");
    }
  }

  const RoutingPolicy& policy_;
  std::vector<std::string> tenants_;
  const RouteRule* rule_ = nullptr;
  std::vector<PolicyFinding> findings_;
};

}  // namespace

std::string_view to_string(PolicyFinding::Weight weight) { return weight == Weight::error ? "error" : "warning"; }

std::vector<PolicyFinding> check(const RoutingPolicy& policy) { return Checker(policy).findings(); }

Result<void> validate(const RoutingPolicy& policy) {
  for (const PolicyFinding& finding : check(policy)) {
    if (finding.weight == Weight::error) return Error{finding.code, finding.message};
  }
  return {};
}

}  // namespace troupe::policy
