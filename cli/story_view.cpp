#include "cli/story_view.hpp"

#include <cstdint>
#include <ostream>

#include "bench/page_parts.hpp"
#include "cli/eval_view.hpp"

namespace troupe::cli {

namespace {

using bench::number;
using bench::StoryComparison;
using bench::StoryReport;
using bench::StoryRow;

std::string factor(double before, double after) { return after > 0 ? number(before / after, 1) : "-"; }
std::string met(bool holds) { return holds ? "met" : "missed"; }

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
  const StoryComparison compared = bench::compare(chain, troupe);
  stream << setting.questions_count << " questions of " << setting.questions << " in " << setting.conversations
         << " conversations of " << setting.turns << " turns, " << setting.clients << " at a time, " << setting.runs
         << (setting.runs == 1 ? " run; " : " runs; ") << setting.memory_mebibytes
         << " MiB for weights, activations and KV blocks; " << setting.machine << "\n\n";
  const auto count = [](std::uint64_t value) { return std::to_string(value); };
  const auto billions = [](std::uint64_t value) { return number(static_cast<double>(value) / 1e9, 1); };
  print_table(
      stream,
      {{"", "as teams do it", "troupe", "factor", "reported", "mark"},
       {"mean latency, ms", number(chain.mean_ms, 0), number(troupe.mean_ms, 0), factor(chain.mean_ms, troupe.mean_ms),
        "1.8 to 0.42 s", "factor " + number(StoryComparison::latency_mark, 1) + ": " + met(compared.fast)},
       {"median", number(chain.p50_ms, 0), number(troupe.p50_ms, 0), factor(chain.p50_ms, troupe.p50_ms), "", ""},
       {"95th percentile", number(chain.p95_ms, 0), number(troupe.p95_ms, 0), factor(chain.p95_ms, troupe.p95_ms), "", ""},
       {"out of memory", count(chain.out_of_memory), count(troupe.out_of_memory), "", "6 to 0 an hour",
        "0: " + met(compared.whole)},
       {"refused", count(chain.refused), count(troupe.refused), "", "", ""},
       {"same answer in every run, %", percent(chain.consistency), percent(troupe.consistency), "", "86 to 93 %",
        "100: " + met(compared.consistent)},
       {"right answers, %", percent(chain.right), percent(troupe.right), "", "", ""},
       {"tokens computed", count(chain.work.computed_tokens), count(troupe.work.computed_tokens),
        factor(static_cast<double>(chain.work.computed_tokens), static_cast<double>(troupe.work.computed_tokens)), "", ""},
       {"tokens reused", count(chain.work.reused_tokens), count(troupe.work.reused_tokens), "", "", ""},
       {"cost, 10^9", billions(chain.work.cost), billions(troupe.work.cost),
        factor(static_cast<double>(chain.work.cost), static_cast<double>(troupe.work.cost)), "", ""},
       {"prompts cut to the window", count(chain.cut), "0", "", "", ""}});
  stream << "\nall marks are " << (compared.holds() ? "met" : "not met; docs/evaluation.md says what to think of that") << '\n';
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
          {"temperature", setting.temperature},
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
