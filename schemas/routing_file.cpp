#include "schemas/routing_file.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <vector>

namespace troupe::schemas {

namespace {

using policy::PerTier;
using policy::RouteConditions;
using policy::RouteRule;
using policy::RoutingPolicy;
using policy::Tier;

/// What a value is, for messages: a text with its beginning, a number, or the name of its type.
std::string seen(const toml::node& node) {
  constexpr std::size_t shown_max = 60;
  if (const auto text = node.value_exact<std::string_view>()) {
    if (text->size() <= shown_max) return "\"" + std::string(*text) + "\"";
    return "a string of " + std::to_string(text->size()) + " bytes";
  }
  if (const auto number = node.value_exact<std::int64_t>()) return std::to_string(*number);
  if (const auto number = node.value_exact<double>()) return std::to_string(*number);
  if (const auto flag = node.value_exact<bool>()) return *flag ? "true" : "false";
  std::array<std::string_view, 3> names = {"a table", "an array", "a date or time"};
  return std::string(node.is_table() ? names[0] : node.is_array() ? names[1] : names[2]);
}

/// Reads the values of one table and remembers which; the others are unknown.
class Reader {
 public:
  Reader(const toml::table& table, std::string file, std::string path)
      : table_(table), file_(std::move(file)), path_(std::move(path)) {}

  Result<void> read(std::string_view key, std::string& value) {
    return each(key, "a string", [&](const toml::node& node) {
      const auto text = node.value_exact<std::string>();
      if (text) value = *text;
      return text.has_value();
    });
  }
  Result<void> read(std::string_view key, bool& value) {
    return each(key, "true or false", [&](const toml::node& node) {
      const auto flag = node.value_exact<bool>();
      if (flag) value = *flag;
      return flag.has_value();
    });
  }
  Result<void> read(std::string_view key, double& value) {
    return each(key, "a number from 0 to 1", [&](const toml::node& node) {
      std::optional<double> number = node.value_exact<double>();
      if (const auto whole = node.value_exact<std::int64_t>()) number = static_cast<double>(*whole);
      if (!number || !(*number >= 0 && *number <= 1)) return false;
      value = *number;
      return true;
    });
  }
  Result<void> read(std::string_view key, std::int64_t& value) { return integer(key, value); }
  Result<void> read(std::string_view key, std::int32_t& value) { return integer(key, value); }
  template <class T>
  Result<void> read(std::string_view key, std::optional<T>& value) {
    if (!table_.contains(key)) return {};
    return read(key, value.emplace());
  }
  /// A word that `value_of` knows; `choices` says which there are.
  template <class T, class ValueOf>
  Result<void> read_word(std::string_view key, T& value, std::string_view choices, const ValueOf& value_of) {
    return each(key, "one of " + std::string(choices), [&](const toml::node& node) { return word(node, value, value_of); });
  }
  template <class T, class ValueOf>
  Result<void> read_words(std::string_view key, std::vector<T>& values, std::string_view choices, const ValueOf& value_of) {
    return each(key, "a list of " + std::string(choices), [&](const toml::node& node) {
      const toml::array* list = node.as_array();
      constexpr std::size_t words_max = 16;
      if (list == nullptr || list->size() > words_max) return false;
      values.clear();
      return std::all_of(list->begin(), list->end(), [&](const toml::node& entry) {
        T value{};
        if (!word(entry, value, value_of)) return false;
        values.push_back(value);
        return true;
      });
    });
  }
  template <class T>
  Result<void> read(std::string_view key, PerTier<T>& values) {
    TROUPE_TRY(const auto* table, sub_table(key));
    if (table == nullptr) return {};
    Reader reader(*table, file_, path_ + std::string(key) + ".");
    for (const Tier tier : policy::tiers) TROUPE_TRY_DO(reader.read(to_string(tier), values[policy::place_of(tier)]));
    return reader.finish();
  }

  /// None if the key is absent.
  Result<const toml::table*> sub_table(std::string_view key) {
    const toml::table* found = nullptr;
    TROUPE_TRY_DO(each(key, "a table", [&](const toml::node& node) { return (found = node.as_table()) != nullptr; }));
    return found;
  }
  Result<const toml::array*> tables(std::string_view key) {
    const toml::array* found = nullptr;
    const std::string expected = "1 to " + std::to_string(RoutingPolicy::rules_max) + " tables [[" + std::string(key) + "]]";
    TROUPE_TRY_DO(each(key, expected, [&](const toml::node& node) {
      found = node.as_array();
      return found != nullptr && found->is_homogeneous(toml::node_type::table) && found->size() <= RoutingPolicy::rules_max;
    }));
    return found;
  }

  Result<void> require(std::string_view key) const {
    if (table_.contains(key)) return {};
    return wrong(table_, std::string(key) + " is missing; every rule has one");
  }
  Result<void> finish() const {
    for (const auto& [key, node] : table_) {
      if (std::find(known_.begin(), known_.end(), key.str()) != known_.end()) continue;
      std::string expected;
      for (const std::string& name : known_) expected += (expected.empty() ? "" : ", ") + name;
      return wrong(node, std::string(key.str().substr(0, 100)) + " is not known here; expected " + expected);
    }
    return {};
  }
  const std::string& file() const { return file_; }

