#include "model/template_lexer.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "model/utf8.hpp"

namespace troupe::model {

namespace {

using Kind = TemplateToken::Kind;

constexpr std::string_view white_space = " \t\n\r\f\v";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(std::string_view source) {
    for (std::size_t i = 0; i < source.size(); ++i) {  // line ends become "\n", and the last of them is dropped
      if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
      source_ += source[i] == '\r' ? '\n' : source[i];
    }
    if (source_.ends_with('\n')) source_.pop_back();
  }

  Result<std::vector<TemplateToken>> run() {
    while (position_ < source_.size()) {
      const std::size_t tag = find_tag();
      add_text(tag);
      if (tag == std::string::npos) break;
      const char kind = source_[tag + 1];
      move_to(tag + 2);
      if (position_ < source_.size() && (source_[position_] == '-' || source_[position_] == '+')) move_to(position_ + 1);
      if (kind == '#') {
        TROUPE_TRY_DO(skip_comment());
      } else {
        add(kind == '{' ? Kind::output_begin : Kind::statement_begin);
        TROUPE_TRY_DO(lex_tag(kind == '{' ? "}}" : "%}", kind == '{' ? Kind::output_end : Kind::statement_end));
      }
    }
    add(Kind::end);
    return std::move(tokens_);
  }

 private:
  void add(Kind kind, std::string content = {}) { tokens_.push_back({kind, line_, std::move(content)}); }

