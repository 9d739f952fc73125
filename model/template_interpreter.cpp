#include "model/template_interpreter.hpp"

#include <algorithm>
#include <map>

#include "model/template_functions.hpp"
#include "model/template_lexer.hpp"
#include "model/utf8.hpp"

namespace troupe::model {

namespace {

using Expression = TemplateExpression;
using Statement = TemplateStatement;
using Value = TemplateValue;

constexpr std::size_t step_bytes = 64;  // what one expression or statement is counted as
constexpr std::int64_t range_max = 100000;

class Interpreter {
 public:
  explicit Interpreter(TemplateVariables variables) : scopes_(1) {
    for (auto& [name, value] : variables) scopes_.back().insert_or_assign(std::move(name), std::move(value));
  }

  Result<TemplateText> run(const TemplateBlock& block) {
    TROUPE_TRY_DO(run_block(block));
    return std::move(output_);
  }

 private:
  using Scope = std::map<std::string, Value, std::less<>>;

  Result<void> run_block(const TemplateBlock& block) {
    for (const Statement& statement : block) TROUPE_TRY_DO(run_statement(statement));
    return {};
  }

  Result<void> run_statement(const Statement& statement) {
    TROUPE_TRY_DO(at(statement.line, budget_.spend(step_bytes)));
    switch (statement.kind) {
      case Statement::Kind::text: return at(statement.line, print(TemplateText(statement.text)));
      case Statement::Kind::output: {
        TROUPE_TRY(const Value value, evaluate(statement.expressions.front()));
        TROUPE_TRY(const auto text, at(statement.line, text_of(value)));
        return at(statement.line, print(text));
      }
      case Statement::Kind::choose: return run_choice(statement);
      case Statement::Kind::loop: return run_loop(statement);
      case Statement::Kind::assign: return run_assignment(statement);
    }
    return {};
  }

  Result<void> print(const TemplateText& text) {
    if (text.bytes.size() > rendered_bytes_max - output_.bytes.size()) {
      return Error{ErrorCode::too_large, "rendered text is longer than " + std::to_string(rendered_bytes_max) + " bytes"};
    }
    output_.append(text);
    return {};
  }

  Result<void> run_choice(const Statement& statement) {
    for (std::size_t i = 0; i < statement.expressions.size(); ++i) {
      TROUPE_TRY(const Value condition, evaluate(statement.expressions[i]));
      if (condition.is_true()) return run_block(statement.blocks[i]);
    }
    return statement.blocks.size() > statement.expressions.size() ? run_block(statement.blocks.back()) : Result<void>();
  }

  Result<void> run_assignment(const Statement& statement) {
    TROUPE_TRY(Value value, evaluate(statement.expressions.front()));
    if (statement.names.size() == 1) {
      scopes_.back().insert_or_assign(statement.names.front(), std::move(value));
      return {};
    }
    const Value target = look_up(statement.names.front());
    const auto* reference = target.as<Value::Namespace>();
    if (reference == nullptr) return at(statement.line, Result<void>(cannot("set a field of", target)));
    namespaces_[reference->index].insert_or_assign(statement.names.back(), std::move(value));
    return {};
  }

  Result<void> run_loop(const Statement& statement) {
    TROUPE_TRY(const Value over, evaluate(statement.expressions.front()));
    TROUPE_TRY(auto items, at(statement.line, items_of(over, budget_)));
    if (statement.expressions.size() > 1) {
      std::vector<Value> chosen;
      for (Value& item : items) {
        scopes_.emplace_back();
        TROUPE_TRY_DO(at(statement.line, bind_loop_variables(statement, item)));
        TROUPE_TRY(const Value condition, evaluate(statement.expressions[1]));
        scopes_.pop_back();
        if (condition.is_true()) chosen.push_back(std::move(item));
      }
      items = std::move(chosen);
    }
    for (std::size_t i = 0; i < items.size(); ++i) {
      TROUPE_TRY_DO(at(statement.line, budget_.spend(16 * step_bytes)));
      scopes_.emplace_back();
      TROUPE_TRY_DO(at(statement.line, bind_loop_variables(statement, items[i])));
      scopes_.back().insert_or_assign("loop", loop_fields(items, i));
      TROUPE_TRY_DO(run_block(statement.blocks.front()));
      scopes_.pop_back();
    }
    return items.empty() && statement.blocks.size() > 1 ? run_block(statement.blocks.back()) : Result<void>();
  }

