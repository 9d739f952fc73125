// Reads TOML that an operator wrote: every value with its type and limits, no key passed over in silence, every error with its
// line. Used by the files of this folder that are such a file's codec.
#pragma once

#include <toml++/toml.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace troupe::schemas {

/// What a value is, for messages: a text with its beginning, a number, or the name of its type.
std::string seen(const toml::node& node);

/// Reads the values of one table and remembers which; the others are unknown. Errors are `invalid_argument` and begin with file
/// and line.
class TomlReader {
 public:
  /// The table must outlive it. `path` is that of the table with a point behind, empty for the root; `file` is for messages.
  TomlReader(const toml::table& table, std::string file, std::string path)
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
      const auto number = number_of(node);
      if (!number || !(*number >= 0 && *number <= 1)) return false;
      value = *number;
      return true;
    });
  }
  /// A number that is not negative, an amount of something.
  Result<void> read_amount(std::string_view key, std::optional<double>& value) {
    return each(key, "a number of 0 or more", [&](const toml::node& node) {
      const auto number = number_of(node);
      if (!number || !(*number >= 0 && *number <= std::numeric_limits<float>::max())) return false;
      value = *number;
      return true;
    });
  }
  /// A list of pairs of numbers from 0 to 1, [[0.5, 0.75], [1, 1]]; `take(first, second)` is called for each.
  template <class Take>
  Result<void> read_pairs(std::string_view key, std::size_t pairs_max, const Take& take) {
    const std::string expected = "at most " + std::to_string(pairs_max) + " pairs of numbers from 0 to 1";
    return each(key, expected, [&](const toml::node& node) {
      const toml::array* list = node.as_array();
      if (list == nullptr || list->size() > pairs_max) return false;
      return std::all_of(list->begin(), list->end(), [&](const toml::node& entry) {
        const toml::array* pair = entry.as_array();
        if (pair == nullptr || pair->size() != 2) return false;
        const auto first = number_of(*pair->get(0));
        const auto second = number_of(*pair->get(1));
        if (!first || !second || !(*first >= 0 && *first <= 1 && *second >= 0 && *second <= 1)) return false;
        take(*first, *second);
        return true;
      });
    });
  }
  Result<void> read(std::string_view key, std::int64_t& value) { return integer(key, value); }
  Result<void> read(std::string_view key, std::int32_t& value) { return integer(key, value); }
  template <class T>
  Result<void> read(std::string_view key, std::optional<T>& value) {
    if (!table_.contains(key)) return {};
    return read(key, value.emplace());
  }
  /// A text that `value_of` makes a value of.
  template <class T, class ValueOf>
  Result<void> read_text(std::string_view key, T& value, const std::string& expected, const ValueOf& value_of) {
    return each(key, expected, [&](const toml::node& node) { return word(node, value, value_of); });
  }
  /// A word that `value_of` knows; `choices` says which there are.
  template <class T, class ValueOf>
  Result<void> read_word(std::string_view key, T& value, std::string_view choices, const ValueOf& value_of) {
    return each(key, "one of " + std::string(choices), [&](const toml::node& node) { return word(node, value, value_of); });
  }
  template <class T, class ValueOf>
  Result<void> read_words(std::string_view key, std::vector<T>& values, std::string_view choices, const ValueOf& value_of,
                          std::size_t words_max = 16) {
    const toml::node* strange = nullptr;  // the first that is none of them
    const std::string expected = "a list of " + std::string(choices);
    const auto list = each(key, expected + " (at most " + std::to_string(words_max) + ")", [&](const toml::node& node) {
      const toml::array* entries = node.as_array();
      if (entries == nullptr || entries->size() > words_max) return false;
      values.clear();
      for (const toml::node& entry : *entries) {
        T value{};
        if (!word(entry, value, value_of)) {
          strange = &entry;
          break;
        }
        values.push_back(std::move(value));
      }
      return true;
    });
    if (!list || strange == nullptr) return list;
    return wrong(*strange, std::string(key) + " is an array with " + seen(*strange) + ", expected " + expected);
  }
  /// None if the key is absent.
  Result<const toml::table*> sub_table(std::string_view key) {
    const toml::table* found = nullptr;
    TROUPE_TRY_DO(each(key, "a table", [&](const toml::node& node) { return (found = node.as_table()) != nullptr; }));
    return found;
  }
  /// None if the key is absent.
  Result<const toml::array*> tables(std::string_view key, std::size_t tables_max) {
    const toml::array* found = nullptr;
    const std::string expected = "1 to " + std::to_string(tables_max) + " tables [[" + std::string(key) + "]]";
    TROUPE_TRY_DO(each(key, expected, [&](const toml::node& node) {
      found = node.as_array();
      return found != nullptr && found->is_homogeneous(toml::node_type::table) && found->size() <= tables_max;
    }));
    return found;
  }

  bool has(std::string_view key) const { return table_.contains(key); }
  /// `holder`: "every rule", of which each has the key.
  Result<void> require(std::string_view key, std::string_view holder) const {
    if (table_.contains(key)) return {};
    return wrong(table_, std::string(key) + " is missing; " + std::string(holder) + " has one");
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
  /// A reader of a table inside of this one.
  TomlReader inside(const toml::table& table, std::string_view key) const {
    return {table, file_, path_ + std::string(key) + "."};
  }
  /// "policy.toml:3", where the table begins.
  std::string place() const { return file_ + ":" + std::to_string(table_.source().begin.line); }

 private:
  Error wrong(const toml::node& node, const std::string& what) const {
    return {ErrorCode::invalid_argument, file_ + ":" + std::to_string(node.source().begin.line) + ": " + path_ + what};
  }

  static std::optional<double> number_of(const toml::node& node) {
    if (const auto whole = node.value_exact<std::int64_t>()) return static_cast<double>(*whole);
    return node.value_exact<double>();
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

/// The value that `value_of(table, file)` makes of the whole of a text. `kind` is for messages: "a policy". What is too long is
/// `too_large` before it is parsed.
template <class ValueOf>
auto parse_toml(std::string_view text, const std::string& file, std::string_view kind, std::size_t bytes_max,
                const ValueOf& value_of) -> decltype(value_of(toml::table(), file)) {
  if (text.size() > bytes_max) {
    return Error{ErrorCode::too_large, file + ": " + std::string(kind) + " of " + std::to_string(text.size()) +
                                           " bytes, expected at most " + std::to_string(bytes_max)};
  }
  try {
    return value_of(toml::parse(text, file), file);
  } catch (const toml::parse_error& problem) {
    return Error{ErrorCode::invalid_argument, file + ":" + std::to_string(problem.source().begin.line) +
                                                  ": this is not TOML: " + std::string(problem.description())};
  }
}

/// A text as TOML writes it.
std::string toml_quoted(std::string_view text);

}  // namespace troupe::schemas
