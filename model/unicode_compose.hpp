// Unicode normalization form C (Unicode Standard Annex #15), which the tokenizers of Qwen apply to text before they cut it.
#pragma once

#include <string>
#include <string_view>

namespace troupe::model {

/// Valid UTF-8 `text` with its characters decomposed canonically, marks put in order and everything composed again:
/// "e" + U+0301 becomes "é". Data of Unicode 14.
std::string compose_canonically(std::string_view text);

}  // namespace troupe::model