 private:
  Error wrong(const toml::node& node, const std::string& what) const {
    return {ErrorCode::invalid_argument, file_ + ":" + std::to_string(node.source().begin.line) + ": " + path_ + what};
  }

  template <class T>
  Result<void> integer(std::string_view key, T& value) {
    return each(key, "a whole number from 0 to " + std::to_string(std::numeric_limits<T>::max()), [&](const toml::node& node) {
      const auto number = node.value_exact<std::int64_t>();
      if (!number || *number < 0 || *number > std::numeric_limits<T>::max()) return false;
      value = static_cast<T>(*number);
      return true;
    });
  }

  template <class T, class ValueOf>
  static bool word(const toml::node& node, T& value, const ValueOf& value_of) {
    const auto text = node.value_exact<std::string_view>();
    const std::optional<T> found = text ? value_of(*text) : std::nullopt;
    if (found) value = *found;
    return found.has_value();
  }

  /// `take` says whether the value of `key`, if there is one, is what is expected.
  template <class Take>
  Result<void> each(std::string_view key, const std::string& expected, const Take& take) {
    known_.emplace_back(key);
    const toml::node* node = table_.get(key);
    if (node == nullptr || take(*node)) return {};
    return wrong(*node, std::string(key) + " is " + seen(*node) + ", expected " + expected);
  }

  const toml::table& table_;
  std::string file_;
  std::string path_;  ///< of the table, with a point behind
  std::vector<std::string> known_;
};

constexpr std::string_view tier_names = "mini, medium, heavy";

Result<RouteConditions> conditions_of(const toml::table& table, const std::string& file, const std::string& path) {
  RouteConditions when;
  Reader reader(table, file, path);
  TROUPE_TRY_DO(reader.read_words("requested", when.requested, tier_names, policy::tier_of));
  TROUPE_TRY_DO(reader.read_words("assurance", when.assurance, "draft, standard, high", policy::assurance_of));
  TROUPE_TRY_DO(reader.read_words("priority", when.priority, "interactive, standard, batch", policy::priority_of));
  TROUPE_TRY_DO(reader.read("latency_budget_ms_max", when.latency_budget_ms_max));
  TROUPE_TRY_DO(reader.read("prompt_tokens_min", when.prompt_tokens_min));
  TROUPE_TRY_DO(reader.read("prompt_tokens_max", when.prompt_tokens_max));
  TROUPE_TRY_DO(reader.read("grounded", when.grounded));
  TROUPE_TRY_DO(reader.finish());
  return when;
}

Result<RouteRule> rule_of(const toml::table& table, const std::string& file, std::size_t number) {
  RouteRule rule;
  const std::string path = "rule[" + std::to_string(number) + "].";
  Reader reader(table, file, path);
  TROUPE_TRY_DO(reader.require("name"));
  TROUPE_TRY_DO(reader.require("start"));
  TROUPE_TRY_DO(reader.read("name", rule.name));
  TROUPE_TRY(const auto* when, reader.sub_table("when"));
  if (when != nullptr) {
    TROUPE_TRY(rule.when, conditions_of(*when, file, path + "when."));
  }
  TROUPE_TRY_DO(reader.read_word("start", rule.start, tier_names, policy::tier_of));
  TROUPE_TRY_DO(reader.read_words("escalate", rule.escalate, tier_names, policy::tier_of));
  TROUPE_TRY_DO(reader.read("confidence_min", rule.confidence_min));
  TROUPE_TRY_DO(reader.read_word("sample", rule.sample, "as_asked, greedy", policy::sample_as_of));
  TROUPE_TRY_DO(reader.finish());
  return rule;
}

Result<RoutingPolicy> policy_of(const toml::table& table, const std::string& file) {
  RoutingPolicy policy;
  Reader reader(table, file, "");
  TROUPE_TRY_DO(reader.read_words("tiers", policy.portfolio, tier_names, policy::tier_of));
  TROUPE_TRY_DO(reader.read("prompt_tokens", policy.prompt_tokens));
  TROUPE_TRY_DO(reader.read("recent_tokens", policy.recent_tokens));
  TROUPE_TRY_DO(reader.read("passages_max", policy.passages_max));
  TROUPE_TRY_DO(reader.read("when_all_failed", policy.when_all_failed));
  TROUPE_TRY(const auto* rules, reader.tables("rule"));
  for (std::size_t i = 0; rules != nullptr && i < rules->size(); ++i) {
    TROUPE_TRY(auto rule, rule_of(*rules->get_as<toml::table>(i), file, i + 1));
    policy.rules.push_back(std::move(rule));
  }
  TROUPE_TRY_DO(reader.finish());
  if (const auto valid = policy::validate(policy); !valid) return Error(valid.error()).within(file);
  return policy;
}

}  // namespace

Result<policy::RoutingPolicy> parse_routing(std::string_view text, const std::string& file) {
  if (text.size() > routing_file_bytes_max) {
    return Error{ErrorCode::too_large, file + ": a policy of " + std::to_string(text.size()) + " bytes, expected at most " +
                                           std::to_string(routing_file_bytes_max)};
  }
  try {
    return policy_of(toml::parse(text, file), file);
  } catch (const toml::parse_error& problem) {
    return Error{ErrorCode::invalid_argument, file + ":" + std::to_string(problem.source().begin.line) +
                                                  ": this is not TOML: " + std::string(problem.description())};
  }
}

}  // namespace troupe::schemas
