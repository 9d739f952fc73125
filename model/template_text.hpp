// What templates do with text, as Python's str does it. Positions and lengths are in characters, not bytes. Where a result is
// cut out of the input, it keeps what is known of where its bytes came from.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "model/template_value.hpp"

namespace troupe::model {

enum class TextSide { left = 1, right = 2, both = 3 };
enum class TextCase { upper, lower, capitalize, title };

/// Without `characters` (empty): white space as Unicode has it.
TemplateText strip(const TemplateText& text, std::string_view characters, TextSide side);
/// At every `separator`, or, if that is empty, at runs of white space.
std::vector<TemplateText> split(const TemplateText& text, std::string_view separator);
/// Every `old_text`, which must not be empty. The result may be as long as the inputs' product; the caller bounds that.
TemplateText replace(const TemplateText& text, const TemplateText& old_text, const TemplateText& new_text);
/// `unsupported` if the text has letters outside of ASCII.
Result<TemplateText> change_case(const TemplateText& text, TextCase to);

std::vector<TemplateText> characters_of(const TemplateText& text);
std::int64_t count_characters(std::string_view text);
std::size_t count_occurrences(std::string_view text, std::string_view part);

}  // namespace troupe::model
