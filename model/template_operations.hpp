// What chat templates do with values, as Python does it: operators, slices, tests, walking. What would be too much work is
// refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "model/template_value.hpp"

namespace troupe::model {

/// How much one rendering may still do, in bytes of text made; everything else that takes time or memory is counted in bytes
/// too.
class TemplateBudget {
 public:
  static constexpr std::size_t bytes_max = std::size_t{256} << 20;

  Result<void> spend(std::size_t bytes);

 private:
  std::size_t spent_ = 0;
};

/// What an element of a list is counted as.
inline constexpr std::size_t element_bytes = 64;

/// "is given SEEN, expected EXPECTED" and "cannot WHAT SEEN"; a value that is undefined is named.
Error wrong_kind(const TemplateValue& value, std::string_view expected);
Error cannot(std::string_view what, const TemplateValue& value);
/// The value's text, or an error if it is not a string. Borrows the value.
Result<const TemplateText*> text_in(const TemplateValue& value);

bool is_template_test(std::string_view name);
/// How many arguments the test takes besides its value: 0 or 1.
std::size_t template_test_arguments(std::string_view name);
Result<bool> run_template_test(std::string_view name, const TemplateValue& value, const TemplateValue& argument,
                               TemplateBudget& budget);

/// Python's `needle in haystack`.
Result<bool> contains(const TemplateValue& haystack, const TemplateValue& needle, TemplateBudget& budget);
/// Python's len().
Result<std::int64_t> length_of(const TemplateValue& value);
/// What a loop over the value visits: elements, characters, keys, or nothing for what is undefined.
Result<std::vector<TemplateValue>> items_of(const TemplateValue& value, TemplateBudget& budget);

/// "a SYMBOL b" for == != < > <= >= in, not in, + - * // % and ~.
Result<TemplateValue> apply_template_operator(std::string_view symbol, const TemplateValue& a, const TemplateValue& b,
                                              TemplateBudget& budget);
/// `operands` are a string or a list, then first, last and step, each an integer or none.
Result<TemplateValue> slice_template_value(std::span<const TemplateValue> operands, TemplateBudget& budget);

}  // namespace troupe::model
