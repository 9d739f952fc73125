#include "cli/eval_view.hpp"

#include <algorithm>
#include <chrono>
#include <ostream>
#include <string>

namespace troupe::cli {

namespace {

using bench::number;
using bench::percent;

std::string tiers_of(const policy::PerTier<std::size_t>& answered_by) {
  std::string text;
  for (const policy::Tier tier : policy::tiers)
    text += (text.empty() ? "" : " / ") + std::to_string(answered_by[policy::place_of(tier)]);
  return text;
}

Json json_of(const bench::Work& work) {
  Json object;
  for (const policy::Tier tier : policy::tiers) {
    const bench::TierWork& done = work[policy::place_of(tier)];
    object[std::string(to_string(tier))] = {{"computed_tokens", done.computed_tokens}, {"cost", done.cost}};
  }
  return object;
}

Json json_of(const bench::EvaluationRow& row) {
  Json answered_by;
  for (const policy::Tier tier : policy::tiers)
    answered_by[std::string(to_string(tier))] = row.answered_by[policy::place_of(tier)];
  return {{"tier", row.tier},
          {"questions", row.questions},
          {"answered", row.answered},
          {"first_error", row.first_error.empty() ? Json(nullptr) : Json(row.first_error)},
          {"accuracy", row.accuracy},
          {"value_accuracy", row.value_accuracy},
          {"abstention_recall", or_null(row.abstention_recall)},
          {"abstention_precision", or_null(row.abstention_precision)},
          {"citation_precision", or_null(row.citation_precision)},
          {"citation_recall", or_null(row.citation_recall)},
          {"found", or_null(row.found)},
          {"confident", row.confident},
          {"confident_accuracy", or_null(row.confident_accuracy)},
          {"calibration_error", row.calibration_error},
          {"cost", row.cost},
          {"answers_cost", row.answers_cost},
          {"p50_ms", row.p50_ms},
          {"p95_ms", row.p95_ms},
          {"escalated", row.escalated},
          {"out_of_scope", row.out_of_scope},
          {"answered_by", answered_by},
          {"work", json_of(row.work)},
          {"reliability", reliability_json(row.reliability)},
          {"difficulties", row.difficulties}};
}

}  // namespace

void print_table(std::ostream& stream, const bench::TextTable& lines) {
  std::vector<std::size_t> widths(lines.front().size(), 0);
  for (const auto& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      const std::string gap(widths[i] - line[i].size(), ' ');
      stream << (i == 0 ? line[i] + gap : "  " + gap + line[i]);
    }
    stream << '\n';
  }
}

Json reliability_json(const bench::Reliability& bins) {
  Json list = Json::array();
  for (const bench::ReliabilityBin& bin : bins)
    list.push_back({{"answers", bin.answers}, {"confidence", bin.confidence}, {"right", bin.right}});
  return list;
}

void print_evaluation(std::ostream& stream, std::span<const bench::EvaluationRow> rows) {
  bench::TextTable lines = {{"", "right %", "values %", "abstention %", "citations %", "calibration error", "p50 ms", "p95 ms",
                             "cost, 10^9", "by mini / medium / heavy"}};
  for (const bench::EvaluationRow& row : rows) {
    lines.push_back({row.tier, percent(row.accuracy), percent(row.value_accuracy), percent(row.abstention_recall),
                     percent(row.citation_precision), number(row.calibration_error, 3), number(row.p50_ms, 0),
                     number(row.p95_ms, 0), number(static_cast<double>(row.cost) / 1e9, 1), tiers_of(row.answered_by)});
  }
  print_table(stream, lines);
  for (const bench::EvaluationRow& row : rows) {
    if (row.out_of_scope > 0) stream << row.tier << ": " << row.out_of_scope << " were answered as out of scope\n";
    if (row.answered == row.questions) continue;
    stream << row.tier << ": " << row.questions - row.answered << " were not answered, the first because " << row.first_error
           << '\n';
  }
  if (const auto comparison = bench::compare(rows)) stream << bench::sentence_of(*comparison) << '\n';
}

Json json_of(const bench::EvaluationSetting& setting, std::span<const bench::EvaluationRow> rows) {
  Json object{{"questions", setting.questions},
              {"corpus", setting.corpus},
              {"policy", setting.policy},
              {"machine", setting.machine},
              {"rows", Json::array()}};
  for (const bench::EvaluationRow& row : rows) object["rows"].push_back(json_of(row));
  if (const auto comparison = bench::compare(rows)) {
    object["comparison"] = {{"points", comparison->points},
                            {"points_mark", bench::Comparison::points_mark},
                            {"cost_share", comparison->cost_share},
                            {"cost_mark", bench::Comparison::cost_mark},
                            {"holds", comparison->holds()}};
  }
  return object;
}

Json json_of(const std::string& tier, const bench::JudgedAnswer& answer) {
  const bench::Verdict& verdict = answer.verdict;
  return {{"tier", tier},
          {"id", answer.id},
          {"difficulty", answer.difficulty},
          {"answer", answer.answer},
          {"answered", verdict.answered},
          {"error", verdict.answered ? Json(nullptr) : Json(answer.error)},
          {"right", verdict.right},
          {"values", verdict.values},
          {"abstained", verdict.abstained},
          {"cited", verdict.cited},
          {"cited_rightly", verdict.cited_rightly},
          {"found", verdict.found},
          {"answered_by", verdict.answered && answer.attempts > 0 ? Json(to_string(answer.tier)) : Json(nullptr)},
          {"attempts", answer.attempts},
          {"confidence", answer.confidence},
          {"confident", answer.confident},
          {"latency_ms", std::chrono::duration<double, std::milli>(answer.latency).count()},
          {"cost", bench::cost_of(answer.work)}};
}

}  // namespace troupe::cli
