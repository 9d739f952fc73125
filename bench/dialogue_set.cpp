#include "bench/dialogue_set.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "bench/json_rows.hpp"
#include "model/json.hpp"

namespace troupe::bench {

namespace {

constexpr std::size_t text_bytes_max = std::size_t{64} << 10;
constexpr std::size_t facts_max = 65536;
constexpr std::size_t probes_max = 4096;
constexpr std::size_t values_max = 64;

std::string in_small_letters(std::string_view text) {
  std::string small(text);
  for (char& letter : small) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return small;
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

bool has_all(std::string_view text, const std::vector<std::string>& values) {
  const std::string small = in_small_letters(text);
  return std::ranges::all_of(values, [&](const std::string& value) { return contains(small, in_small_letters(value)); });
}

/// " [Records Policy §3.2]", where the answer has a source: an answer with another source is another answer.
std::string source_of(const std::string& answer) {
  const std::size_t begin = answer.rfind('[');
  const std::size_t end = answer.rfind(']');
  return begin == std::string::npos || end == std::string::npos || end < begin ? "" : answer.substr(begin, end + 1 - begin);
}

Result<std::vector<std::string>> strings(const model::JsonObject& row, std::string_view field, std::size_t size_max) {
  TROUPE_TRY(const auto* list, row.array(field, size_max));
  std::vector<std::string> texts;
  for (const auto& element : *list) {
    if (!element.is_string()) return row.unexpected(field, "a list of strings");
    texts.push_back(element.get<std::string>());
  }
  return texts;
}

Result<std::vector<policy::Exchange>> exchanges_of(const model::JsonObject& row) {
  TROUPE_TRY(const auto* list, row.array("turns", 2 * DialogueSet::exchanges_max));
  constexpr std::string_view form = "messages of user and assistant, alternately, each with some text";
  if (list->empty() || list->size() % 2 != 0) return row.unexpected("turns", form);
  std::vector<policy::Exchange> exchanges(list->size() / 2);
  for (std::size_t i = 0; i < list->size(); ++i) {
    TROUPE_TRY(const auto message, model::JsonObject::of((*list)[i], row.file(), "turns[" + std::to_string(i) + "]"));
    TROUPE_TRY(const auto role, message.string("role"));
    TROUPE_TRY(const auto content, message.string("content", text_bytes_max));
    if (role != (i % 2 == 0 ? "user" : "assistant") || content.empty()) return row.unexpected("turns", form);
    (i % 2 == 0 ? exchanges[i / 2].question : exchanges[i / 2].answer) = content;
  }
  return exchanges;
}

std::size_t last_said(const Dialogue& dialogue, const Probe& probe) {
  const std::string source = source_of(probe.answer);
  for (std::size_t i = dialogue.exchanges.size(); i > 0; --i) {
    const auto& [question, answer] = dialogue.exchanges[i - 1];
    if (has_all(question + ' ' + answer, probe.values) && contains(answer, source)) return i;
  }
  return 0;
}

Result<Probe> probe_of(const model::JsonObject& row, const Dialogue& dialogue) {
  Probe probe;
  TROUPE_TRY(probe.question, row.string("question", text_bytes_max));
  TROUPE_TRY(probe.answer, row.string("answer", text_bytes_max));
  TROUPE_TRY(probe.kind, row.string_or("kind", ""));
  TROUPE_TRY(probe.values, strings(row, "values", values_max));
  if (probe.question.empty()) return row.unexpected("question", "some text");
  if (probe.values.empty()) return row.unexpected("values", "what a right answer contains");
  const auto last = static_cast<std::int64_t>(dialogue.exchanges.size());
  TROUPE_TRY(const auto asked, row.integer_or("asked", 0, 0, last));
  TROUPE_TRY(const auto since, row.integer_or("since", -1, 0, last));
  probe.asked = static_cast<std::size_t>(asked);
  probe.since = since >= 0 ? static_cast<std::size_t>(since) : last_said(dialogue, probe);
  return probe;
}

Result<Dialogue> dialogue_of(const model::JsonObject& row, const std::string& place) {
  Dialogue dialogue;
  TROUPE_TRY(dialogue.id, row.string("id"));
  TROUPE_TRY(dialogue.exchanges, exchanges_of(row));
  if (row.has("facts")) {
    TROUPE_TRY(dialogue.facts, strings(row, "facts", facts_max));
  }
  TROUPE_TRY(const auto* probes, row.array("probes", probes_max));
  for (std::size_t i = 0; i < probes->size(); ++i) {
    TROUPE_TRY(const auto each, model::JsonObject::of((*probes)[i], place, "probes[" + std::to_string(i) + "]"));
    TROUPE_TRY(auto probe, probe_of(each, dialogue));
    dialogue.probes.push_back(std::move(probe));
  }
  return dialogue;
}

}  // namespace

std::vector<Probe> Dialogue::probes_after(std::size_t exchanges_asked) const {
  std::vector<Probe> found;
  if (exchanges_asked > exchanges.size()) return found;
  std::ranges::copy_if(probes, std::back_inserter(found), [&](const Probe& probe) {
    return probe.asked == 0 ? probe.since <= exchanges_asked : probe.asked == exchanges_asked;
  });
  return found;
}

Result<DialogueSet> parse_dialogues(std::string_view text, const std::string& file) {
  DialogueSet set;
  TROUPE_TRY_DO(each_row(text, file, DialogueSet::line_bytes_max, [&](const model::JsonObject& row, int line) -> Result<void> {
    const std::string place = file + ":" + std::to_string(line);
    if (set.dialogues.size() == DialogueSet::dialogues_max) {
      return Error{ErrorCode::too_large,
                   place + ": more than " + std::to_string(DialogueSet::dialogues_max) + " conversations"};
    }
    TROUPE_TRY(auto dialogue, dialogue_of(row, place));
    dialogue.line = line;
    set.dialogues.push_back(std::move(dialogue));
    return {};
  }));
  if (!set.dialogues.empty()) return set;
  return Error{ErrorCode::invalid_argument, file + " has no conversations; expected a line of JSON for each"};
}

bool recalls(const Probe& probe, std::string_view answer) { return has_all(answer, probe.values); }

std::string fact_of(const Dialogue& dialogue, const Probe& probe) {
  const std::string source = source_of(probe.answer);
  const auto found = std::ranges::find_if(
      dialogue.facts, [&](const std::string& fact) { return has_all(fact, probe.values) && contains(fact, source); });
  return found == dialogue.facts.end() ? "" : *found;
}

}  // namespace troupe::bench
