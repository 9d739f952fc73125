#include "model/template_operations.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "model/template_text.hpp"

namespace troupe::model {

namespace {

using Value = TemplateValue;

struct Test {
  std::string_view name;
  std::size_t arguments;
};

// Name, and how many arguments besides the value.
constexpr std::array<Test, 18> tests{{{"defined", 0},
                                      {"undefined", 0},
                                      {"none", 0},
                                      {"string", 0},
                                      {"mapping", 0},
                                      {"iterable", 0},
                                      {"sequence", 0},
                                      {"number", 0},
                                      {"integer", 0},
                                      {"boolean", 0},
                                      {"true", 0},
                                      {"false", 0},
                                      {"odd", 0},
                                      {"even", 0},
                                      {"equalto", 1},
                                      {"eq", 1},
                                      {"ne", 1},
                                      {"in", 1}}};

const Test* find_test(std::string_view name) {
  const auto place = std::find_if(tests.begin(), tests.end(), [&](const Test& test) { return test.name == name; });
  return place == tests.end() ? nullptr : &*place;
}

Result<Value> calculate(std::string_view symbol, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool overflows = false;
  if (symbol == "+") {
    overflows = __builtin_add_overflow(a, b, &result);
  } else if (symbol == "-") {
    overflows = __builtin_sub_overflow(a, b, &result);
  } else if (symbol == "*") {
    overflows = __builtin_mul_overflow(a, b, &result);
  } else {
    if (b == 0) return Error{ErrorCode::invalid_argument, "division by zero"};
    if (b == -1 && a == std::numeric_limits<std::int64_t>::min()) {
      overflows = symbol == "//";
    } else {  // rounds down, as Python does
      const bool rounds = a % b != 0 && (a % b < 0) != (b < 0);
      result = symbol == "//" ? a / b - (rounds ? 1 : 0) : a % b + (rounds ? b : 0);
    }
  }
  if (overflows) return Error{ErrorCode::out_of_range, "result of \"" + std::string(symbol) + "\" does not fit into 64 bits"};
  return Value(result);
}

// Python's slice.indices(): which elements of `length` a slice visits.
Result<std::vector<std::size_t>> slice_indices(std::int64_t length, std::optional<std::int64_t> first,
                                               std::optional<std::int64_t> last, std::int64_t step) {
  if (step == 0) return Error{ErrorCode::invalid_argument, "slice has step 0"};
  const std::int64_t low = step > 0 ? 0 : -1;
  const std::int64_t high = step > 0 ? length : length - 1;
  const auto place = [&](std::int64_t index) { return std::clamp(index < 0 ? index + length : index, low, high); };
  const std::int64_t begin = first ? place(*first) : (step > 0 ? low : high);
  const std::int64_t end = last ? place(*last) : (step > 0 ? high : low);
  step = std::clamp(step, -length - 1, length + 1);
  std::vector<std::size_t> indices;
  for (std::int64_t i = begin; step > 0 ? i < end : i > end; i += step) indices.push_back(static_cast<std::size_t>(i));
  return indices;
}

std::string seen(const Value& value) {
  const auto* undefined = value.as<Value::Undefined>();
  return undefined != nullptr ? "\"" + undefined->name + "\", which is undefined" : std::string(value.kind());
}

Result<Value> joined(TemplateBudget& budget, const TemplateText& a, const TemplateText& b) {
  TROUPE_TRY_DO(budget.spend(a.bytes.size() + b.bytes.size()));
  TemplateText text = a;
  text.append(b);
  return Value(std::move(text));
}

}  // namespace

Result<void> TemplateBudget::spend(std::size_t bytes) {
  if (bytes > bytes_max - spent_) {
    return Error{ErrorCode::too_large, "rendering does more than " + std::to_string(bytes_max >> 20) + " MiB of work"};
  }
  spent_ += bytes;
  return {};
}

Error wrong_kind(const Value& value, std::string_view expected) {
  return Error{ErrorCode::invalid_argument, "is given " + seen(value) + ", expected " + std::string(expected)};
}

Error cannot(std::string_view what, const Value& value) {
  return Error{ErrorCode::invalid_argument, "cannot " + std::string(what) + " " + seen(value)};
}

Result<const TemplateText*> text_in(const TemplateValue& value) {
  if (const auto* text = value.as<TemplateText>()) return text;
  return wrong_kind(value, "a string");
}

bool is_template_test(std::string_view name) { return find_test(name) != nullptr; }

std::size_t template_test_arguments(std::string_view name) {
  const Test* test = find_test(name);
  return test == nullptr ? 0 : test->arguments;
}

Result<bool> run_template_test(std::string_view name, const TemplateValue& value, const TemplateValue& argument,
                               TemplateBudget& budget) {
  const bool* truth = value.as<bool>();
  const auto* number = value.as<std::int64_t>();
  const bool is_text = value.as<TemplateText>() != nullptr;
  const bool is_map = value.as<TemplateMap>() != nullptr;
  const bool has_items = is_text || is_map || value.as<TemplateList>() != nullptr || value.is_undefined();
  if (name == "defined") return !value.is_undefined();
  if (name == "undefined") return value.is_undefined();
  if (name == "none") return value.as<TemplateValue::None>() != nullptr;
  if (name == "string") return is_text;
  if (name == "mapping") return is_map;
  if (name == "iterable" || name == "sequence") return has_items;
  if (name == "number") return number != nullptr || truth != nullptr;
  if (name == "integer") return number != nullptr;
  if (name == "boolean") return truth != nullptr;
  if (name == "true") return truth != nullptr && *truth;
  if (name == "false") return truth != nullptr && !*truth;
  if (template_test_arguments(name) > 0) TROUPE_TRY_DO(budget.spend(std::min(value.weight(), argument.weight())));
  if (name == "in") return contains(argument, value, budget);
  if (name == "equalto" || name == "eq") return equal(value, argument);
  if (name == "ne") return !equal(value, argument);
  if (number == nullptr) return wrong_kind(value, "an integer");
  return (*number % 2 != 0) == (name == "odd");
}

Result<bool> contains(const TemplateValue& haystack, const TemplateValue& needle, TemplateBudget& budget) {
  if (const auto* text = haystack.as<TemplateText>()) {
    TROUPE_TRY(const auto* part, text_in(needle));
    TROUPE_TRY_DO(budget.spend(text->bytes.size()));
    return text->bytes.find(part->bytes) != std::string::npos;
  }
  if (const auto* map = haystack.as<TemplateMap>()) {
    const auto* name = needle.as<TemplateText>();
    return name != nullptr && map->find(name->bytes) != nullptr;
  }
  if (haystack.is_undefined()) return false;
  const auto* list = haystack.as<TemplateList>();
  if (list == nullptr) return wrong_kind(haystack, "a string, a list or a mapping");
  TROUPE_TRY_DO(budget.spend(haystack.weight()));
  return std::any_of(list->items.begin(), list->items.end(), [&](const TemplateValue& item) { return equal(item, needle); });
}

Result<std::int64_t> length_of(const TemplateValue& value) {
  if (const auto* text = value.as<TemplateText>()) return count_characters(text->bytes);
  if (const auto* list = value.as<TemplateList>()) return static_cast<std::int64_t>(list->items.size());
  if (const auto* map = value.as<TemplateMap>()) return static_cast<std::int64_t>(map->entries.size());
  if (value.is_undefined()) return 0;
  return wrong_kind(value, "a string, a list or a mapping");
}

Result<std::vector<TemplateValue>> items_of(const TemplateValue& value, TemplateBudget& budget) {
  TROUPE_TRY(const std::int64_t length, length_of(value));
  TROUPE_TRY_DO(budget.spend(static_cast<std::size_t>(length) * element_bytes));
  if (const auto* list = value.as<TemplateList>()) return list->items;
  std::vector<TemplateValue> items;
  if (const auto* text = value.as<TemplateText>()) {
    for (TemplateText& character : characters_of(*text)) items.emplace_back(std::move(character));
  } else if (const auto* map = value.as<TemplateMap>()) {
    for (const auto& entry : map->entries) items.emplace_back(TemplateText(entry.first, true));
  }
  return items;
}

Result<Value> apply_template_operator(std::string_view symbol, const Value& a, const Value& b, TemplateBudget& budget) {
  if (symbol == "==" || symbol == "!=") {
    TROUPE_TRY_DO(budget.spend(std::min(a.weight(), b.weight())));
    return Value(equal(a, b) == (symbol == "=="));
  }
  if (symbol == "in" || symbol == "not in") {
    TROUPE_TRY(const bool found, contains(b, a, budget));
    return Value(found == (symbol == "in"));
  }
  if (symbol == "~") {
    TROUPE_TRY(const auto left, text_of(a));
    TROUPE_TRY(const auto right, text_of(b));
    return joined(budget, left, right);
  }
  const auto *x = a.as<std::int64_t>(), *y = b.as<std::int64_t>();
  const auto *s = a.as<TemplateText>(), *t = b.as<TemplateText>();
  const bool numbers = x != nullptr && y != nullptr;
  const bool texts = s != nullptr && t != nullptr;
  if (symbol == "<" || symbol == ">" || symbol == "<=" || symbol == ">=") {
    if (!numbers && !texts) return cannot("compare " + seen(a) + " with", b);
    if (texts) TROUPE_TRY_DO(budget.spend(std::min(s->bytes.size(), t->bytes.size())));
    const auto order = numbers ? *x <=> *y : s->bytes.compare(t->bytes) <=> 0;
    return Value(symbol == "<" ? order < 0 : symbol == ">" ? order > 0 : symbol == "<=" ? order <= 0 : order >= 0);
  }
  if (numbers) return calculate(symbol, *x, *y);
  if (symbol == "+" && texts) return joined(budget, *s, *t);
  const auto *left = a.as<TemplateList>(), *right = b.as<TemplateList>();
  if (symbol == "+" && left != nullptr && right != nullptr) {
    TROUPE_TRY_DO(budget.spend((left->items.size() + right->items.size()) * element_bytes));
    std::vector<Value> items = left->items;
    items.insert(items.end(), right->items.begin(), right->items.end());
    return Value::list(std::move(items));
  }
  return cannot("apply \"" + std::string(symbol) + "\" to " + seen(a) + (a.is_undefined() ? ", and" : " and"), b);
}

Result<Value> slice_template_value(std::span<const Value> operands, TemplateBudget& budget) {
  std::array<std::optional<std::int64_t>, 3> bounds;
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    const Value& bound = operands[i + 1];
    if (bound.as<Value::None>() != nullptr) continue;
    if (bound.as<std::int64_t>() == nullptr) return cannot("slice by", bound);
    bounds[i] = *bound.as<std::int64_t>();
  }
  if (operands[0].is_undefined() || operands[0].as<TemplateMap>() != nullptr) return cannot("slice", operands[0]);
  TROUPE_TRY(const auto items, items_of(operands[0], budget));
  TROUPE_TRY(const auto indices,
             slice_indices(static_cast<std::int64_t>(items.size()), bounds[0], bounds[1], bounds[2].value_or(1)));
  if (operands[0].as<TemplateText>() != nullptr) {
    TemplateText text;
    for (const std::size_t i : indices) text.append(*items[i].as<TemplateText>());
    return Value(std::move(text));
  }
  std::vector<Value> chosen;
  for (const std::size_t i : indices) chosen.push_back(items[i]);
  return Value::list(std::move(chosen));
}

}  // namespace troupe::model