  void move_to(std::size_t position) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(position_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(position), '\n'));
    position_ = position;
  }

  std::size_t find_tag() const {
    for (std::size_t i = source_.find('{', position_); i != std::string::npos; i = source_.find('{', i + 1)) {
      if (i + 1 < source_.size() && (source_[i + 1] == '{' || source_[i + 1] == '%' || source_[i + 1] == '#')) return i;
    }
    return std::string::npos;
  }

  // The literal text up to `tag`, less what the tag takes away: all white space before "{%-", and before "{%" and "{#" (but
  // not "{{" and "{%+") the white space that begins the line.
  void add_text(std::size_t tag) {
    std::string text = source_.substr(position_, tag == std::string::npos ? tag : tag - position_);
    if (tag != std::string::npos) {
      const char sign = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
      if (sign == '-') {
        text.erase(text.find_last_not_of(white_space) + 1);
      } else if (sign != '+' && source_[tag + 1] != '{') {
        const std::size_t newline = text.rfind('\n');
        const std::size_t begin = newline == std::string::npos ? 0 : newline + 1;
        const bool begins_line = newline != std::string::npos || position_ == 0 || source_[position_ - 1] == '\n';
        if (begins_line && text.find_first_not_of(white_space, begin) == std::string::npos) text.erase(begin);
      }
    }
    if (!text.empty()) add(Kind::text, std::move(text));
    move_to(tag == std::string::npos ? source_.size() : tag);
  }

  // After a tag that ends at `end`: "-%}" takes all white space that follows, "%}" and "#}" the line end, "}}" and "+%}"
  // nothing.
  void finish_tag(char sign, bool takes_line_end, std::size_t end) {
    if (sign == '-') {
      end = std::min(source_.find_first_not_of(white_space, end), source_.size());
    } else if (takes_line_end && sign != '+' && end < source_.size() && source_[end] == '\n') {
      ++end;
    }
    move_to(end);
  }

  Result<void> skip_comment() {
    const std::size_t end = source_.find("#}", position_);
    if (end == std::string::npos) return template_error(line_, "comment {# is not closed, expected #}");
    finish_tag(end > position_ ? source_[end - 1] : ' ', true, end + 2);
    return {};
  }

  Result<void> lex_tag(std::string_view closing, Kind closing_kind) {
    std::vector<char> brackets;  // "}" of a mapping must not be taken for the end of the tag
    while (true) {
      move_to(std::min(source_.find_first_not_of(white_space, position_), source_.size()));
      const std::string_view rest = std::string_view(source_).substr(position_);
      if (rest.empty()) return template_error(line_, std::string("tag is not closed, expected ") + std::string(closing));
      const bool has_sign = rest.size() > 2 && (rest[0] == '-' || (rest[0] == '+' && closing == "%}"));
      if (brackets.empty() && rest.substr(has_sign ? 1 : 0).starts_with(closing)) {
        add(closing_kind);
        finish_tag(has_sign ? rest[0] : ' ', closing == "%}", position_ + (has_sign ? 3 : 2));
        return {};
      }
      if (is_letter(rest[0])) {
        const auto end = std::find_if_not(rest.begin(), rest.end(), [](char c) { return is_letter(c) || is_digit(c); });
        add(Kind::name, std::string(rest.begin(), end));
        move_to(position_ + tokens_.back().content.size());
      } else if (is_digit(rest[0])) {
        TROUPE_TRY_DO(lex_integer(rest));
      } else if (rest[0] == '\'' || rest[0] == '"') {
        TROUPE_TRY_DO(lex_string(rest));
      } else {
        TROUPE_TRY_DO(lex_symbol(rest, brackets));
      }
    }
  }

  Result<void> lex_integer(std::string_view rest) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    const auto length = static_cast<std::size_t>(end - rest.data());
    if (error != std::errc()) return template_error(line_, "integer does not fit into 64 bits", ErrorCode::out_of_range);
    if (length < rest.size() && (is_letter(rest[length]) || rest[length] == '.')) {
      return template_error(
          line_, "number \"" + std::string(rest.substr(0, length + 1)) + "...\": only decimal integers are supported",
          ErrorCode::unsupported);
    }
    add(Kind::integer, std::string(rest.substr(0, length)));
    tokens_.back().number = number;
    move_to(position_ + length);
    return {};
  }

  Result<void> lex_string(std::string_view rest) {
    std::string text;
    for (std::size_t i = 1; i < rest.size(); ++i) {
      if (rest[i] == rest[0]) {
        add(Kind::string, std::move(text));
        move_to(position_ + i + 1);
        return {};
      }
      if (rest[i] != '\\') {
        text += rest[i];
        continue;
      }
      const auto length = append_escape(rest.substr(i + 1), text);
      if (!length)
        return template_error(
            line_, "string has an escape \"" + std::string(utf8_prefix(rest.substr(i), 5)) + "\" that is not supported",
            ErrorCode::unsupported);
      i += *length;
    }
    return template_error(line_, "string is not closed");
  }

  // What follows a backslash; how many bytes that are, or nothing if it is unknown.
  static std::optional<std::size_t> append_escape(std::string_view rest, std::string& text) {
    constexpr std::array<std::pair<char, char>, 8> escapes{
        {{'n', '\n'}, {'t', '\t'}, {'r', '\r'}, {'\\', '\\'}, {'\'', '\''}, {'"', '"'}, {'b', '\b'}, {'f', '\f'}}};
    if (rest.empty()) return std::nullopt;
    for (const auto& [letter, meaning] : escapes) {
      if (letter != rest[0]) continue;
      text += meaning;
      return 1;
    }
    if (rest[0] != 'u' || rest.size() < 5) return std::nullopt;
    unsigned code = 0;
    const auto [end, error] = std::from_chars(rest.data() + 1, rest.data() + 5, code, 16);
    const bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
    if (error != std::errc() || end != rest.data() + 5 || is_surrogate) return std::nullopt;
    append_utf8(code, text);
    return 5;
  }

  Result<void> lex_symbol(std::string_view rest, std::vector<char>& brackets) {
    constexpr std::array<std::string_view, 24> symbols{"==", "!=", "<=", ">=", "//", "**", "<", ">", "=", "+", "-", "*",
                                                       "/",  "%",  "~",  "|",  ".",  ",",  ":", "(", ")", "[", "]", "{"};
    std::string_view symbol = rest[0] == '}' ? "}" : "";
    for (const std::string_view candidate : symbols) {
      if (symbol.empty() && rest.starts_with(candidate)) symbol = candidate;
    }
    if (symbol.empty())
      return template_error(
          line_, "character \"" + std::string(rest.substr(0, first_utf8_unit(rest).length)) + "\" has no meaning in a tag");
    const char c = symbol[0];
    if (c == '(' || c == '[' || c == '{') brackets.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
    if (c == ')' || c == ']' || c == '}') {
      if (brackets.empty() || brackets.back() != c)
        return template_error(line_, "\"" + std::string(symbol) + "\" closes nothing");
      brackets.pop_back();
    }
    add(Kind::symbol, std::string(symbol));
    move_to(position_ + symbol.size());
    return {};
  }

  std::string source_;
  std::size_t position_ = 0;
  int line_ = 1;
  std::vector<TemplateToken> tokens_;
};

}  // namespace

Error template_error(int line, std::string_view what, ErrorCode code) {
  return Error{code, "line " + std::to_string(line) + ": " + std::string(what)};
}

Result<std::vector<TemplateToken>> lex_template(std::string_view source) { return Lexer(source).run(); }

}  // namespace troupe::model
