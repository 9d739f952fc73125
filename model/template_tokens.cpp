#include "model/template_tokens.hpp"

#include <algorithm>
#include <array>

#include "model/utf8.hpp"

namespace troupe::model {

using Kind = TemplateToken::Kind;

Result<void> TemplateTokens::Level::check() const {
  if (tokens_.level_ <= nesting_max) return {};
  return template_error(tokens_.peek().line, "nested deeper than " + std::to_string(nesting_max) + " levels",
                        ErrorCode::too_large);
}

const TemplateToken& TemplateTokens::peek(std::size_t ahead) const {
  return tokens_[std::min(position_ + ahead, tokens_.size() - 1)];
}

const TemplateToken& TemplateTokens::next() {
  const TemplateToken& token = peek();
  if (token.kind != Kind::end) ++position_;
  return token;
}

bool TemplateTokens::is_symbol(std::string_view symbol) const {
  return peek().kind == Kind::symbol && peek().content == symbol;
}

bool TemplateTokens::is_word(std::string_view word) const { return peek().kind == Kind::name && peek().content == word; }

Result<void> TemplateTokens::expect_symbol(std::string_view symbol) {
  if (accept_symbol(symbol)) return {};
  return expected("\"" + std::string(symbol) + "\"");
}

Result<void> TemplateTokens::expect(Kind kind, std::string_view what) {
  if (peek().kind != kind) return expected(what);
  next();
  return {};
}

Result<std::string> TemplateTokens::expect_name(std::string_view what) {
  constexpr std::array<std::string_view, 13> reserved{"and",  "or",    "not",  "if",   "else",  "in",  "is",
                                                      "true", "false", "none", "True", "False", "None"};
  if (peek().kind != Kind::name) return expected(what);
  if (std::find(reserved.begin(), reserved.end(), peek().content) != reserved.end()) return expected(what);
  return next().content;
}

std::string TemplateTokens::seen() const {
  switch (peek().kind) {
    case Kind::end: return "the end of the template";
    case Kind::output_end: return "\"}}\"";
    case Kind::statement_end: return "\"%}\"";
    default: return "\"" + std::string(utf8_prefix(peek().content, 40)) + "\"";
  }
}

Error TemplateTokens::expected(std::string_view what) const {
  return template_error(peek().line, seen() + ", expected " + std::string(what));
}

Error TemplateTokens::unsupported(int line, std::string_view what) {
  return template_error(line, std::string(what) + " is not supported in chat templates", ErrorCode::unsupported);
}

}  // namespace troupe::model