  Result<void> bind_loop_variables(const Statement& statement, const Value& item) {
    if (statement.names.size() == 1) {
      scopes_.back().insert_or_assign(statement.names.front(), item);
      return {};
    }
    const auto* pair = item.as<TemplateList>();
    if (pair == nullptr || pair->items.size() != 2) return cannot("take two loop variables out of", item);
    for (std::size_t i = 0; i < 2; ++i) scopes_.back().insert_or_assign(statement.names[i], pair->items[i]);
    return {};
  }

  static Value loop_fields(const std::vector<Value>& items, std::size_t i) {
    const auto index = static_cast<std::int64_t>(i);
    const auto length = static_cast<std::int64_t>(items.size());
    TemplateMap fields;
    fields.entries = {{"index", index + 1},
                      {"index0", index},
                      {"first", i == 0},
                      {"last", i + 1 == items.size()},
                      {"length", length},
                      {"revindex", length - index},
                      {"revindex0", length - index - 1},
                      {"previtem", i > 0 ? items[i - 1] : Value::undefined("loop.previtem")},
                      {"nextitem", i + 1 < items.size() ? items[i + 1] : Value::undefined("loop.nextitem")}};
    return fields;
  }

  Value look_up(const std::string& name) const {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      if (const auto place = scope->find(name); place != scope->end()) return place->second;
    }
    return Value::undefined(name);
  }

  Result<Value> evaluate(const Expression& expression) {
    TROUPE_TRY_DO(at(expression.line, budget_.spend(step_bytes)));
    switch (expression.kind) {
      case Expression::Kind::literal: return expression.value;
      case Expression::Kind::name: return look_up(expression.name);
      case Expression::Kind::conjunction:
      case Expression::Kind::disjunction: {
        TROUPE_TRY(Value left, evaluate(expression.operands[0]));
        if (left.is_true() == (expression.kind == Expression::Kind::disjunction)) return left;
        return evaluate(expression.operands[1]);
      }
      case Expression::Kind::condition: {
        TROUPE_TRY(const Value condition, evaluate(expression.operands[0]));
        return evaluate(expression.operands[condition.is_true() ? 1 : 2]);
      }
      default: break;
    }
    std::vector<Value> operands;
    operands.reserve(expression.operands.size());
    for (const Expression& operand : expression.operands) {
      TROUPE_TRY(Value value, evaluate(operand));
      operands.push_back(std::move(value));
    }
    TemplateArguments arguments;
    for (const auto& [name, operand] : expression.named) {
      TROUPE_TRY(Value value, evaluate(operand));
      arguments.named.emplace_back(name, std::move(value));
    }
    return at(expression.line, apply(expression, std::move(operands), std::move(arguments)));
  }

  // Everything whose operands are all evaluated first.
  Result<Value> apply(const Expression& expression, std::vector<Value> operands, TemplateArguments arguments) {
    using enum Expression::Kind;
    const auto take_arguments = [&] {
      arguments.values.assign(std::make_move_iterator(operands.begin() + 1), std::make_move_iterator(operands.end()));
      return std::move(arguments);
    };
    switch (expression.kind) {
      case list: return Value::list(std::move(operands));
      case attribute: return field_of(operands[0], expression.name);
      case subscript: return element_of(operands[0], operands[1]);
      case slice: return slice_template_value(operands, budget_);
      case call: arguments.values = std::move(operands); return call_function(expression.name, std::move(arguments));
      case method: {
        const Value object = operands[0];
        return call_template_method(expression.name, object, take_arguments(), budget_);
      }
      case filter: {
        const Value input = operands[0];
        return call_template_filter(expression.name, input, take_arguments(), budget_);
      }
      case test: {
        TROUPE_TRY(const bool holds,
                   run_template_test(expression.name, operands[0], operands.size() > 1 ? operands[1] : Value(), budget_));
        return Value(holds);
      }
      case negate: {
        const auto* number = operands[0].as<std::int64_t>();
        if (number == nullptr) return cannot("negate", operands[0]);
        return apply_template_operator("-", std::int64_t{0}, operands[0], budget_);
      }
      case invert: return Value(!operands[0].is_true());
      default: return apply_template_operator(expression.name, operands[0], operands[1], budget_);
    }
  }

