// What must hold for any file that `troupe eval` is given: an error that names the file and the line, or a set that keeps what
// its header promises. Shared by the libFuzzer target beside this file and by the test that replays its corpus.
#pragma once

#include <algorithm>
#include <set>
#include <string>
#include <string_view>

#include "base/check.hpp"
#include "bench/dialogue_set.hpp"
#include "bench/intent_set.hpp"
#include "bench/question_set.hpp"
#include "bench/set_form.hpp"
#include "model/utf8.hpp"

namespace troupe::tests {

inline void check_set_error(const Error& error) {
  TROUPE_CHECK(error.message.starts_with("input"), "an error names the file");
  TROUPE_CHECK(error.message.size() < 4096 && !model::find_invalid_utf8(error.message), "an error can be read");
}

inline void check_questions(std::string_view text) {
  const auto set = bench::parse_questions(text, "input");
  if (!set) return check_set_error(set.error());
  std::set<std::string_view> ids;
  int line = 0;
  for (const bench::Question& question : set->questions) {
    TROUPE_CHECK(question.line > line && ids.insert(question.id).second, "questions are in order, each once");
    line = question.line;
    TROUPE_CHECK(question.sources.empty() != set->brings_sources, "all are of one form");
    TROUPE_CHECK(std::ranges::is_sorted(question.sections) && question.answerable() == !question.sections.empty(),
                 "sections ascend");
    for (const std::string& section : set->brings_sources ? question.sections : std::vector<std::string>()) {
      TROUPE_CHECK(std::ranges::find(question.sources, section, &storage::Section::key) != question.sources.end(),
                   "what is cited came along");
    }
  }
  TROUPE_CHECK(line > 0, "a set has a question");
  const auto all = bench::check_sections(*set, {}, "input");
  if (!all) check_set_error(all.error());
  TROUPE_CHECK(bench::spread(*set, 2).questions.size() == std::min<std::size_t>(2, set->questions.size()), "some are some");
}

inline void check_intents(std::string_view text) {
  const auto set = bench::parse_intents(text, "input");
  if (!set) return check_set_error(set.error());
  const auto labels = set->labels();
  TROUPE_CHECK(!set->rows.empty() && !labels.empty() && std::ranges::is_sorted(labels), "a set has a row, and labels");
  for (const bench::IntentRow& row : set->rows) {
    TROUPE_CHECK(!row.text.empty() && std::ranges::binary_search(labels, row.label), "a row has its label");
  }
}

inline void check_dialogues(std::string_view text) {
  const auto set = bench::parse_dialogues(text, "input");
  if (!set) return check_set_error(set.error());
  TROUPE_CHECK(!set->dialogues.empty(), "a set has a conversation");
  for (const bench::Dialogue& dialogue : set->dialogues) {
    TROUPE_CHECK(!dialogue.exchanges.empty(), "a conversation has an exchange");
    for (const bench::Probe& probe : dialogue.probes) {
      TROUPE_CHECK(probe.since <= dialogue.exchanges.size() && probe.asked <= dialogue.exchanges.size(),
                   "it is asked about what was said");
      const std::string fact = bench::fact_of(dialogue, probe);
      TROUPE_CHECK(fact.empty() || bench::recalls(probe, fact), "a fact says what is asked");
    }
    TROUPE_CHECK(dialogue.probes_after(dialogue.exchanges.size() + 1).empty(), "nothing is asked after the end");
  }
}

/// The file as the form that it has, and as the others.
inline void check_question_sets(std::string_view text) {
  const auto form = bench::form_of(text);
  TROUPE_CHECK(form <= bench::SetForm::dialogues, "a file has one of the forms");
  check_questions(text);
  check_intents(text);
  check_dialogues(text);
}

}  // namespace troupe::tests
