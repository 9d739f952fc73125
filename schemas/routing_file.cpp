#include "schemas/routing_file.hpp"

#include <vector>

#include "schemas/toml_reader.hpp"

namespace troupe::schemas {

namespace {

using policy::PerTier;
using policy::RouteConditions;
using policy::RouteRule;
using policy::RoutingPolicy;
using policy::Tier;

constexpr std::string_view tier_names = "mini, medium, heavy";
constexpr std::string_view kind_names = "lookup, compare, multi_step, chat, summarize, follow_up, out_of_scope, unknown";

template <class T>
Result<void> read_per_tier(TomlReader& outer, std::string_view key, PerTier<T>& values) {
  TROUPE_TRY(const auto* table, outer.sub_table(key));
  if (table == nullptr) return {};
  TomlReader reader = outer.inside(*table, key);
  for (const Tier tier : policy::tiers) TROUPE_TRY_DO(reader.read(to_string(tier), values[policy::place_of(tier)]));
  return reader.finish();
}

Result<void> read_single(TomlReader& reader, std::string_view key, float& value) {
  std::optional<double> number;
  TROUPE_TRY_DO(reader.read_amount(key, number));
  if (number) value = static_cast<float>(*number);
  return {};
}

/// `visit(reader, tier)` reads what the table of `key` says of each tier.
template <class Visit>
Result<void> read_each_tier(TomlReader& outer, std::string_view key, const Visit& visit) {
  TROUPE_TRY(const auto* table, outer.sub_table(key));
  if (table == nullptr) return {};
  TomlReader reader = outer.inside(*table, key);
  for (const Tier tier : policy::tiers) TROUPE_TRY_DO(visit(reader, tier));
  return reader.finish();
}

Result<void> read_price(TomlReader& outer, Tier tier, policy::TokenPrice& price) {
  TROUPE_TRY(const auto* table, outer.sub_table(to_string(tier)));
  if (table == nullptr) return {};
  TomlReader reader = outer.inside(*table, to_string(tier));
  std::optional<double> prompt;
  std::optional<double> answer;
  TROUPE_TRY_DO(reader.read_amount("prompt_million", prompt));
  TROUPE_TRY_DO(reader.read_amount("answer_million", answer));
  price = {prompt.value_or(0), answer.value_or(0)};
  return reader.finish();
}

Result<RouteConditions> conditions_of(const toml::table& table, const std::string& file, const std::string& path) {
  RouteConditions when;
  TomlReader reader(table, file, path);
  TROUPE_TRY_DO(reader.read_words("requested", when.requested, tier_names, policy::tier_of));
  TROUPE_TRY_DO(reader.read_words("assurance", when.assurance, "draft, standard, high", policy::assurance_of));
  TROUPE_TRY_DO(reader.read_words("priority", when.priority, "interactive, standard, batch", policy::priority_of));
  TROUPE_TRY_DO(reader.read("latency_budget_ms_max", when.latency_budget_ms_max));
  TROUPE_TRY_DO(reader.read("prompt_tokens_min", when.prompt_tokens_min));
  TROUPE_TRY_DO(reader.read("prompt_tokens_max", when.prompt_tokens_max));
  TROUPE_TRY_DO(reader.read("grounded", when.grounded));
  TROUPE_TRY_DO(reader.read_words("kind", when.kind, kind_names, policy::kind_named));
  TROUPE_TRY_DO(reader.read_words("tenant", when.tenant, "names",
                                  [](std::string_view name) { return std::optional(std::string(name)); }));
  TROUPE_TRY_DO(reader.read("retrieval_confidence_below", when.retrieval_confidence_below));
  TROUPE_TRY_DO(reader.finish());
  return when;
}

Result<RouteRule> rule_of(const toml::table& table, const std::string& file, std::size_t number) {
  RouteRule rule;
  const std::string path = "rule[" + std::to_string(number) + "].";
  TomlReader reader(table, file, path);
  TROUPE_TRY_DO(reader.require("name", "every rule"));
  TROUPE_TRY_DO(reader.require("start", "every rule"));
  TROUPE_TRY_DO(reader.read("name", rule.name));
  TROUPE_TRY(const auto* when, reader.sub_table("when"));
  if (when != nullptr) {
    TROUPE_TRY(rule.when, conditions_of(*when, file, path + "when."));
  }
  TROUPE_TRY_DO(reader.read_word("start", rule.start, tier_names, policy::tier_of));
  TROUPE_TRY_DO(reader.read_words("escalate", rule.escalate, tier_names, policy::tier_of));
  TROUPE_TRY_DO(read_per_tier(reader, "confidence_min", rule.confidence_min));
  TROUPE_TRY_DO(reader.read_word("sample", rule.sample, "as_asked, greedy, sampled", policy::sample_as_of));
  TROUPE_TRY_DO(read_single(reader, "temperature", rule.sampling.temperature));
  TROUPE_TRY_DO(read_single(reader, "top_p", rule.sampling.top_p));
  TROUPE_TRY_DO(reader.read_words("second_opinion", rule.second_opinion, tier_names, policy::tier_of));
  TROUPE_TRY_DO(reader.read_amount("cost_max", rule.cost_max));
  TROUPE_TRY_DO(reader.finish());
  return rule;
}

Result<RoutingPolicy> policy_of(const toml::table& table, const std::string& file) {
  RoutingPolicy policy;
  TomlReader reader(table, file, "");
  TROUPE_TRY_DO(reader.read_words("tiers", policy.portfolio, tier_names, policy::tier_of));
  TROUPE_TRY_DO(read_per_tier(reader, "prompt_tokens", policy.prompt_tokens));
  TROUPE_TRY_DO(read_per_tier(reader, "prompt_passages", policy.prompt_passages));
  TROUPE_TRY_DO(reader.read("recent_tokens", policy.recent_tokens));
  TROUPE_TRY_DO(reader.read("recent_turns", policy.recent_turns));
  TROUPE_TRY_DO(reader.read("summary_tokens", policy.summary_tokens));
  TROUPE_TRY_DO(reader.read("recalled_max", policy.recalled_max));
  TROUPE_TRY_DO(reader.read("passages_max", policy.passages_max));
  TROUPE_TRY_DO(reader.read("when_all_failed", policy.when_all_failed));
  TROUPE_TRY_DO(reader.read("when_unsure", policy.when_unsure));
  TROUPE_TRY_DO(read_each_tier(reader, "price", [&](TomlReader& prices, Tier tier) {
    return read_price(prices, tier, policy.price[policy::place_of(tier)]);
  }));
  TROUPE_TRY_DO(read_each_tier(reader, "calibration", [&](TomlReader& curves, Tier tier) {
    auto& points = policy.calibration[policy::place_of(tier)].points;
    return curves.read_pairs(to_string(tier), policy::Calibration::points_max,
                             [&](double raw, double right) { points.push_back({raw, right}); });
  }));
  TROUPE_TRY(const auto* rules, reader.tables("rule", RoutingPolicy::rules_max));
  for (std::size_t i = 0; rules != nullptr && i < rules->size(); ++i) {
    TROUPE_TRY(auto rule, rule_of(*rules->get_as<toml::table>(i), file, i + 1));
    policy.rules.push_back(std::move(rule));
  }
  TROUPE_TRY_DO(reader.finish());
  return policy;
}

}  // namespace

Result<policy::RoutingPolicy> read_routing(std::string_view text, const std::string& file) {
  return parse_toml(text, file, "a policy", routing_file_bytes_max, policy_of);
}

Result<policy::RoutingPolicy> parse_routing(std::string_view text, const std::string& file) {
  TROUPE_TRY(auto policy, read_routing(text, file));
  if (const auto valid = policy::validate(policy); !valid) return Error(valid.error()).within(file);
  return policy;
}

}  // namespace troupe::schemas
