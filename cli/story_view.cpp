#include "cli/story_view.hpp"

#include <ostream>

#include "cli/answer_view.hpp"
#include "cli/eval_view.hpp"

namespace troupe::cli {

namespace {

using bench::StoryComparison;
using bench::StoryReport;
using bench::StoryRow;
using bench::StorySetting;

Json json_of(const StoryRow& row) {
  return {{"name", row.name},
          {"asked", row.asked},
          {"answered", row.answered},
          {"mean_ms", row.mean_ms},
          {"p50_ms", row.p50_ms},
          {"p95_ms", row.p95_ms},
          {"out_of_memory", row.out_of_memory},
          {"out_of_memory_hour", row.out_of_memory_hour},
          {"refused", row.refused},
          {"consistency", or_null(row.consistency)},
          {"right", row.right},
          {"cut_prompts", row.cut},
          {"computed_tokens", row.work.computed_tokens},
          {"reused_tokens", row.work.reused_tokens},
          {"cost", row.work.cost},
          {"seconds", row.seconds}};
}

}  // namespace

void print_story(std::ostream& stream, const StorySetting& setting, const StoryRow& chain, const StoryRow& troupe) {
  stream << bench::sentence_of(setting) << "\n\n";
  print_table(stream, bench::story_table(chain, troupe));
  stream << '\n' << bench::verdict_of(bench::compare(chain, troupe)) << '\n';
}

Json json_of(const StorySetting& setting, const StoryRow& chain, const StoryRow& troupe) {
  const StoryComparison compared = bench::compare(chain, troupe);
  return {{"questions", setting.questions},
          {"machine", setting.machine},
          {"conversations", setting.conversations},
          {"turns", setting.turns},
          {"clients", setting.clients},
          {"runs", setting.runs},
          {"memory_mebibytes", setting.memory_mebibytes},
          {"temperature", decimal(setting.temperature)},
          {"forget_passages", setting.forget_passages},
          {"seed", setting.seed},
          {"rows", {json_of(chain), json_of(troupe)}},
          {"reported",
           {{"mean_seconds", {StoryReport::before_seconds, StoryReport::after_seconds}},
            {"out_of_memory_hour", {StoryReport::before_out_of_memory_hour, StoryReport::after_out_of_memory_hour}},
            {"consistency", {StoryReport::before_consistency, StoryReport::after_consistency}}}},
          {"marks",
           {{"latency_factor", compared.latency_factor},
            {"latency_factor_mark", StoryComparison::latency_mark},
            {"fast", compared.fast},
            {"no_failures", compared.whole},
            {"consistent", compared.consistent},
            {"holds", compared.holds()}}}};
}

}  // namespace troupe::cli
