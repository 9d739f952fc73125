// Reads the Jinja that chat templates are written in into a syntax tree. Statements: for (with if and else), if, elif, else,
// set of a variable or a namespace's field. Expressions: all operators but ** and /, inline if, subscripts, slices, attributes,
// filters, tests, methods (template_functions.hpp lists these three). Anything else is refused here, before anything runs.
#pragma once

#include <string_view>

#include "base/result.hpp"
#include "model/template_syntax.hpp"

namespace troupe::model {

/// Errors name the line: `unsupported` with the construct, `invalid_argument` for what is not Jinja, `too_large` past a limit
/// (source bytes, nesting).
Result<TemplateBlock> parse_template(std::string_view source);

}  // namespace troupe::model
