#include "model/template_value.hpp"

#include <algorithm>

#include "model/utf8.hpp"

namespace troupe::model {

namespace {

constexpr std::size_t name_bytes_max = 80;  // of what was not found, for messages
constexpr int nesting_max = 64;
constexpr std::size_t node_bytes = 64;  // what a value weighs besides its text
constexpr std::size_t weight_max = std::size_t{64} << 20;
constexpr std::size_t json_bytes_max = std::size_t{16} << 20;

void append_json_string(const std::string& text, std::string& json) {
  constexpr std::string_view digits = "0123456789abcdef";
  json += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '"': json += "\\\""; break;
      case '\\': json += "\\\\"; break;
      case '\n': json += "\\n"; break;
      case '\r': json += "\\r"; break;
      case '\t': json += "\\t"; break;
      case '\b': json += "\\b"; break;
      case '\f': json += "\\f"; break;
      default:
        if (byte < 0x20) {
          json += "\\u00";
          json += digits[byte >> 4];
          json += digits[byte & 15U];
        } else {
          json += c;
        }
    }
  }
  json += '"';
}

struct JsonWriter {
  std::int64_t indent;
  std::string json;

  void new_line(int level) {
    if (indent >= 0) json.append("\n").append(static_cast<std::size_t>(indent * level), ' ');
  }

  // `write_item(i)` writes the i-th of `count` elements.
  template <class WriteItem>
  Result<void> write_all(char open, char close, std::size_t count, int level, WriteItem write_item) {
    json += open;
    for (std::size_t i = 0; i < count; ++i) {
      if (i > 0) json += indent >= 0 ? "," : ", ";
      new_line(level + 1);
      TROUPE_TRY_DO(write_item(i));
    }
    if (count > 0) new_line(level);
    json += close;
    return {};
  }

  Result<void> write(const TemplateValue& value, int level) {
    if (json.size() > json_bytes_max)
      return Error{ErrorCode::too_large, "JSON of more than " + std::to_string(json_bytes_max) + " bytes"};
    if (value.as<TemplateValue::None>() != nullptr) {
      json += "null";
    } else if (const bool* truth = value.as<bool>()) {
      json += *truth ? "true" : "false";
    } else if (const auto* number = value.as<std::int64_t>()) {
      json += std::to_string(*number);
    } else if (const auto* text = value.as<TemplateText>()) {
      append_json_string(text->bytes, json);
    } else if (const auto* list = value.as<TemplateList>()) {
      return write_all('[', ']', list->items.size(), level, [&](std::size_t i) { return write(list->items[i], level + 1); });
    } else if (const auto* map = value.as<TemplateMap>()) {
      return write_all('{', '}', map->entries.size(), level, [&](std::size_t i) {
        append_json_string(map->entries[i].first, json);
        json += ": ";
        return write(map->entries[i].second, level + 1);
      });
    } else {
      return Error{ErrorCode::invalid_argument, std::string(value.kind()) + " cannot be written as JSON"};
    }
    return {};
  }
};

}  // namespace

TemplateText::TemplateText(std::string text, bool is_from_message) : bytes(std::move(text)) {
  if (is_from_message && !bytes.empty()) from_messages.push_back({0, bytes.size()});
}

void TemplateText::append(const TemplateText& other) {
  const std::size_t shift = bytes.size();
  bytes += other.bytes;
  for (const TextSpan& span : other.from_messages) {
    const TextSpan moved{span.begin + shift, span.end + shift};
    if (!from_messages.empty() && from_messages.back().end == moved.begin) {
      from_messages.back().end = moved.end;
    } else {
      from_messages.push_back(moved);
    }
  }
}

TemplateText TemplateText::part(std::size_t begin, std::size_t length) const {
  TemplateText result(bytes.substr(begin, length));
  for (const TextSpan& span : from_messages) {
    const std::size_t from = std::max(span.begin, begin);
    const std::size_t to = std::min(span.end, begin + length);
    if (from < to) result.from_messages.push_back({from - begin, to - begin});
  }
  return result;
}

TemplateValue::TemplateValue(TemplateText text) : value_(std::make_shared<const TemplateText>(std::move(text))) {}

TemplateValue::TemplateValue(TemplateMap map) {
  for (const auto& [name, value] : map.entries) {
    map.depth = std::max(map.depth, value.depth() + 1);
    map.weight += name.size() + value.weight();
  }
  value_ = std::make_shared<const TemplateMap>(std::move(map));
}

TemplateValue TemplateValue::undefined(std::string name) {
  TemplateValue value;
  if (name.size() > name_bytes_max) name = utf8_prefix(name, name_bytes_max);
  value.value_ = Undefined{std::move(name)};
  return value;
}

