#include "schemas/routing_file.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "schemas/toml_reader.hpp"

namespace troupe::schemas {

namespace {

using policy::Intent;
using policy::PerTier;
using policy::RouteConditions;
using policy::RouteRule;
using policy::RoutingPolicy;
using policy::Tier;

constexpr std::string_view tier_names = "mini, medium, heavy";

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

std::optional<std::string> any_text(std::string_view text) { return std::string(text); }

/// A list of labels, of those that there are.
Result<void> read_labels(TomlReader& reader, std::string_view key, std::vector<std::string>& labels, const Intent& intent) {
  const auto known = [&](std::string_view name) { return intent.knows(name) ? any_text(name) : std::nullopt; };
  return reader.read_words(key, labels, names_of(intent), known, Intent::labels_max + 1);
}

/// A list of the labels that have a property; all others do not have it. Without the list, all stay as they are.
Result<void> read_property(TomlReader& reader, std::string_view key, Intent& intent, bool policy::IntentLabel::* property,
                           bool named) {
  std::vector<std::string> labels;
  TROUPE_TRY_DO(read_labels(reader, key, labels, intent));
  if (!reader.has(key)) return {};
  const auto set = [&](policy::IntentLabel& label) {
    label.*property = (std::ranges::find(labels, label.name) != labels.end()) == named;
  };
  std::ranges::for_each(intent.labels, set);
  set(intent.unknown);
  return {};
}

Result<void> read_intent(TomlReader& outer, Intent& intent) {
  TROUPE_TRY(const auto* table, outer.sub_table("intent"));
  if (table == nullptr) return {};
  TomlReader reader = outer.inside(*table, "intent");
  std::vector<std::string> names;
  TROUPE_TRY_DO(reader.read_words("labels", names, "names", any_text, Intent::labels_max));
  if (reader.has("labels")) {
    TROUPE_TRY_DO(reader.require("prompt", "an intent with labels of its own"));
    intent.labels.clear();
    for (std::string& name : names) intent.labels.push_back({std::move(name)});
  }
  TROUPE_TRY_DO(reader.read("prompt", intent.prompt));
  TROUPE_TRY_DO(read_property(reader, "ungrounded", intent, &policy::IntentLabel::grounded, false));
  TROUPE_TRY_DO(read_property(reader, "follow_up", intent, &policy::IntentLabel::follow_up, true));
  TROUPE_TRY_DO(read_property(reader, "out_of_scope", intent, &policy::IntentLabel::out_of_scope, true));
  TROUPE_TRY_DO(reader.read("confidence_min", intent.confidence_min));
  TROUPE_TRY_DO(reader.read("out_of_scope_confidence_min", intent.out_of_scope_confidence_min));
  Tier tier{};
  TROUPE_TRY_DO(reader.read_word("tier", tier, tier_names, policy::tier_of));
  if (reader.has("tier")) intent.tier = tier;
  TROUPE_TRY_DO(reader.read("out_of_scope_answer", intent.out_of_scope_answer));
  return reader.finish();
}

Result<void> read_contracts(TomlReader& outer, policy::PerStage<policy::Contract>& contracts) {
  TROUPE_TRY(const auto* table, outer.sub_table("stage"));
  if (table == nullptr) return {};
  TomlReader all = outer.inside(*table, "stage");
  for (const policy::Stage stage : policy::stages) {
    TROUPE_TRY(const auto* given, all.sub_table(to_string(stage)));
    if (given == nullptr) continue;
    policy::Contract& contract = contracts[policy::place_of(stage)];
    TomlReader reader = all.inside(*given, to_string(stage));
    TROUPE_TRY_DO(reader.read("deadline_ms", contract.deadline_ms));
    TROUPE_TRY_DO(reader.read("prompt_tokens_max", contract.prompt_tokens_max));
    TROUPE_TRY_DO(reader.read("answer_tokens_max", contract.answer_tokens_max));
    std::string names;
    for (const policy::Fallback fallback : policy::fallbacks_of(stage)) {
      names += (names.empty() ? "" : ", ") + std::string(to_string(fallback));
    }
    TROUPE_TRY_DO(reader.read_word("fallback", contract.fallback, names, policy::fallback_of));
    TROUPE_TRY_DO(reader.finish());
  }
  return all.finish();
}

Result<RouteConditions> conditions_of(const toml::table& table, const std::string& file, const std::string& path,
                                      const Intent& intent) {
  RouteConditions when;
  TomlReader reader(table, file, path);
  TROUPE_TRY_DO(reader.read_words("requested", when.requested, tier_names, policy::tier_of));
  TROUPE_TRY_DO(reader.read_words("assurance", when.assurance, "draft, standard, high", policy::assurance_of));
  TROUPE_TRY_DO(reader.read_words("priority", when.priority, "interactive, standard, batch", policy::priority_of));
  TROUPE_TRY_DO(reader.read("latency_budget_ms_max", when.latency_budget_ms_max));
  TROUPE_TRY_DO(reader.read("prompt_tokens_min", when.prompt_tokens_min));
  TROUPE_TRY_DO(reader.read("prompt_tokens_max", when.prompt_tokens_max));
  TROUPE_TRY_DO(reader.read("grounded", when.grounded));
  TROUPE_TRY_DO(read_labels(reader, "kind", when.kind, intent));
  TROUPE_TRY_DO(reader.read("kind_confidence_below", when.kind_confidence_below));
  TROUPE_TRY_DO(reader.read_words("tenant", when.tenant, "names", any_text));
  TROUPE_TRY_DO(reader.read("retrieval_confidence_below", when.retrieval_confidence_below));
  TROUPE_TRY_DO(reader.finish());
  return when;
}

Result<RouteRule> rule_of(const toml::table& table, const std::string& file, std::size_t number, const Intent& intent) {
  RouteRule rule;
  const std::string path = "rule[" + std::to_string(number) + "].";
  TomlReader reader(table, file, path);
  TROUPE_TRY_DO(reader.require("name", "every rule"));
  TROUPE_TRY_DO(reader.require("start", "every rule"));
  TROUPE_TRY_DO(reader.read("name", rule.name));
  TROUPE_TRY(const auto* when, reader.sub_table("when"));
  if (when != nullptr) {
    TROUPE_TRY(rule.when, conditions_of(*when, file, path + "when.", intent));
  }
  TROUPE_TRY_DO(reader.read_word("start", rule.start, tier_names, policy::tier_of));
  TROUPE_TRY_DO(reader.read_words("escalate", rule.escalate, tier_names, policy::tier_of));
  TROUPE_TRY_DO(read_per_tier(reader, "confidence_min", rule.confidence_min));
  TROUPE_TRY_DO(read_per_tier(reader, "uncited_min", rule.uncited_min));
  TROUPE_TRY_DO(reader.read_word("sample", rule.sample, "as_asked, greedy, sampled", policy::sample_as_of));
  TROUPE_TRY_DO(read_single(reader, "temperature", rule.sampling.temperature));
  TROUPE_TRY_DO(read_single(reader, "top_p", rule.sampling.top_p));
  TROUPE_TRY_DO(reader.read_words("second_opinion", rule.second_opinion, tier_names, policy::tier_of));
  TROUPE_TRY_DO(reader.read_amount("cost_max", rule.cost_max));
  TROUPE_TRY_DO(reader.finish());
  return rule;
}

Result<policy::ShadowExperiment> shadow_of(const toml::table& table, const std::string& file, std::size_t number) {
  policy::ShadowExperiment experiment;
  TomlReader reader(table, file, "shadow[" + std::to_string(number) + "].");
  TROUPE_TRY_DO(reader.require("name", "every shadow"));
  TROUPE_TRY_DO(reader.require("share", "every shadow"));
  TROUPE_TRY_DO(reader.read("name", experiment.name));
  TROUPE_TRY_DO(reader.read("share", experiment.share));
  Tier tier = Tier::mini;
  TROUPE_TRY_DO(reader.read_word("tier", tier, tier_names, policy::tier_of));
  if (table.contains("tier")) experiment.tier = tier;
  TROUPE_TRY_DO(reader.read("policy", experiment.policy));
  TROUPE_TRY(const auto* when, reader.sub_table("when"));
  if (when != nullptr) {
    TomlReader conditions = reader.inside(*when, "when");
    TROUPE_TRY_DO(conditions.read_words("assurance", experiment.assurance, "draft, standard, high", policy::assurance_of));
    TROUPE_TRY_DO(conditions.read_words("tenant", experiment.tenant, "names",
                                        [](std::string_view name) { return std::optional(std::string(name)); }));
    TROUPE_TRY_DO(conditions.finish());
  }
  TROUPE_TRY_DO(reader.finish());
  return experiment;
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
  TROUPE_TRY_DO(reader.read("when_unsupported", policy.when_unsupported));
  TROUPE_TRY_DO(read_each_tier(reader, "price", [&](TomlReader& prices, Tier tier) {
    return read_price(prices, tier, policy.price[policy::place_of(tier)]);
  }));
  TROUPE_TRY_DO(read_each_tier(reader, "calibration", [&](TomlReader& curves, Tier tier) {
    auto& points = policy.calibration[policy::place_of(tier)].points;
    return curves.read_pairs(to_string(tier), policy::Calibration::points_max,
                             [&](double raw, double right) { points.push_back({raw, right}); });
  }));
  TROUPE_TRY_DO(read_intent(reader, policy.intent));
  TROUPE_TRY_DO(read_contracts(reader, policy.contracts));
  TROUPE_TRY(const auto* rules, reader.tables("rule", RoutingPolicy::rules_max));
  for (std::size_t i = 0; rules != nullptr && i < rules->size(); ++i) {
    TROUPE_TRY(auto rule, rule_of(*rules->get_as<toml::table>(i), file, i + 1, policy.intent));
    policy.rules.push_back(std::move(rule));
  }
  TROUPE_TRY(const auto* shadows, reader.tables("shadow", policy::ShadowExperiment::experiments_max));
  for (std::size_t i = 0; shadows != nullptr && i < shadows->size(); ++i) {
    TROUPE_TRY(auto shadow, shadow_of(*shadows->get_as<toml::table>(i), file, i + 1));
    policy.shadow.push_back(std::move(shadow));
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
