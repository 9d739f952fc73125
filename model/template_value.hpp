// What the expressions of a chat template are made of. Text remembers which of its bytes came from messages, so that a rendered
// prompt can be encoded without trusting them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "model/text_span.hpp"

namespace troupe::model {

/// UTF-8 and where in it message text is. What cuts and joins text keeps the spans exact; what rewrites it marks the whole
/// result if any of its inputs had a span.
struct TemplateText {
  std::string bytes;
  std::vector<TextSpan> from_messages;  ///< ascending, not empty, not touching

  TemplateText() = default;
  explicit TemplateText(std::string text, bool is_from_message = false);
  void append(const TemplateText& other);
  TemplateText part(std::size_t begin, std::size_t length) const;
};

struct TemplateList;
struct TemplateMap;

/// Immutable and cheap to copy.
class TemplateValue {
 public:
  struct Undefined {
    std::string name;  // of what was looked for
  };
  struct None {};
  struct Namespace {
    std::size_t index;  // into the interpreter's namespaces, the only values that change
  };

  TemplateValue() : value_(None{}) {}
  TemplateValue(bool value) : value_(value) {}               // NOLINT(google-explicit-constructor)
  TemplateValue(std::int64_t value) : value_(value) {}       // NOLINT(google-explicit-constructor)
  TemplateValue(TemplateText text);                          // NOLINT(google-explicit-constructor)
  TemplateValue(Namespace reference) : value_(reference) {}  // NOLINT(google-explicit-constructor)
  /// For maps that the program itself makes, which are small.
  TemplateValue(TemplateMap map);  // NOLINT(google-explicit-constructor)
  TemplateValue(const char*) = delete;
  static TemplateValue undefined(std::string name);
  static TemplateValue text(std::string bytes) { return TemplateText(std::move(bytes)); }
  /// `too_large` if lists would be nested too deeply or weigh too much.
  static Result<TemplateValue> list(std::vector<TemplateValue> items);

  template <class T>
  const T* as() const;  ///< the value as Undefined, None, bool, int64, TemplateText, TemplateList, TemplateMap or Namespace;
                        ///< nullptr if it is another

  bool is_undefined() const { return std::holds_alternative<Undefined>(value_); }
  bool is_true() const;  ///< as Python has it: empty text, lists and maps, 0, none and undefined are false
  int depth() const;     ///< of nested lists and maps
  /// Bytes that walking all of the value visits, where a part that occurs twice counts twice: comparing and writing it out cost
  /// this.
  std::size_t weight() const;
  std::string_view kind() const;  ///< for error messages: "a string", "undefined"

 private:
  std::variant<Undefined, None, bool, std::int64_t, std::shared_ptr<const TemplateText>, std::shared_ptr<const TemplateList>,
               std::shared_ptr<const TemplateMap>, Namespace>
      value_;
};

struct TemplateList {
  std::vector<TemplateValue> items;
  int depth = 1;
  std::size_t weight = 0;
};

/// In the order in which the entries were added; small, so looked up by walking.
struct TemplateMap {
  std::vector<std::pair<std::string, TemplateValue>> entries;
  int depth = 1;
  std::size_t weight = 0;

  const TemplateValue* find(std::string_view name) const;
};

template <class T>
const T* TemplateValue::as() const {
  if constexpr (std::is_same_v<T, TemplateText> || std::is_same_v<T, TemplateList> || std::is_same_v<T, TemplateMap>) {
    const auto* pointer = std::get_if<std::shared_ptr<const T>>(&value_);
    return pointer == nullptr ? nullptr : pointer->get();
  } else {
    return std::get_if<T>(&value_);
  }
}

/// Python's ==.
bool equal(const TemplateValue& a, const TemplateValue& b);

/// What {{ value }} prints. Lists and maps have no text of their own here; tojson makes one.
Result<TemplateText> text_of(const TemplateValue& value);

/// As Python's json.dumps with ensure_ascii=False; `indent` < 0 for one line. `too_large` past a limit.
Result<std::string> json_of(const TemplateValue& value, std::int64_t indent);

}  // namespace troupe::model
