// The filters and methods that chat templates may use. What is not here, the parser refuses by name.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "model/template_operations.hpp"
#include "model/template_value.hpp"

namespace troupe::model {

/// Arguments of a call as written: positional, then named.
struct TemplateArguments {
  std::vector<TemplateValue> values;
  std::vector<std::pair<std::string, TemplateValue>> named;
};

bool is_template_filter(std::string_view name);
bool is_template_method(std::string_view name);
/// The fields of `loop` that a loop's body may read.
bool is_loop_field(std::string_view name);

/// These two expect a name that the functions above know; errors do not name a line yet.
Result<TemplateValue> call_template_filter(std::string_view name, const TemplateValue& input, TemplateArguments arguments,
                                           TemplateBudget& budget);
Result<TemplateValue> call_template_method(std::string_view name, const TemplateValue& object, TemplateArguments arguments,
                                           TemplateBudget& budget);
}  // namespace troupe::model
