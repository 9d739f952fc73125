// Runs the syntax tree of a chat template.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "model/template_syntax.hpp"
#include "model/template_value.hpp"

namespace troupe::model {

inline constexpr std::size_t rendered_bytes_max = std::size_t{8} << 20;

using TemplateVariables = std::vector<std::pair<std::string, TemplateValue>>;

/// The text that the template makes of the variables. Errors name the line: `invalid_argument` for an operation that its
/// operands do not allow or raise_exception(), `too_large` past `rendered_bytes_max` or the budget (template_functions.hpp).
Result<TemplateText> run_template(const TemplateBlock& block, TemplateVariables variables);

}  // namespace troupe::model
