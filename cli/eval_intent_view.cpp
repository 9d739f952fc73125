// Scores of intents as people and programs read them.
#include <chrono>
#include <ostream>
#include <string>

#include "cli/eval_view.hpp"

namespace troupe::cli {

namespace {

using bench::number;
using bench::percent;

Json json_of(const bench::IntentScores& row) {
  Json object{{"tier", row.tier},
              {"questions", row.rows},
              {"accuracy", row.accuracy},
              {"accuracy_in_scope", or_null(row.accuracy_in_scope)},
              {"out_of_scope_recall", or_null(row.out_of_scope_recall)},
              {"out_of_scope_precision", or_null(row.out_of_scope_precision)},
              {"out_of_scope_auroc", or_null(row.out_of_scope_auroc)},
              {"no_label", row.no_label},
              {"calibration_error", row.calibration_error},
              {"cost", row.cost},
              {"p50_ms", row.p50_ms},
              {"p95_ms", row.p95_ms},
              {"by_policy", nullptr},
              {"cuts", Json::array()},
              {"reliability", reliability_json(row.reliability)},
              {"labels", Json::object()}};
  if (row.by_policy) {
    object["by_policy"] = {{"accuracy", row.by_policy->accuracy},
                           {"unknown", row.by_policy->unknown},
                           {"refused", or_null(row.by_policy->refused)},
                           {"refused_in_scope", row.by_policy->refused_in_scope}};
  }
  for (const bench::IntentCut& cut : row.cuts) {
    object["cuts"].push_back({{"confidence_min", cut.confidence_min},
                              {"accuracy_in_scope", or_null(cut.accuracy_in_scope)},
                              {"out_of_scope_recall", or_null(cut.out_of_scope_recall)},
                              {"out_of_scope_precision", or_null(cut.out_of_scope_precision)}});
  }
  for (const auto& [name, score] : row.labels)
    object["labels"][name] = {{"rows", score.rows}, {"said", score.said}, {"right", score.right}, {"instead", score.instead}};
  return object;
}

}  // namespace

void print_intents(std::ostream& stream, std::span<const bench::IntentScores> rows) {
  bench::TextTable lines = {{"", "right %", "in scope %", "out of scope: recall %", "precision %", "calibration error",
                             "p50 ms", "p95 ms", "cost, 10^9"}};
  for (const bench::IntentScores& row : rows) {
    lines.push_back({row.tier, percent(row.accuracy), percent(row.accuracy_in_scope), percent(row.out_of_scope_recall),
                     percent(row.out_of_scope_precision), number(row.calibration_error, 3), number(row.p50_ms, 1),
                     number(row.p95_ms, 1), number(static_cast<double>(row.cost) / 1e9, 1)});
  }
  print_table(stream, lines);
  for (const bench::IntentScores& row : rows) {
    if (row.no_label > 0) stream << row.tier << ": " << row.no_label << " replies were no label\n";
    if (!row.by_policy) continue;
    stream << row.tier << ": the policy takes " << percent(row.by_policy->accuracy) << " % rightly, " << row.by_policy->unknown
           << " for unknown; it answers as out of scope " << percent(row.by_policy->refused) << " % of what is, and "
           << row.by_policy->refused_in_scope << " that are not\n";
  }
}

Json json_of(const bench::IntentSetting& setting, std::span<const bench::IntentScores> rows) {
  Json object{{"questions", setting.rows},
              {"prompt", setting.prompt},
              {"policy", setting.policy},
              {"machine", setting.machine},
              {"rows", Json::array()}};
  for (const bench::IntentScores& row : rows) object["rows"].push_back(json_of(row));
  return object;
}

Json json_of(const std::string& tier, const bench::IntentRow& row, const bench::IntentReply& reply) {
  Json object{{"tier", tier},
              {"id", row.id},
              {"label", row.label},
              {"said", reply.said},
              {"right", reply.said == row.label},
              {"confidence", reply.confidence},
              {"computed_tokens", reply.computed_tokens}};
  if (reply.latency) object["latency_ms"] = std::chrono::duration<double, std::milli>(*reply.latency).count();
  return object;
}

}  // namespace troupe::cli
