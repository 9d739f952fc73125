#include "model/template_expression_parser.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "model/template_functions.hpp"

namespace troupe::model {

namespace {

using Expression = TemplateExpression;
using Token = TemplateToken;

constexpr int expression_depth_max = 200;  // of a tree: how deep the interpreter calls itself

class ExpressionParser {
 public:
  explicit ExpressionParser(TemplateTokens& tokens) : tokens_(tokens) {}

  Result<Expression> parse_expression() {
    const TemplateTokens::Level level(tokens_);
    TROUPE_TRY_DO(level.check());
    TROUPE_TRY(auto value, parse_or());
    while (tokens_.is_word("if")) {
      const int line = tokens_.next().line;
      TROUPE_TRY(auto condition, parse_or());
      Expression otherwise = literal(line, TemplateValue::undefined("the missing else"));
      if (tokens_.accept_word("else")) {
        TROUPE_TRY(otherwise, parse_expression());
      }
      TROUPE_TRY(value,
                 node(Expression::Kind::condition, line, {}, {std::move(condition), std::move(value), std::move(otherwise)}));
    }
    return value;
  }

  Result<Expression> parse_or() {
    TROUPE_TRY(auto left, parse_and());
    while (tokens_.is_word("or")) {
      const int line = tokens_.next().line;
      TROUPE_TRY(auto right, parse_and());
      TROUPE_TRY(left, node(Expression::Kind::disjunction, line, {}, {std::move(left), std::move(right)}));
    }
    return left;
  }

 private:
  Result<Expression> node(Expression::Kind kind, int line, std::string name, std::vector<Expression> operands) const {
    Expression result{kind, line, 1, std::move(name), {}, std::move(operands), {}};
    return checked(std::move(result));
  }
  Result<Expression> checked(Expression expression) const {
    for (const Expression& operand : expression.operands) expression.depth = std::max(expression.depth, operand.depth + 1);
    for (const auto& [name, value] : expression.named) expression.depth = std::max(expression.depth, value.depth + 1);
    if (expression.depth <= expression_depth_max) return expression;
    return template_error(expression.line,
                          "expression is nested deeper than " + std::to_string(expression_depth_max) + " levels",
                          ErrorCode::too_large);
  }
  static Expression literal(int line, TemplateValue value) {
    return {Expression::Kind::literal, line, 1, {}, std::move(value), {}, {}};
  }

  Result<Expression> parse_and() {
    TROUPE_TRY(auto left, parse_not());
    while (tokens_.is_word("and")) {
      const int line = tokens_.next().line;
      TROUPE_TRY(auto right, parse_not());
      TROUPE_TRY(left, node(Expression::Kind::conjunction, line, {}, {std::move(left), std::move(right)}));
    }
    return left;
  }

  Result<Expression> parse_not() {
    if (!tokens_.is_word("not")) return parse_comparison();
    const TemplateTokens::Level level(tokens_);
    TROUPE_TRY_DO(level.check());
    const int line = tokens_.next().line;
    TROUPE_TRY(auto value, parse_not());
    return node(Expression::Kind::invert, line, {}, {std::move(value)});
  }

  // The comparison that the next tokens write, or "".
  std::string accept_comparison() {
    for (const std::string_view symbol : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (tokens_.accept_symbol(symbol)) return std::string(symbol);
    }
    if (tokens_.accept_word("in")) return "in";
    if (tokens_.is_word("not") && tokens_.peek(1).kind == Token::Kind::name && tokens_.peek(1).content == "in") {
      tokens_.next();
      tokens_.next();
      return "not in";
    }
    return {};
  }

  Result<Expression> parse_comparison() {
    TROUPE_TRY(auto left, parse_binary(0));
    const int line = tokens_.peek().line;
    std::string symbol = accept_comparison();
    if (symbol.empty()) return left;
    TROUPE_TRY(auto right, parse_binary(0));
    if (!accept_comparison().empty()) return tokens_.unsupported(line, "a chain of comparisons (write them with \"and\")");
    return node(Expression::Kind::binary, line, std::move(symbol), {std::move(left), std::move(right)});
  }

  // Operators from the loosest to the tightest, as Jinja has them.
  Result<Expression> parse_binary(std::size_t tightness) {
    static constexpr std::array<std::array<std::string_view, 4>, 3> operators{
        {{"+", "-", "", ""}, {"~", "", "", ""}, {"*", "//", "%", "/"}}};
    if (tightness == operators.size()) return parse_unary(true);
    TROUPE_TRY(auto left, parse_binary(tightness + 1));
    while (true) {
      const auto& symbols = operators[tightness];
      const auto place = std::find_if(symbols.begin(), symbols.end(),
                                      [&](auto symbol) { return !symbol.empty() && tokens_.is_symbol(symbol); });
      if (tokens_.is_symbol("**")) return tokens_.unsupported(tokens_.peek().line, "operator \"**\"");
      if (place == symbols.end()) return left;
      const int line = tokens_.next().line;
      if (*place == "/") return tokens_.unsupported(line, "operator \"/\" (only // divides, since numbers are integers)");
      TROUPE_TRY(auto right, parse_binary(tightness + 1));
      TROUPE_TRY(left, node(Expression::Kind::binary, line, std::string(*place), {std::move(left), std::move(right)}));
    }
  }