Result<TemplateValue> TemplateValue::list(std::vector<TemplateValue> items) {
  TemplateList list{std::move(items)};
  for (const TemplateValue& item : list.items) {
    list.depth = std::max(list.depth, item.depth() + 1);
    list.weight += item.weight();
    if (list.weight > weight_max)
      return Error{ErrorCode::too_large, "a list of more than " + std::to_string(weight_max >> 20) + " MiB"};
  }
  if (list.depth > nesting_max) {
    return Error{ErrorCode::too_large, "lists nested deeper than " + std::to_string(nesting_max) + " levels"};
  }
  TemplateValue value;
  value.value_ = std::make_shared<const TemplateList>(std::move(list));
  return value;
}

bool TemplateValue::is_true() const {
  if (const bool* truth = as<bool>()) return *truth;
  if (const auto* number = as<std::int64_t>()) return *number != 0;
  if (const auto* text = as<TemplateText>()) return !text->bytes.empty();
  if (const auto* list = as<TemplateList>()) return !list->items.empty();
  if (const auto* map = as<TemplateMap>()) return !map->entries.empty();
  return as<Namespace>() != nullptr;
}

int TemplateValue::depth() const {
  if (const auto* list = as<TemplateList>()) return list->depth;
  if (const auto* map = as<TemplateMap>()) return map->depth;
  return 0;
}

std::size_t TemplateValue::weight() const {
  if (const auto* text = as<TemplateText>()) return node_bytes + text->bytes.size();
  if (const auto* list = as<TemplateList>()) return node_bytes + list->weight;
  if (const auto* map = as<TemplateMap>()) return node_bytes + map->weight;
  return node_bytes;
}

std::string_view TemplateValue::kind() const {
  constexpr std::string_view names[] = {"undefined", "none",   "a boolean", "an integer",
                                        "a string",  "a list", "a mapping", "a namespace"};
  return names[value_.index()];
}

const TemplateValue* TemplateMap::find(std::string_view name) const {
  const auto place = std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.first == name; });
  return place == entries.end() ? nullptr : &place->second;
}

bool equal(const TemplateValue& a, const TemplateValue& b) {
  const auto number_of = [](const TemplateValue& value) -> const std::int64_t* {
    static constexpr std::int64_t zero = 0;
    static constexpr std::int64_t one = 1;
    if (const bool* truth = value.as<bool>()) return *truth ? &one : &zero;  // True == 1, as in Python
    return value.as<std::int64_t>();
  };
  if (const auto *x = number_of(a), *y = number_of(b); x != nullptr && y != nullptr) return *x == *y;
  if (const auto *x = a.as<TemplateText>(), *y = b.as<TemplateText>(); x != nullptr && y != nullptr)
    return x->bytes == y->bytes;
  if (const auto *x = a.as<TemplateList>(), *y = b.as<TemplateList>(); x != nullptr && y != nullptr) {
    return std::equal(x->items.begin(), x->items.end(), y->items.begin(), y->items.end(), equal);
  }
  if (const auto *x = a.as<TemplateMap>(), *y = b.as<TemplateMap>(); x != nullptr && y != nullptr) {
    return x->entries.size() == y->entries.size() && std::all_of(x->entries.begin(), x->entries.end(), [&](const auto& entry) {
             const TemplateValue* other = y->find(entry.first);
             return other != nullptr && equal(entry.second, *other);
           });
  }
  if (const auto *x = a.as<TemplateValue::Namespace>(), *y = b.as<TemplateValue::Namespace>(); x != nullptr && y != nullptr) {
    return x->index == y->index;
  }
  const auto is_none = [](const TemplateValue& value) { return value.as<TemplateValue::None>() != nullptr; };
  return (is_none(a) && is_none(b)) || (a.is_undefined() && b.is_undefined());
}

Result<TemplateText> text_of(const TemplateValue& value) {
  if (const auto* text = value.as<TemplateText>()) return *text;
  if (const bool* truth = value.as<bool>()) return TemplateText(*truth ? "True" : "False");
  if (const auto* number = value.as<std::int64_t>()) return TemplateText(std::to_string(*number));
  if (value.as<TemplateValue::None>() != nullptr) return TemplateText("None");
  if (value.is_undefined()) return TemplateText();
  return Error{
      ErrorCode::unsupported,
      std::string(value.kind()) + " is printed; only strings, integers, booleans and none can be (tojson prints others)"};
}

Result<std::string> json_of(const TemplateValue& value, std::int64_t indent) {
  JsonWriter writer{indent, {}};
  TROUPE_TRY_DO(writer.write(value, 0));
  return std::move(writer.json);
}

}  // namespace troupe::model
