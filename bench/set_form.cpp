#include "bench/set_form.hpp"

#include <algorithm>
#include <array>

#include "bench/dialogue_set.hpp"
#include "bench/json_rows.hpp"
#include "bench/question_set.hpp"

namespace troupe::bench {

SetForm form_of(std::string_view text) {
  SetForm form = SetForm::questions;
  const auto first = each_row(text, "", std::max(QuestionSet::line_bytes_max, DialogueSet::line_bytes_max),
                              [&](const model::JsonObject& row, int /*line*/) {
                                constexpr std::array others = {"question", "sections", "citations", "values", "facts"};
                                const bool has_others =
                                    std::ranges::any_of(others, [&](const char* field) { return row.has(field); });
                                if (row.has("messages") && row.has("answer") && !has_others) form = SetForm::intents;
                                if (row.has("turns") && row.has("probes")) form = SetForm::dialogues;
                                return Result<void>(Error{ErrorCode::cancelled, "one row is enough"});
                              });
  static_cast<void>(first);
  return form;
}

}  // namespace troupe::bench
