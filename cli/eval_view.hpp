// An evaluation as people and programs read it.
#pragma once

#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/evaluation.hpp"
#include "bench/evaluation_page.hpp"
#include "bench/intent_page.hpp"
#include "bench/page_parts.hpp"
#include "cli/answer_view.hpp"

namespace troupe::cli {

/// Columns as wide as their widest text, the first to the left, all others to the right. Each line has as many.
void print_table(std::ostream& stream, const bench::TextTable& lines);
template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}
Json reliability_json(const bench::Reliability& bins);

void print_evaluation(std::ostream& stream, std::span<const bench::EvaluationRow> rows);

/// "rows" has an object for each; "comparison" is there if both heavy alone and the portfolio are.
Json json_of(const bench::EvaluationSetting& setting, std::span<const bench::EvaluationRow> rows);

/// One question under one row, for a line of the file that --answers writes.
Json json_of(const std::string& tier, const bench::JudgedAnswer& answer);

/// Scores of intents; what the policy makes of them is said below the table.
void print_intents(std::ostream& stream, std::span<const bench::IntentScores> rows);
Json json_of(const bench::IntentSetting& setting, std::span<const bench::IntentScores> rows);
Json json_of(const std::string& tier, const bench::IntentRow& row, const bench::IntentReply& reply);

}  // namespace troupe::cli
