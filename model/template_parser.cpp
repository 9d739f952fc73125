#include "model/template_parser.hpp"

#include "model/template_expression_parser.hpp"
#include "model/template_tokens.hpp"
#include "model/utf8.hpp"

namespace troupe::model {

namespace {

using Token = TemplateToken;

constexpr std::size_t source_bytes_max = 65536;

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  Result<TemplateBlock> parse() {
    TROUPE_TRY(auto block, parse_block());
    if (tokens_.peek().kind == Token::Kind::end) return block;
    return template_error(tokens_.peek().line, "\"" + tokens_.peek(1).content + "\" stands alone, without what it ends");
  }

 private:
  // Statements up to the end or to a tag that belongs to what encloses them (elif, else, endif, endfor).
  Result<TemplateBlock> parse_block() {
    const TemplateTokens::Level level(tokens_);
    TROUPE_TRY_DO(level.check());
    TemplateBlock block;
    while (true) {
      const int line = tokens_.peek().line;
      if (tokens_.peek().kind == Token::Kind::text) {
        block.push_back({TemplateStatement::Kind::text, line, tokens_.next().content, {}, {}, {}});
      } else if (tokens_.peek().kind == Token::Kind::output_begin) {
        tokens_.next();
        TROUPE_TRY(auto value, parse_template_expression(tokens_));
        TROUPE_TRY_DO(tokens_.expect(Token::Kind::output_end, "\"}}\""));
        TemplateStatement statement{TemplateStatement::Kind::output, line, {}, {}, {}, {}};
        statement.expressions.push_back(std::move(value));
        block.push_back(std::move(statement));
      } else if (tokens_.peek().kind == Token::Kind::statement_begin) {
        const std::string& word = tokens_.peek(1).content;
        if (word == "elif" || word == "else" || word == "endif" || word == "endfor") return block;
        tokens_.next();
        TROUPE_TRY(auto statement, parse_statement());
        block.push_back(std::move(statement));
      } else {
        return block;
      }
    }
  }

  Result<TemplateStatement> parse_statement() {
    const int line = tokens_.peek().line;
    if (tokens_.accept_word("if")) return parse_if(line);
    if (tokens_.accept_word("for")) return parse_for(line);
    if (tokens_.accept_word("set")) return parse_set(line);
    if (tokens_.peek().kind == Token::Kind::name)
      return tokens_.unsupported(line, "statement \"" + tokens_.peek().content + "\"");
    return tokens_.expected("a statement");
  }

  Result<void> end_statement() { return tokens_.expect(Token::Kind::statement_end, "\"%}\""); }

  // After a block: the word of the tag that ended it.
  Result<std::string> next_tag() {
    if (tokens_.peek().kind != Token::Kind::statement_begin) return tokens_.expected("a tag that ends the block");
    tokens_.next();
    return tokens_.next().content;
  }

  Result<TemplateStatement> parse_if(int line) {
    TemplateStatement result{TemplateStatement::Kind::choose, line, {}, {}, {}, {}};
    std::string tag = "if";
    while (true) {
      if (tag == "if" || tag == "elif") {
        TROUPE_TRY(auto condition, parse_template_expression(tokens_));
        result.expressions.push_back(std::move(condition));
      }
      TROUPE_TRY_DO(end_statement());
      if (tag == "endif") return result;
      TROUPE_TRY(auto block, parse_block());
      result.blocks.push_back(std::move(block));
      const bool was_else = tag == "else";
      TROUPE_TRY(tag, next_tag());
      if (tag == "endfor" || (was_else && tag != "endif")) {
        return template_error(tokens_.peek().line,
                              "\"" + tag + "\" within the \"if\" of line " + std::to_string(line) + ", expected endif");
      }
    }
  }

  Result<TemplateStatement> parse_for(int line) {
    TemplateStatement result{TemplateStatement::Kind::loop, line, {}, {}, {}, {}};
    do {
      TROUPE_TRY(auto name, tokens_.expect_name("the name of a loop variable"));
      result.names.push_back(std::move(name));
    } while (tokens_.accept_symbol(","));
    if (result.names.size() > 2) return tokens_.unsupported(line, "a loop with more than two variables");
    if (!tokens_.accept_word("in")) return tokens_.expected("\"in\"");
    TROUPE_TRY(auto over, parse_loop_source(tokens_));
    result.expressions.push_back(std::move(over));
    if (tokens_.accept_word("if")) {
      TROUPE_TRY(auto condition, parse_template_expression(tokens_));
      result.expressions.push_back(std::move(condition));
    }
    if (tokens_.is_word("recursive")) return tokens_.unsupported(line, "\"recursive\"");
    TROUPE_TRY_DO(end_statement());
    TROUPE_TRY(auto body, parse_block());
    result.blocks.push_back(std::move(body));
    TROUPE_TRY(auto tag, next_tag());
    if (tag == "else") {
      TROUPE_TRY_DO(end_statement());
      TROUPE_TRY(auto otherwise, parse_block());
      result.blocks.push_back(std::move(otherwise));
      TROUPE_TRY(tag, next_tag());
    }
    if (tag != "endfor")
      return template_error(tokens_.peek().line,
                            "\"" + tag + "\" within the \"for\" of line " + std::to_string(line) + ", expected endfor");
    TROUPE_TRY_DO(end_statement());
    return result;
  }

  Result<TemplateStatement> parse_set(int line) {
    TemplateStatement result{TemplateStatement::Kind::assign, line, {}, {}, {}, {}};
    do {
      TROUPE_TRY(auto name, tokens_.expect_name("the name of a variable"));
      result.names.push_back(std::move(name));
    } while (result.names.size() < 2 && tokens_.accept_symbol("."));
    if (!tokens_.is_symbol("="))
      return tokens_.unsupported(line,
                                 "\"set\" of " + tokens_.seen() + " (other than NAME = VALUE or NAMESPACE.FIELD = VALUE)");
    tokens_.next();
    TROUPE_TRY(auto value, parse_template_expression(tokens_));
    result.expressions.push_back(std::move(value));
    TROUPE_TRY_DO(end_statement());
    return result;
  }

  TemplateTokens tokens_;
};

}  // namespace

Result<TemplateBlock> parse_template(std::string_view source) {
  if (source.size() > source_bytes_max) {
    return Error{ErrorCode::too_large, "template of " + std::to_string(source.size()) + " bytes, at most " +
                                           std::to_string(source_bytes_max) + " are accepted"};
  }
  if (const auto offset = find_invalid_utf8(source)) {
    return Error{ErrorCode::invalid_argument, "template is not valid UTF-8 at byte " + std::to_string(*offset)};
  }
  TROUPE_TRY(auto tokens, lex_template(source));
  return Parser(std::move(tokens)).parse();
}

}  // namespace troupe::model
