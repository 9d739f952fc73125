#include "bench/intent_set.hpp"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "bench/json_rows.hpp"

namespace troupe::bench {

namespace {

constexpr std::size_t id_bytes_max = 256;
constexpr std::string_view form = "a system message and a user message; from the second row on the latter may stand alone";

/// The content of the message at `place`, if it has that role.
Result<std::string> content_of(const model::JsonObject& row, const nlohmann::json& message, std::string_view role,
                               std::string_view place) {
  TROUPE_TRY(const auto object, model::JsonObject::of(message, row.file(), std::string(place)));
  TROUPE_TRY(const auto seen, object.string("role"));
  if (seen != role) return row.unexpected("messages", form);
  TROUPE_TRY(const auto content, object.string("content", IntentSet::line_bytes_max));
  if (content.empty()) return object.unexpected("content", "some text");
  return std::string(content);
}

/// `prompt` is that of the rows before, if there are some, and then the row's.
Result<IntentRow> parse_row(const model::JsonObject& object, std::string& prompt) {
  IntentRow row;
  TROUPE_TRY(row.id, object.string("id", id_bytes_max));
  TROUPE_TRY(row.label, object.string("answer", IntentSet::label_bytes_max));
  if (row.id.empty() || row.label.empty()) return object.unexpected(row.id.empty() ? "id" : "answer", "some text");
  constexpr std::size_t messages_max = 64;
  TROUPE_TRY(const auto* messages, object.array("messages", messages_max));
  const bool alone = messages->size() == 1 && !prompt.empty();
  if (messages->size() != 2 && !alone) return object.unexpected("messages", form);
  if (!alone) {
    TROUPE_TRY(prompt, content_of(object, messages->front(), "system", "messages[0]"));
  }
  TROUPE_TRY(row.text, content_of(object, messages->back(), "user", alone ? "messages[0]" : "messages[1]"));
  return row;
}

}  // namespace

std::vector<std::string> IntentSet::labels() const {
  std::vector<std::string> names;
  for (const IntentRow& row : rows) names.push_back(row.label);
  std::ranges::sort(names);
  const auto twice = std::ranges::unique(names);
  names.erase(twice.begin(), twice.end());
  return names;
}

Result<IntentSet> parse_intents(std::string_view text, const std::string& file) {
  IntentSet set;
  std::unordered_set<std::string> ids;
  TROUPE_TRY_DO(each_row(text, file, IntentSet::line_bytes_max, [&](const model::JsonObject& object, int line) -> Result<void> {
    std::string prompt = set.prompt;
    TROUPE_TRY(auto row, parse_row(object, prompt));
    row.line = line;
    const auto wrong = [&](const std::string& what) { return Error{ErrorCode::invalid_argument, object.file() + ": " + what}; };
    if (set.rows.empty()) set.prompt = prompt;
    if (prompt != set.prompt) return wrong("the system message is not the first row's; expected one prompt in a file");
    if (!ids.insert(row.id).second) return wrong("id is \"" + row.id + "\", which an earlier line has");
    if (set.rows.size() == IntentSet::rows_max) {
      return Error{ErrorCode::too_large, object.file() + ": more than " + std::to_string(IntentSet::rows_max) + " rows"};
    }
    set.rows.push_back(std::move(row));
    return {};
  }));
  if (set.rows.empty()) return Error{ErrorCode::invalid_argument, file + " has no rows; expected a line of JSON for each"};
  return set;
}

IntentSet spread(const IntentSet& set, std::size_t count) {
  const std::size_t size = set.rows.size();
  if (count >= size) return set;
  IntentSet some{set.prompt, {}};
  for (std::size_t i = 0; i < count; ++i) some.rows.push_back(set.rows[i * size / count]);
  return some;
}

}  // namespace troupe::bench