  Result<Expression> parse_unary(bool with_filters) {
    const int line = tokens_.peek().line;
    if (tokens_.is_symbol("-") || tokens_.is_symbol("+")) {
      const TemplateTokens::Level level(tokens_);
      TROUPE_TRY_DO(level.check());
      const bool negative = tokens_.next().content == "-";
      TROUPE_TRY(auto value, parse_unary(false));
      if (negative) {
        TROUPE_TRY(value, node(Expression::Kind::negate, line, {}, {std::move(value)}));
      }
      return with_filters ? parse_filters(std::move(value)) : Result<Expression>(std::move(value));
    }
    TROUPE_TRY(auto value, parse_primary());
    TROUPE_TRY(value, parse_postfix(std::move(value)));
    return with_filters ? parse_filters(std::move(value)) : Result<Expression>(std::move(value));
  }

  Result<Expression> parse_primary() {
    const int line = tokens_.peek().line;
    if (tokens_.peek().kind == Token::Kind::string) {
      std::string text;
      while (tokens_.peek().kind == Token::Kind::string) text += tokens_.next().content;  // 'a' 'b' is 'ab'
      return literal(line, TemplateValue::text(std::move(text)));
    }
    if (tokens_.peek().kind == Token::Kind::integer) return literal(line, tokens_.next().number);
    if (tokens_.accept_word("true") || tokens_.accept_word("True")) return literal(line, true);
    if (tokens_.accept_word("false") || tokens_.accept_word("False")) return literal(line, false);
    if (tokens_.accept_word("none") || tokens_.accept_word("None")) return literal(line, TemplateValue());
    if (tokens_.peek().kind == Token::Kind::name) {
      TROUPE_TRY(auto name, tokens_.expect_name("a value"));
      return node(Expression::Kind::name, line, std::move(name), {});
    }
    if (tokens_.accept_symbol("(")) {
      TROUPE_TRY(auto value, parse_expression());
      if (tokens_.is_symbol(",")) return tokens_.unsupported(line, "a tuple");
      TROUPE_TRY_DO(tokens_.expect_symbol(")"));
      return value;
    }
    if (tokens_.accept_symbol("[")) return parse_list(line);
    if (tokens_.is_symbol("{")) return tokens_.unsupported(line, "a mapping written with braces");
    return tokens_.expected("a value");
  }

  Result<Expression> parse_list(int line) {
    std::vector<Expression> elements;
    while (!tokens_.accept_symbol("]")) {
      TROUPE_TRY(auto element, parse_expression());
      elements.push_back(std::move(element));
      if (!tokens_.is_symbol("]")) TROUPE_TRY_DO(tokens_.expect_symbol(","));
    }
    return node(Expression::Kind::list, line, {}, std::move(elements));
  }

  Result<Expression> parse_postfix(Expression value) {
    while (true) {
      const int line = tokens_.peek().line;
      if (tokens_.accept_symbol(".")) {
        if (tokens_.peek().kind != Token::Kind::name) return tokens_.expected("the name of a field");
        std::string name = tokens_.next().content;
        TROUPE_TRY(value, tokens_.is_symbol("(") ? parse_method(std::move(value), line, std::move(name))
                                                 : parse_attribute(std::move(value), line, std::move(name)));
      } else if (tokens_.accept_symbol("[")) {
        TROUPE_TRY(value, parse_subscript(std::move(value), line));
      } else if (tokens_.is_symbol("(")) {
        if (value.kind != Expression::Kind::name) return tokens_.unsupported(line, "a call of something other than a name");
        Expression call{Expression::Kind::call, line, 1, value.name, {}, {}, {}};
        TROUPE_TRY_DO(parse_arguments(call));
        TROUPE_TRY(value, checked(std::move(call)));
      } else {
        return value;
      }
    }
  }

  Result<Expression> parse_attribute(Expression value, int line, std::string name) {
    if (value.kind == Expression::Kind::name && value.name == "loop" && !is_loop_field(name)) {
      return tokens_.unsupported(line, "\"loop." + name + "\"");
    }
    // Python would find the method of that name before the field.
    if (is_template_method(name)) return tokens_.unsupported(line, "method \"" + name + "\" without a call");
    return node(Expression::Kind::attribute, line, std::move(name), {std::move(value)});
  }

