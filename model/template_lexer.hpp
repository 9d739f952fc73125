// Cuts the source of a chat template into tokens: literal text, and the names, literals and operators within {{ }} and {% %}.
// White space around tags is removed as Jinja does with trim_blocks and lstrip_blocks, which Hugging Face sets.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace troupe::model {

struct TemplateToken {
  enum class Kind : std::uint8_t {
    text,
    output_begin,
    output_end,
    statement_begin,
    statement_end,
    name,
    string,
    integer,
    symbol,
    end
  };
  Kind kind;
  int line;             ///< counted from 1
  std::string content;  ///< of a string: with its escapes resolved
  std::int64_t number = 0;
};

/// The last token is `end`. Errors name the line.
Result<std::vector<TemplateToken>> lex_template(std::string_view source);

/// An error of the template itself: "line 3: ...".
Error template_error(int line, std::string_view what, ErrorCode code = ErrorCode::invalid_argument);

}  // namespace troupe::model
