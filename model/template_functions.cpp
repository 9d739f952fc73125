#include "model/template_functions.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "model/template_operations.hpp"
#include "model/template_text.hpp"
#include "model/utf8.hpp"

namespace troupe::model {

namespace {

// Arguments in the order of the parameters, none where nothing was given.
using Bound = std::vector<std::optional<TemplateValue>>;

struct Call {
  const TemplateValue& input;
  const Bound& arguments;
  TemplateBudget& budget;
};

struct Function {
  std::string_view name;
  std::array<std::string_view, 3> parameters;  // "" where there are fewer
  Result<TemplateValue> (*run)(const Call& call);
};

// The argument as text; "" if it is absent or none.
Result<TemplateText> text_argument(const Call& call, std::size_t index) {
  const auto& argument = call.arguments[index];
  if (!argument || argument->as<TemplateValue::None>() != nullptr) return TemplateText();
  TROUPE_TRY(const auto* text, text_in(*argument));
  return *text;
}

Result<TemplateText> required_text(const Call& call, std::size_t index) {
  if (!call.arguments[index]) return Error{ErrorCode::invalid_argument, "lacks an argument"};
  TROUPE_TRY(const auto* text, text_in(*call.arguments[index]));
  TROUPE_TRY_DO(call.budget.spend(text->bytes.size()));
  return *text;
}

Result<TemplateValue> strip_side(const Call& call, TextSide side) {
  TROUPE_TRY(const auto* text, text_in(call.input));
  TROUPE_TRY(const auto characters, text_argument(call, 0));
  TROUPE_TRY_DO(call.budget.spend(text->bytes.size()));
  return TemplateValue(strip(*text, characters.bytes, side));
}

Result<TemplateValue> to_case(const Call& call, TextCase to) {
  TROUPE_TRY(const auto text, text_of(call.input));
  TROUPE_TRY_DO(call.budget.spend(text.bytes.size()));
  TROUPE_TRY(auto changed, change_case(text, to));
  return TemplateValue(std::move(changed));
}

Result<TemplateValue> replace_all(const Call& call) {
  TROUPE_TRY(const auto* text, text_in(call.input));
  TROUPE_TRY(const auto old_text, required_text(call, 0));
  TROUPE_TRY(const auto new_text, required_text(call, 1));
  if (old_text.bytes.empty()) return Error{ErrorCode::unsupported, "is asked to replace an empty string"};
  TROUPE_TRY_DO(call.budget.spend(text->bytes.size()));
  TROUPE_TRY_DO(call.budget.spend(count_occurrences(text->bytes, old_text.bytes) * new_text.bytes.size()));
  return TemplateValue(replace(*text, old_text, new_text));
}

Result<TemplateValue> split_text(const Call& call) {
  TROUPE_TRY(const auto* text, text_in(call.input));
  TROUPE_TRY(const auto separator, text_argument(call, 0));
  if (call.arguments[0] && call.arguments[0]->as<TemplateText>() != nullptr && separator.bytes.empty()) {
    return Error{ErrorCode::invalid_argument, "has an empty separator"};
  }
  // Each part looks at all spans of the text, and there are at most this many parts.
  const std::size_t parts = separator.bytes.empty() ? text->bytes.size() / 2 : count_occurrences(text->bytes, separator.bytes);
  TROUPE_TRY_DO(call.budget.spend(text->bytes.size() + (parts + 1) * (element_bytes + text->from_messages.size())));
  std::vector<TemplateValue> values;
  for (TemplateText& part : split(*text, separator.bytes)) values.emplace_back(std::move(part));
  return TemplateValue::list(std::move(values));
}

Result<TemplateValue> join_items(const Call& call) {
  TROUPE_TRY(const auto items, items_of(call.input, call.budget));
  TROUPE_TRY(const auto separator, text_argument(call, 0));
  TemplateText joined;
  for (std::size_t i = 0; i < items.size(); ++i) {
    TROUPE_TRY(const auto text, text_of(items[i]));
    TROUPE_TRY_DO(call.budget.spend(text.bytes.size() + separator.bytes.size()));
    if (i > 0) joined.append(separator);
    joined.append(text);
  }
  return TemplateValue(std::move(joined));
}

Result<TemplateValue> to_json(const Call& call) {
  std::int64_t indent = -1;
  if (call.arguments[0] && call.arguments[0]->as<TemplateValue::None>() == nullptr) {
    const auto* number = call.arguments[0]->as<std::int64_t>();
    if (number == nullptr || *number < 0 || *number > 16) return wrong_kind(*call.arguments[0], "an indent from 0 to 16");
    indent = *number;
  }
  TROUPE_TRY(std::string json, json_of(call.input, indent));
  TROUPE_TRY_DO(call.budget.spend(json.size()));
  return TemplateValue(TemplateText(std::move(json), true));  // its strings may be anybody's
}

Result<TemplateValue> default_value(const Call& call) {
  const bool for_all_false = call.arguments[1] && call.arguments[1]->is_true();
  if (!(call.input.is_undefined() || (for_all_false && !call.input.is_true()))) return call.input;
  return call.arguments[0] ? *call.arguments[0] : TemplateValue::text("");
}

Result<TemplateValue> end_item(const Call& call, bool first) {
  TROUPE_TRY(const auto items, items_of(call.input, call.budget));
  if (items.empty()) return TemplateValue::undefined(first ? "the first of nothing" : "the last of nothing");
  return first ? items.front() : items.back();
}

Result<TemplateValue> pairs_of(const Call& call) {
  if (call.input.is_undefined()) return TemplateValue::list({});
  const auto* map = call.input.as<TemplateMap>();
  if (map == nullptr) return wrong_kind(call.input, "a mapping");
  TROUPE_TRY_DO(call.budget.spend(map->entries.size() * 4 * element_bytes));
  std::vector<TemplateValue> pairs;
  for (const auto& [name, value] : map->entries) {
    TROUPE_TRY(auto pair, TemplateValue::list({TemplateText(name, true), value}));
    pairs.push_back(std::move(pair));
  }
  return TemplateValue::list(std::move(pairs));
}

Result<TemplateValue> list_of(const Call& call, bool reversed) {
  TROUPE_TRY(auto items, items_of(call.input, call.budget));
  if (reversed) std::reverse(items.begin(), items.end());
  return TemplateValue::list(std::move(items));
}

Result<TemplateValue> reverse_of(const Call& call) {
  const auto* text = call.input.as<TemplateText>();
  if (text == nullptr) return list_of(call, true);
  TROUPE_TRY_DO(call.budget.spend(text->bytes.size() * element_bytes));
  const auto characters = characters_of(*text);
  TemplateText reversed;
  for (auto character = characters.rbegin(); character != characters.rend(); ++character) reversed.append(*character);
  return TemplateValue(std::move(reversed));
}

// select and reject: those elements for which a test holds, or does not; of the element itself or of one of its fields.
Result<TemplateValue> choose_items(const Call& call, bool wanted, bool by_field) {
  TROUPE_TRY(auto items, items_of(call.input, call.budget));
  std::size_t next = 0;
  TemplateText field;
  if (by_field) {
    TROUPE_TRY(field, required_text(call, next++));
  }
  TROUPE_TRY(const auto test, text_argument(call, next));
  const auto& argument = call.arguments[next + 1];
  if (!test.bytes.empty() && !is_template_test(test.bytes)) {
    return Error{ErrorCode::unsupported, "test \"" + std::string(utf8_prefix(test.bytes, 40)) + "\" is not supported"};
  }
  if (!test.bytes.empty() && template_test_arguments(test.bytes) != (argument ? 1U : 0U)) {
    return Error{ErrorCode::invalid_argument,
                 "test \"" + std::string(utf8_prefix(test.bytes, 40)) + "\" has the wrong number of arguments"};
  }
  std::vector<TemplateValue> chosen;
  for (TemplateValue& item : items) {
    TemplateValue subject = item;
    if (by_field) {
      const auto* map = item.as<TemplateMap>();
      const TemplateValue* value = map == nullptr ? nullptr : map->find(field.bytes);
      subject = value == nullptr ? TemplateValue::undefined(field.bytes) : *value;
    }
    bool holds = subject.is_true();
    if (!test.bytes.empty()) {
      TROUPE_TRY(holds, run_template_test(test.bytes, subject, argument.value_or(TemplateValue()), call.budget));
    }
    if (holds == wanted) chosen.push_back(std::move(item));
  }
  return TemplateValue::list(std::move(chosen));
}

Result<TemplateValue> has_affix(const Call& call, bool at_start) {
  TROUPE_TRY(const auto* text, text_in(call.input));
  TROUPE_TRY(const auto affix, required_text(call, 0));
  return TemplateValue(at_start ? text->bytes.starts_with(affix.bytes) : text->bytes.ends_with(affix.bytes));
}

Result<TemplateValue> get_field(const Call& call) {
  const auto* map = call.input.as<TemplateMap>();
  if (map == nullptr) return wrong_kind(call.input, "a mapping");
  TROUPE_TRY(const auto name, required_text(call, 0));
  const TemplateValue* value = map->find(name.bytes);
  return value != nullptr ? *value : call.arguments[1].value_or(TemplateValue());
}

Result<TemplateValue> values_of(const Call& call) {
  const auto* map = call.input.as<TemplateMap>();
  if (map == nullptr) return wrong_kind(call.input, "a mapping");
  TROUPE_TRY_DO(call.budget.spend(map->entries.size() * element_bytes));
  std::vector<TemplateValue> values;
  for (const auto& entry : map->entries) values.push_back(entry.second);
  return TemplateValue::list(std::move(values));
}

Result<TemplateValue> length_value(const Call& call) {
  if (const auto* text = call.input.as<TemplateText>()) TROUPE_TRY_DO(call.budget.spend(text->bytes.size()));
  TROUPE_TRY(const std::int64_t length, length_of(call.input));
  return TemplateValue(length);
}

Result<TemplateValue> to_text(const Call& call) {
  TROUPE_TRY(auto text, text_of(call.input));
  TROUPE_TRY_DO(call.budget.spend(text.bytes.size()));
  return TemplateValue(std::move(text));
}

Result<TemplateValue> trim_filter(const Call& call) {
  TROUPE_TRY(auto text, to_text(call));
  return strip_side({text, call.arguments, call.budget}, TextSide::both);
}

constexpr std::array filters{
    Function{"trim", {"chars"}, trim_filter},
    Function{"length", {}, length_value},
    Function{"count", {}, length_value},
    Function{"upper", {}, [](const Call& call) { return to_case(call, TextCase::upper); }},
    Function{"lower", {}, [](const Call& call) { return to_case(call, TextCase::lower); }},
    Function{"capitalize", {}, [](const Call& call) { return to_case(call, TextCase::capitalize); }},
    Function{"title", {}, [](const Call& call) { return to_case(call, TextCase::title); }},
    Function{"tojson", {"indent"}, to_json},
    Function{"default", {"default_value", "boolean"}, default_value},
    Function{"d", {"default_value", "boolean"}, default_value},
    Function{"join", {"d"}, join_items},
    Function{"first", {}, [](const Call& call) { return end_item(call, true); }},
    Function{"last", {}, [](const Call& call) { return end_item(call, false); }},
    Function{"string", {}, to_text},
    Function{"safe", {}, to_text},
    Function{"replace", {"old", "new"}, replace_all},
    Function{"items", {}, pairs_of},
    Function{"list", {}, [](const Call& call) { return list_of(call, false); }},
    Function{"reverse", {}, reverse_of},
    Function{"select", {"test", "argument"}, [](const Call& call) { return choose_items(call, true, false); }},
    Function{"reject", {"test", "argument"}, [](const Call& call) { return choose_items(call, false, false); }},
    Function{"selectattr", {"field", "test", "argument"}, [](const Call& call) { return choose_items(call, true, true); }},
    Function{"rejectattr", {"field", "test", "argument"}, [](const Call& call) { return choose_items(call, false, true); }},
};

constexpr std::array methods{
    Function{"startswith", {"prefix"}, [](const Call& call) { return has_affix(call, true); }},
    Function{"endswith", {"suffix"}, [](const Call& call) { return has_affix(call, false); }},
    Function{"strip", {"chars"}, [](const Call& call) { return strip_side(call, TextSide::both); }},
    Function{"lstrip", {"chars"}, [](const Call& call) { return strip_side(call, TextSide::left); }},
    Function{"rstrip", {"chars"}, [](const Call& call) { return strip_side(call, TextSide::right); }},
    Function{"split", {"sep"}, split_text},
    Function{"replace", {"old", "new"}, replace_all},
    Function{"upper", {}, [](const Call& call) { return to_case(call, TextCase::upper); }},
    Function{"lower", {}, [](const Call& call) { return to_case(call, TextCase::lower); }},
    Function{"capitalize", {}, [](const Call& call) { return to_case(call, TextCase::capitalize); }},
    Function{"title", {}, [](const Call& call) { return to_case(call, TextCase::title); }},
    Function{"items", {}, pairs_of},
    Function{"keys", {}, [](const Call& call) { return list_of(call, false); }},
    Function{"values", {}, values_of},
    Function{"get", {"key", "default"}, get_field},
};

template <class Table>
const typename Table::value_type* find_in(const Table& table, std::string_view name) {
  const auto place = std::find_if(table.begin(), table.end(), [&](const auto& entry) { return entry.name == name; });
  return place == table.end() ? nullptr : &*place;
}

Result<Bound> bind(const Function& function, TemplateArguments arguments) {
  Bound bound(function.parameters.size());
  const auto count = static_cast<std::size_t>(
      std::find(function.parameters.begin(), function.parameters.end(), std::string_view()) - function.parameters.begin());
  if (arguments.values.size() > count) {
    return Error{ErrorCode::unsupported, "has " + std::to_string(arguments.values.size()) + " arguments, at most " +
                                             std::to_string(count) + " are supported"};
  }
  for (std::size_t i = 0; i < arguments.values.size(); ++i) bound[i] = std::move(arguments.values[i]);
  for (auto& [name, value] : arguments.named) {
    const auto place =
        std::find(function.parameters.begin(), function.parameters.begin() + static_cast<std::ptrdiff_t>(count), name);
    const auto index = static_cast<std::size_t>(place - function.parameters.begin());
    if (index == count || bound[index])
      return Error{ErrorCode::unsupported, "has an argument \"" + name + "\" that is not supported"};
    bound[index] = std::move(value);
  }
  return bound;
}

template <class Table>
Result<TemplateValue> call_function(const Table& table, std::string_view kind, std::string_view name,
                                    const TemplateValue& input, TemplateArguments arguments, TemplateBudget& budget) {
  const Function* function = find_in(table, name);
  const std::string context = std::string(kind) + " \"" + std::string(name) + "\"";
  if (function == nullptr) return Error{ErrorCode::unsupported, context + " is not supported"};
  auto bound = bind(*function, std::move(arguments));
  if (!bound) return std::move(bound).error().within(context);
  auto result = function->run({input, *bound, budget});
  if (!result) return std::move(result).error().within(context);
  return result;
}

}  // namespace

bool is_template_filter(std::string_view name) { return find_in(filters, name) != nullptr; }
bool is_template_method(std::string_view name) { return find_in(methods, name) != nullptr; }
bool is_loop_field(std::string_view name) {
  constexpr std::array<std::string_view, 9> fields{"index", "index0", "revindex", "revindex0", "first",
                                                   "last",  "length", "previtem", "nextitem"};
  return std::find(fields.begin(), fields.end(), name) != fields.end();
}

Result<TemplateValue> call_template_filter(std::string_view name, const TemplateValue& input, TemplateArguments arguments,
                                           TemplateBudget& budget) {
  return call_function(filters, "filter", name, input, std::move(arguments), budget);
}

Result<TemplateValue> call_template_method(std::string_view name, const TemplateValue& object, TemplateArguments arguments,
                                           TemplateBudget& budget) {
  return call_function(methods, "method", name, object, std::move(arguments), budget);
}

}  // namespace troupe::model