  Result<Expression> parse_method(Expression value, int line, std::string name) {
    if (!is_template_method(name)) return tokens_.unsupported(line, "method \"" + name + "\"");
    Expression call{Expression::Kind::method, line, 1, std::move(name), {}, {}, {}};
    call.operands.push_back(std::move(value));
    TROUPE_TRY_DO(parse_arguments(call));
    return checked(std::move(call));
  }

  Result<Expression> parse_subscript(Expression value, int line) {
    std::vector<Expression> bounds;  // first, last and step, as far as written
    bool is_slice = false;
    while (true) {
      if (tokens_.is_symbol(":") || tokens_.is_symbol("]")) {
        bounds.push_back(literal(line, TemplateValue()));
      } else {
        TROUPE_TRY(auto bound, parse_expression());
        bounds.push_back(std::move(bound));
      }
      if (bounds.size() == 3 || !tokens_.accept_symbol(":")) break;
      is_slice = true;
    }
    TROUPE_TRY_DO(tokens_.expect_symbol("]"));
    if (!is_slice && bounds.front().kind == Expression::Kind::literal &&
        bounds.front().value.as<TemplateValue::None>() != nullptr) {
      return template_error(line, "empty subscript, expected an index");
    }
    if (!is_slice) return node(Expression::Kind::subscript, line, {}, {std::move(value), std::move(bounds.front())});
    bounds.resize(3, literal(line, TemplateValue()));
    bounds.insert(bounds.begin(), std::move(value));
    return node(Expression::Kind::slice, line, {}, std::move(bounds));
  }

  Result<void> parse_arguments(Expression& call) {
    TROUPE_TRY_DO(tokens_.expect_symbol("("));
    while (!tokens_.accept_symbol(")")) {
      if (tokens_.peek().kind == Token::Kind::name && tokens_.peek(1).kind == Token::Kind::symbol &&
          tokens_.peek(1).content == "=") {
        std::string name = tokens_.next().content;
        tokens_.next();
        TROUPE_TRY(auto value, parse_expression());
        call.named.emplace_back(std::move(name), std::move(value));
      } else {
        if (!call.named.empty()) return tokens_.expected("a named argument, as those before");
        TROUPE_TRY(auto value, parse_expression());
        call.operands.push_back(std::move(value));
      }
      if (!tokens_.is_symbol(")")) TROUPE_TRY_DO(tokens_.expect_symbol(","));
    }
    return {};
  }

  Result<Expression> parse_filters(Expression value) {
    while (true) {
      const int line = tokens_.peek().line;
      if (tokens_.accept_symbol("|")) {
        TROUPE_TRY(auto name, tokens_.expect_name("the name of a filter"));
        if (!is_template_filter(name)) return tokens_.unsupported(line, "filter \"" + name + "\"");
        Expression call{Expression::Kind::filter, line, 1, std::move(name), {}, {}, {}};
        call.operands.push_back(std::move(value));
        if (tokens_.is_symbol("(")) TROUPE_TRY_DO(parse_arguments(call));
        TROUPE_TRY(value, checked(std::move(call)));
      } else if (tokens_.accept_word("is")) {
        TROUPE_TRY(value, parse_test(std::move(value), line));
      } else {
        return value;
      }
    }
  }

  Result<Expression> parse_test(Expression value, int line) {
    const bool inverted = tokens_.accept_word("not");
    if (tokens_.peek().kind != Token::Kind::name) return tokens_.expected("the name of a test");
    std::string name = tokens_.next().content;
    if (!is_template_test(name)) return tokens_.unsupported(line, "test \"" + name + "\"");
    Expression call{Expression::Kind::test, line, 1, std::move(name), {}, {}, {}};
    call.operands.push_back(std::move(value));
    if (tokens_.is_symbol("(")) {
      TROUPE_TRY_DO(parse_arguments(call));
    } else if (template_test_arguments(call.name) > 0) {  // "x is divisibleby 3"
      TROUPE_TRY(auto argument, parse_primary());
      TROUPE_TRY(argument, parse_postfix(std::move(argument)));
      call.operands.push_back(std::move(argument));
    }
    if (call.operands.size() != template_test_arguments(call.name) + 1 || !call.named.empty()) {
      return template_error(
          line, "test \"" + call.name + "\" takes " + std::to_string(template_test_arguments(call.name)) + " arguments");
    }
    TROUPE_TRY(auto test, checked(std::move(call)));
    if (!inverted) return test;
    return node(Expression::Kind::invert, line, {}, {std::move(test)});
  }

  TemplateTokens& tokens_;
};

}  // namespace

Result<TemplateExpression> parse_template_expression(TemplateTokens& tokens) {
  return ExpressionParser(tokens).parse_expression();
}

Result<TemplateExpression> parse_loop_source(TemplateTokens& tokens) { return ExpressionParser(tokens).parse_or(); }

}  // namespace troupe::model