  Result<Value> field_of(const Value& object, const std::string& name) const {
    if (const auto* reference = object.as<Value::Namespace>()) {
      const Scope& fields = namespaces_[reference->index];
      const auto place = fields.find(name);
      return place != fields.end() ? place->second : Value::undefined(name);
    }
    if (object.is_undefined()) return cannot("read \"" + name + "\" of", object);
    const auto* map = object.as<TemplateMap>();
    const Value* value = map == nullptr ? nullptr : map->find(name);
    return value != nullptr ? *value : Value::undefined(name);
  }

  Result<Value> element_of(const Value& object, const Value& index) {
    if (const auto* name = index.as<TemplateText>()) return field_of(object, name->bytes);
    if (object.is_undefined()) return cannot("read an element of", object);
    const auto* number = index.as<std::int64_t>();
    TROUPE_TRY(const std::int64_t length, length_of(object));
    if (number == nullptr || object.as<TemplateMap>() != nullptr) return cannot("use as an index", index);
    const std::int64_t place = *number < 0 ? *number + length : *number;
    if (place < 0 || place >= length) return Value::undefined("element " + std::to_string(*number));
    if (const auto* list = object.as<TemplateList>()) return list->items[static_cast<std::size_t>(place)];
    TROUPE_TRY(const auto characters, items_of(object, budget_));
    return characters[static_cast<std::size_t>(place)];
  }

  Result<Value> call_function(const std::string& name, TemplateArguments arguments) {
    if (name == "raise_exception") {
      TROUPE_TRY(const auto message, text_of(arguments.values.empty() ? Value() : arguments.values.front()));
      return Error{ErrorCode::invalid_argument,
                   "the template refuses the conversation: " + std::string(utf8_prefix(message.bytes, 1000))};
    }
    if (name == "namespace" && arguments.values.empty()) {
      Scope fields;
      for (auto& [field, value] : arguments.named) fields.insert_or_assign(field, std::move(value));
      namespaces_.push_back(std::move(fields));
      return Value(Value::Namespace{namespaces_.size() - 1});
    }
    if (name == "range" && arguments.named.empty()) return call_range(arguments.values);
    return cannot("call", look_up(name));
  }

  Result<Value> call_range(const std::vector<Value>& arguments) {
    std::vector<std::int64_t> bounds;
    for (const Value& argument : arguments) {
      const auto* number = argument.as<std::int64_t>();
      if (number == nullptr || *number < -range_max || *number > range_max)
        return cannot("take as a bound of range()", argument);
      bounds.push_back(*number);
    }
    if (bounds.empty() || bounds.size() > 3) return Error{ErrorCode::invalid_argument, "range() takes one to three arguments"};
    if (bounds.size() == 1) bounds.insert(bounds.begin(), 0);
    const std::int64_t step = bounds.size() == 3 ? bounds[2] : 1;
    if (step == 0) return Error{ErrorCode::invalid_argument, "range() has step 0"};
    std::vector<Value> numbers;
    for (std::int64_t i = bounds[0]; step > 0 ? i < bounds[1] : i > bounds[1]; i += step) {
      TROUPE_TRY_DO(budget_.spend(step_bytes));
      numbers.emplace_back(i);
    }
    return Value::list(std::move(numbers));
  }

  // Names the line in the error of something that does not know it.
  template <class T>
  static Result<T> at(int line, Result<T> result) {
    if (result) return result;
    return std::move(result).error().within("line " + std::to_string(line));
  }

  std::vector<Scope> scopes_;
  std::vector<Scope> namespaces_;
  TemplateText output_;
  TemplateBudget budget_;
};

}  // namespace

Result<TemplateText> run_template(const TemplateBlock& block, TemplateVariables variables) {
  return Interpreter(std::move(variables)).run(block);
}

}  // namespace troupe::model
