#include "bench/intent_page.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "bench/chart.hpp"
#include "bench/escaped.hpp"
#include "bench/page_parts.hpp"

namespace troupe::bench {

namespace {

constexpr std::size_t worst_shown = 20;

std::string main_table(std::span<const IntentScores> rows) {
  const std::array<std::string, 12> head = {"",
                                            "right, %",
                                            "in scope, %",
                                            "out of scope: recall, %",
                                            "precision, %",
                                            "AUROC",
                                            "calibration error",
                                            "no label",
                                            "cost, 10<sup>9</sup> parameters &times; tokens",
                                            "p50, ms",
                                            "p95, ms",
                                            "by the policy: right, %"};
  std::string table = "<table>\n" + table_row("th", head);
  for (const IntentScores& row : rows) {
    const std::array<std::string, 12> body = {escaped(row.tier),
                                              percent(row.accuracy),
                                              percent(row.accuracy_in_scope),
                                              percent(row.out_of_scope_recall),
                                              percent(row.out_of_scope_precision),
                                              row.out_of_scope_auroc ? number(*row.out_of_scope_auroc, 3) : percent({}),
                                              number(row.calibration_error, 3),
                                              std::to_string(row.no_label),
                                              number(static_cast<double>(row.cost) / 1e9, 1),
                                              number(row.p50_ms, 1),
                                              number(row.p95_ms, 1),
                                              row.by_policy ? percent(row.by_policy->accuracy) : percent({})};
    table += table_row("td", body);
  }
  return table + "</table>\n";
}

std::string reliability_chart(std::span<const IntentScores> rows) {
  Chart chart{"Reliability", {"confidence", 0, 1}, {"share of right labels", 0, 1}, {}, true};
  for (const IntentScores& row : rows) {
    ChartSeries series{row.tier, color_of(row.tier), {}, true, true};
    for (const ReliabilityBin& bin : row.reliability)
      if (bin.answers > 0) series.points.push_back({bin.confidence, bin.right});
    chart.series.push_back(std::move(series));
  }
  return svg_of(chart);
}

/// What is won outside of the scope, and lost within it, by taking what is unsure for out of scope.
std::string scope_chart(std::span<const IntentScores> rows) {
  Chart chart{"Unsure taken for out of scope", {"recall of what is out of scope", 0, 1}, {"right in scope", 0, 1}, {}, false};
  for (const IntentScores& row : rows) {
    ChartSeries series{row.tier, color_of(row.tier), {}, true, true};
    for (const IntentCut& cut : row.cuts)
      series.points.push_back({cut.out_of_scope_recall.value_or(0), cut.accuracy_in_scope.value_or(0)});
    if (!series.points.empty()) chart.series.push_back(std::move(series));
  }
  return chart.series.empty() ? std::string() : svg_of(chart);
}

std::string cut_table(const IntentScores& row) {
  const std::array<std::string, 4> head = {"out of scope below", "right in scope, %", "recall, %", "precision, %"};
  std::string table = "<table>\n" + table_row("th", head);
  for (const IntentCut& cut : row.cuts) {
    const std::array<std::string, 4> body = {number(cut.confidence_min, 2), percent(cut.accuracy_in_scope),
                                             percent(cut.out_of_scope_recall), percent(cut.out_of_scope_precision)};
    table += table_row("td", body);
  }
  return table + "</table>\n";
}

/// Rows are what is right, columns what was said; the last column is what is no label.
std::string confusion_table(const IntentScores& row) {
  std::vector<std::string> line = {"is, and was taken for"};
  for (const auto& [name, score] : row.labels) line.push_back(escaped(name));
  line.emplace_back("no label");
  std::string table = "<table>\n" + table_row("th", line);
  for (const auto& [name, score] : row.labels) {
    line = {escaped(name)};
    std::size_t elsewhere = score.rows - score.right;
    for (const auto& [said, other] : row.labels) {
      const auto found = score.instead.find(said);
      const std::size_t wrongly = found == score.instead.end() ? 0 : found->second;
      elsewhere -= wrongly;
      const std::size_t count = said == name ? score.right : wrongly;
      line.push_back(count == 0 ? "" : std::to_string(count));
    }
    line.push_back(elsewhere == 0 ? "" : std::to_string(elsewhere));
    table += table_row("td", line);
  }
  return table + "</table>\n";
}

std::string worst_table(const IntentScores& row) {
  const std::array<std::string, 4> head = {"", "right, %", "of", "mostly taken for"};
  std::string table = "<table>\n" + table_row("th", head);
  for (const RankedLabel& label : worst_labels(row, worst_shown)) {
    const std::array<std::string, 4> body = {escaped(label.name), percent(share(label.score->right, label.score->rows)),
                                             std::to_string(label.score->rows), escaped(label.mostly)};
    table += table_row("td", body);
  }
  return table + "</table>\n";
}

constexpr std::string_view explanation =
    "<p>A reply is right if it is the label, and nothing else. Recall: of the rows that are out of scope, those that were said "
    "to "
    "be; precision: of those that were said to be, the ones that are. AUROC: how often confidence ranks a row in scope above "
    "one "
    "that is not. Calibration error: the mean distance between confidence and the share of right labels, over ten bins. Cost: "
    "active parameters times tokens computed. Latency is of rows that were asked one after the other, the model alone.</p>\n";

}  // namespace

std::vector<RankedLabel> worst_labels(const IntentScores& scores, std::size_t count) {
  std::vector<RankedLabel> labels;
  for (const auto& [name, score] : scores.labels) {
    if (score.right == score.rows) continue;
    const auto mostly = std::ranges::max_element(score.instead, {}, [](const auto& each) { return each.second; });
    labels.push_back({name, &score, mostly->first.empty() ? "nothing" : mostly->first});
  }
  const auto right = [](const RankedLabel& label) { return share(label.score->right, label.score->rows).value_or(0); };
  std::ranges::stable_sort(labels, {}, right);
  if (labels.size() > count) labels.resize(count);
  return labels;
}

std::string page_of(const IntentSetting& setting, std::span<const IntentScores> rows) {
  std::string page = page_head("Intents");
  const std::size_t count = rows.empty() ? 0 : rows.front().rows;
  const std::size_t labels = rows.empty() ? 0 : rows.front().labels.size();
  page += "<p>" + std::to_string(count) + " utterances of " + escaped(setting.rows) + " with " + std::to_string(labels) +
          " labels; prompt: &ldquo;" + escaped(setting.prompt) + "&rdquo;; policy: " + escaped(setting.policy) +
          "; computed by: " + escaped(setting.machine) + ".</p>\n";
  page += main_table(rows) + std::string(explanation) + reliability_chart(rows) + scope_chart(rows);
  for (const IntentScores& row : rows) {
    page += "<h2>" + escaped(row.tier) + "</h2>\n";
    if (!row.cuts.empty()) page += cut_table(row);
    page += labels <= confusion_labels_max ? confusion_table(row) : worst_table(row);
  }
  return page + std::string(page_end);
}

}  // namespace troupe::bench
