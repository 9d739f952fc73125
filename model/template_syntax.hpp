// The syntax tree of a chat template.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/template_value.hpp"

namespace troupe::model {

struct TemplateArgument;

struct TemplateExpression {
  enum class Kind : std::uint8_t {
    literal,      // value
    list,         // operands: the elements
    name,         // name
    attribute,    // operands: of what; name
    subscript,    // operands: of what, index
    slice,        // operands: of what, first, last, step; each may be none
    call,         // name: a function; operands, named: arguments
    method,       // operands: of what, then arguments; name, named
    filter,       // likewise
    test,         // likewise
    negate,       // operands: one
    invert,       // `not`; operands: one
    conjunction,  // `and`; operands: two
    disjunction,  // `or`; operands: two
    binary,       // name: the operator; operands: two
    condition,    // a if c else b; operands: c, a, b
  };
  Kind kind;
  int line;
  int depth = 1;  // of the tree below, so that walking it is bounded
  std::string name;
  TemplateValue value;
  std::vector<TemplateExpression> operands;
  std::vector<TemplateArgument> named;
};

/// A named argument of a call. Not a std::pair: clang does not take a pair of a type that is still incomplete.
struct TemplateArgument {
  std::string name;
  TemplateExpression value;
};

struct TemplateStatement;
using TemplateBlock = std::vector<TemplateStatement>;

struct TemplateStatement {
  enum class Kind : std::uint8_t {
    text,    // text
    output,  // expressions: what is printed
    choose,  // expressions: the conditions; blocks: one for each, and perhaps one more for `else`
    loop,    // names: one or two variables; expressions: over what, and perhaps a condition; blocks: body, and perhaps `else`
    assign,  // names: a variable, or a namespace and its field; expressions: the value
  };
  Kind kind;
  int line;
  std::string text;
  std::vector<std::string> names;
  std::vector<TemplateExpression> expressions;
  std::vector<TemplateBlock> blocks;
};

}  // namespace troupe::model
