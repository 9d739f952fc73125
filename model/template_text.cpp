#include "model/template_text.hpp"

#include "model/utf8.hpp"

namespace troupe::model {

namespace {

bool is_white_space(char32_t c) {  // str.isspace()
  return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

// The character that begins at `offset` of valid UTF-8.
std::string_view character_at(std::string_view text, std::size_t offset) {
  return text.substr(offset, first_utf8_unit(text.substr(offset)).length);
}

std::size_t previous_character(std::string_view text, std::size_t end) {
  do --end;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80);
  return end;
}

bool is_one_of(std::string_view character, std::string_view set) {
  if (set.empty()) return is_white_space(first_code_point(character));
  return set.find(character) != std::string_view::npos;  // UTF-8 is never found across characters
}

char to_upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

TemplateText strip(const TemplateText& text, std::string_view characters, TextSide side) {
  const std::string_view bytes = text.bytes;
  std::size_t begin = 0;
  std::size_t end = bytes.size();
  if (side != TextSide::right) {
    while (begin < end && is_one_of(character_at(bytes, begin), characters)) begin += character_at(bytes, begin).size();
  }
  while (side != TextSide::left && end > begin) {
    const std::size_t last = previous_character(bytes, end);
    if (!is_one_of(bytes.substr(last, end - last), characters)) break;
    end = last;
  }
  return text.part(begin, end - begin);
}

std::vector<TemplateText> split(const TemplateText& text, std::string_view separator) {
  std::vector<TemplateText> parts;
  const std::string_view bytes = text.bytes;
  std::size_t begin = 0;
  if (!separator.empty()) {
    for (std::size_t end = 0; (end = bytes.find(separator, begin)) != std::string_view::npos; begin = end + separator.size()) {
      parts.push_back(text.part(begin, end - begin));
    }
    parts.push_back(text.part(begin, bytes.size() - begin));
    return parts;
  }
  for (std::size_t i = 0; i <= bytes.size();) {
    const bool ends = i == bytes.size() || is_one_of(character_at(bytes, i), "");
    if (ends && i > begin) parts.push_back(text.part(begin, i - begin));
    i += i == bytes.size() ? 1 : character_at(bytes, i).size();
    if (ends) begin = i;
  }
  return parts;
}

TemplateText replace(const TemplateText& text, const TemplateText& old_text, const TemplateText& new_text) {
  std::string result;
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = text.bytes.find(old_text.bytes, begin)) != std::string::npos;
       begin = end + old_text.bytes.size()) {
    result.append(text.bytes, begin, end - begin).append(new_text.bytes);
  }
  result.append(text.bytes, begin);
  return TemplateText(std::move(result), !text.from_messages.empty() || !new_text.from_messages.empty());
}

Result<TemplateText> change_case(const TemplateText& text, TextCase to) {
  TemplateText result = text;
  bool word_begins = true;
  for (char& c : result.bytes) {
    if (static_cast<unsigned char>(c) >= 0x80) {
      return Error{ErrorCode::unsupported, "upper and lower case are known for ASCII text only"};
    }
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool makes_upper = to == TextCase::upper || (to != TextCase::lower && word_begins);
    c = makes_upper ? to_upper(c) : to_lower(c);
    word_begins = to == TextCase::title && !is_letter;
  }
  return result;
}

std::vector<TemplateText> characters_of(const TemplateText& text) {
  std::vector<TemplateText> characters;
  std::size_t span = 0;  // walked along, since part() looks at all spans
  for (std::size_t i = 0; i < text.bytes.size();) {
    const std::string_view character = character_at(text.bytes, i);
    while (span < text.from_messages.size() && text.from_messages[span].end <= i) ++span;
    const bool is_from_message = span < text.from_messages.size() && text.from_messages[span].begin < i + character.size();
    characters.emplace_back(std::string(character), is_from_message);
    i += character.size();
  }
  return characters;
}

std::int64_t count_characters(std::string_view text) {
  std::int64_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

std::size_t count_occurrences(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t i = text.find(part); i != std::string_view::npos; i = text.find(part, i + part.size())) ++count;
  return count;
}

}  // namespace troupe::model
