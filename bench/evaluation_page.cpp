#include "bench/evaluation_page.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "bench/chart.hpp"
#include "bench/escaped.hpp"
#include "bench/page_parts.hpp"

namespace troupe::bench {

namespace {

std::string main_table(std::span<const EvaluationRow> rows) {
  const std::array<std::string, 12> head = {"",
                                            "right, %",
                                            "values, %",
                                            "abstention recall, %",
                                            "precision, %",
                                            "citation precision, %",
                                            "recall, %",
                                            "calibration error",
                                            "confident, %",
                                            "cost, 10<sup>9</sup> parameters &times; tokens",
                                            "p50, ms",
                                            "p95, ms"};
  std::string table = "<table>\n" + table_row("th", head);
  for (const EvaluationRow& row : rows) {
    const std::array<std::string, 12> body = {escaped(row.tier),
                                              percent(row.accuracy),
                                              percent(row.value_accuracy),
                                              percent(row.abstention_recall),
                                              percent(row.abstention_precision),
                                              percent(row.citation_precision),
                                              percent(row.citation_recall),
                                              number(row.calibration_error, 3),
                                              percent(row.confident),
                                              number(static_cast<double>(row.cost) / 1e9, 1),
                                              number(row.p50_ms, 0),
                                              number(row.p95_ms, 0)};
    table += table_row("td", body);
  }
  return table + "</table>\n";
}

std::string difficulty_table(std::span<const EvaluationRow> rows) {
  std::set<std::string> difficulties;
  for (const EvaluationRow& row : rows)
    for (const auto& [difficulty, accuracy] : row.difficulties) difficulties.insert(difficulty);
  if (difficulties.empty()) return {};
  std::vector<std::string> line = {"right, %"};
  for (const EvaluationRow& row : rows) line.push_back(escaped(row.tier));
  std::string table = "<h2>By difficulty</h2>\n<table>\n" + table_row("th", line);
  for (const std::string& difficulty : difficulties) {
    line = {escaped(difficulty)};
    for (const EvaluationRow& row : rows) {
      const auto found = row.difficulties.find(difficulty);
      line.push_back(found == row.difficulties.end() ? percent({}) : percent(found->second));
    }
    table += table_row("td", line);
  }
  return table + "</table>\n";
}

std::string reliability_chart(std::span<const EvaluationRow> rows) {
  Chart chart{"Reliability", {"confidence", 0, 1}, {"share of right answers", 0, 1}, {}, true};
  for (const EvaluationRow& row : rows) {
    ChartSeries series{row.tier, color_of(row.tier), {}, true, true};
    for (const ReliabilityBin& bin : row.reliability)
      if (bin.answers > 0) series.points.push_back({bin.confidence, bin.right});
    chart.series.push_back(std::move(series));
  }
  return svg_of(chart);
}

std::string cost_chart(std::span<const EvaluationRow> rows) {
  double dearest = 0;
  for (const EvaluationRow& row : rows) dearest = std::max(dearest, static_cast<double>(row.cost) / 1e9);
  Chart chart{
      "Accuracy against cost", {"10^9 parameters x tokens", 0, std::max(1.1 * dearest, 1e-3)}, {"right, %", 0, 100}, {}, false};
  for (const EvaluationRow& row : rows)
    chart.series.push_back(
        {row.tier, color_of(row.tier), {{static_cast<double>(row.cost) / 1e9, 100 * row.accuracy}}, false, true});
  return svg_of(chart);
}

std::string latencies_chart(std::span<const EvaluationRow> rows) {
  std::vector<Latencies> latencies;
  for (const EvaluationRow& row : rows)
    latencies.push_back({row.tier, color_of(row.tier), row.latencies_ms, row.latencies_ms.size()});
  return latency_chart(latencies);
}

constexpr std::string_view explanation =
    "<p>An answer is right if it says what the set says, word for word, and cites exactly the sections given there; "
    "&ldquo;values&rdquo; asks only that it contains what matters and cites the same. Abstention recall: of the questions that "
    "no source answers, those where it was said so; precision: of the answers that said so, those where it was so. Calibration "
    "error: the mean distance between confidence and the share of right answers, over ten bins. Cost: active parameters times "
    "tokens computed, of every model that was asked, for whatever.</p>\n";

}  // namespace

std::string sentence_of(const Comparison& comparison) {
  const bool above = comparison.points < 0;
  return "the portfolio is " + number(std::abs(comparison.points), 1) + " points " + (above ? "above" : "below") +
         " heavy alone, at " + number(comparison.cost_share, 2) + " of its cost; the mark, at most " +
         number(Comparison::points_mark, 0) + " points below at no more than " + number(Comparison::cost_mark, 1) + ", is " +
         (comparison.holds() ? "met" : "missed");
}

std::string page_of(const EvaluationSetting& setting, std::span<const EvaluationRow> rows) {
  std::string page = page_head("Evaluation");
  const std::size_t questions = rows.empty() ? 0 : rows.front().questions;
  page += "<p>" + std::to_string(questions) + " questions of " + escaped(setting.questions) + ", answered from " +
          escaped(setting.corpus) + "; policy: " + escaped(setting.policy) + "; computed by: " + escaped(setting.machine) +
          ".</p>\n";
  page += main_table(rows);
  if (const auto comparison = compare(rows)) page += "<p>In short: " + sentence_of(*comparison) + ".</p>\n";
  page += explanation;
  page += reliability_chart(rows) + cost_chart(rows) + latencies_chart(rows) + difficulty_table(rows);
  return page + std::string(page_end);
}

}  // namespace troupe::bench
