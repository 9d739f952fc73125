// Reads the expressions of a chat template: all operators but ** and /, inline if, subscripts, slices, attributes, and the
// filters, tests and methods of template_functions.hpp and template_operations.hpp. Anything else is refused by name.
#pragma once

#include "base/result.hpp"
#include "model/template_syntax.hpp"
#include "model/template_tokens.hpp"

namespace troupe::model {

/// The expression that begins at the next token.
Result<TemplateExpression> parse_template_expression(TemplateTokens& tokens);

/// What a loop runs over: an expression without inline if, since an "if" there chooses among the elements.
Result<TemplateExpression> parse_loop_source(TemplateTokens& tokens);

}  // namespace troupe::model
