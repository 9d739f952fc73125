// The tokens of a template while they are read, and what their readers say when something else was expected.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "model/template_lexer.hpp"

namespace troupe::model {

class TemplateTokens {
 public:
  /// How deep brackets and blocks may be nested, since that is how deep the parser calls itself.
  static constexpr int nesting_max = 48;

  explicit TemplateTokens(std::vector<TemplateToken> tokens) : tokens_(std::move(tokens)) {}

  /// One more level of nesting, as long as it is in scope; check() it.
  class Level {
   public:
    explicit Level(TemplateTokens& tokens) : tokens_(tokens) { ++tokens_.level_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    ~Level() { --tokens_.level_; }
    Result<void> check() const;

   private:
    TemplateTokens& tokens_;
  };

  const TemplateToken& peek(std::size_t ahead = 0) const;
  /// The end is never passed.
  const TemplateToken& next();

  bool is_symbol(std::string_view symbol) const;
  bool is_word(std::string_view word) const;
  bool accept_symbol(std::string_view symbol) { return is_symbol(symbol) && (next(), true); }
  bool accept_word(std::string_view word) { return is_word(word) && (next(), true); }
  Result<void> expect_symbol(std::string_view symbol);
  Result<void> expect(TemplateToken::Kind kind, std::string_view what);
  /// A name that is not a word of the language.
  Result<std::string> expect_name(std::string_view what);

  /// The next token as a message shows it.
  std::string seen() const;
  /// "line N: SEEN, expected WHAT" and "line N: WHAT is not supported in chat templates".
  Error expected(std::string_view what) const;
  static Error unsupported(int line, std::string_view what);

 private:
  std::vector<TemplateToken> tokens_;  // the last one is the end
  std::size_t position_ = 0;
  int level_ = 0;
};

}  // namespace troupe::model
