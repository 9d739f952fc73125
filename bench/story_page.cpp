#include "bench/story_page.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "bench/bar_chart.hpp"
#include "bench/escaped.hpp"

namespace troupe::bench {

namespace {

constexpr const char* chain_name = "as teams do it";
constexpr const char* troupe_name = "troupe";
constexpr const char* chain_color = "#d55e00";
constexpr const char* troupe_color = "#0b3d91";

std::string factor(double before, double after) { return after > 0 ? number(before / after, 1) : "-"; }
std::string factor(std::uint64_t before, std::uint64_t after) {
  return factor(static_cast<double>(before), static_cast<double>(after));
}
std::string met(bool holds) { return holds ? "met" : "missed"; }
std::string count(std::uint64_t value) { return std::to_string(value); }
std::string billions(std::uint64_t value) { return number(static_cast<double>(value) / 1e9, 1); }
double thousands(std::uint64_t value) { return static_cast<double>(value) / 1000; }

/// Of what was asked, in per cent.
double asked_share(const StoryRow& row, double questions) {
  return row.asked == 0 ? 0 : 100 * questions / static_cast<double>(row.asked);
}

std::string ends_chart(const StoryRow& chain, const StoryRow& troupe) {
  BarChart chart{"What became of the questions", "", {chain_name, troupe_name}, {"of all questions, %", 0, 100}, {}, true};
  const auto add = [&](const char* name, const char* color, const auto& questions) {
    chart.series.push_back({name, color, {asked_share(chain, questions(chain)), asked_share(troupe, questions(troupe))}});
  };
  const auto right = [](const StoryRow& row) { return row.right * static_cast<double>(row.asked); };
  add("right", "#009e73", right);
  add("wrong", "#f0e442", [&](const StoryRow& row) { return static_cast<double>(row.answered) - right(row); });
  add("out of memory", "#d55e00", [](const StoryRow& row) { return static_cast<double>(row.out_of_memory); });
  add("refused", "#666666", [](const StoryRow& row) { return static_cast<double>(row.refused); });
  return svg_of(chart);
}

std::string tokens_chart(const StoryRow& chain, const StoryRow& troupe) {
  const auto all = [](const StoryRow& row) { return thousands(row.work.computed_tokens + row.work.reused_tokens); };
  const double most = std::max({all(chain), all(troupe), 1e-3});
  BarChart chart{"Tokens of prompts and answers", "", {chain_name, troupe_name}, {"thousand tokens", 0, 1.1 * most}, {}, true};
  chart.series.push_back(
      {"computed", "#0072b2", {thousands(chain.work.computed_tokens), thousands(troupe.work.computed_tokens)}});
  chart.series.push_back({"reused", "#9ad0f0", {thousands(chain.work.reused_tokens), thousands(troupe.work.reused_tokens)}});
  return svg_of(chart);
}

std::string latencies_chart(const StoryRow& chain, const StoryRow& troupe) {
  return latency_chart(std::array<Latencies, 2>{{{chain_name, chain_color, chain.latencies_ms, chain.asked},
                                                 {troupe_name, troupe_color, troupe.latencies_ms, troupe.asked}}});
}

constexpr std::string_view explanation =
    "<p>As teams do it: heavy alone, which reads the whole conversation with overlapping passages at every turn, reuses "
    "nothing, "
    "admits everything at once and samples. Troupe: a node with the default policy. Both have the same questions, threads and "
    "memory. Reported: what was measured of a pipeline before and after it was mended so. Latency is at the client, from "
    "asking "
    "to the end, of what was answered; a curve that ends below 1 left questions without an answer. An answer is right if it "
    "says all that the set asks for, whatever it cites; the same in every run, if its text is. Reused tokens were found in a "
    "prefix cache. Cost: active parameters times tokens computed, of every model.</p>\n";

}  // namespace

std::string sentence_of(const StorySetting& setting) {
  return std::to_string(setting.questions_count) + " questions of " + setting.questions + " in " +
         std::to_string(setting.conversations) + " conversations of " + std::to_string(setting.turns) + " turns, " +
         std::to_string(setting.clients) + " at a time, " + std::to_string(setting.runs) +
         (setting.runs == 1 ? " run; " : " runs; ") + std::to_string(setting.memory_mebibytes) +
         " MiB for weights, activations and KV blocks; " + setting.machine;
}

TextTable story_table(const StoryRow& chain, const StoryRow& troupe) {
  const StoryComparison compared = compare(chain, troupe);
  return {
      {"", chain_name, troupe_name, "factor", "reported", "mark"},
      {"mean latency, ms", number(chain.mean_ms, 0), number(troupe.mean_ms, 0), factor(chain.mean_ms, troupe.mean_ms),
       "1.8 to 0.42 s", "factor " + number(StoryComparison::latency_mark, 1) + ": " + met(compared.fast)},
      {"median", number(chain.p50_ms, 0), number(troupe.p50_ms, 0), factor(chain.p50_ms, troupe.p50_ms), "", ""},
      {"95th percentile", number(chain.p95_ms, 0), number(troupe.p95_ms, 0), factor(chain.p95_ms, troupe.p95_ms), "", ""},
      {"out of memory", count(chain.out_of_memory), count(troupe.out_of_memory), "", "6 to 0 an hour",
       "0: " + met(compared.whole)},
      {"refused", count(chain.refused), count(troupe.refused), "", "", ""},
      {"same answer in every run, %", percent(chain.consistency), percent(troupe.consistency), "", "86 to 93 %",
       troupe.consistency ? "100: " + met(compared.consistent) : "100: not measured, which takes two runs"},
      {"right answers, %", percent(chain.right), percent(troupe.right), "", "", ""},
      {"tokens computed", count(chain.work.computed_tokens), count(troupe.work.computed_tokens),
       factor(chain.work.computed_tokens, troupe.work.computed_tokens), "", ""},
      {"tokens reused", count(chain.work.reused_tokens), count(troupe.work.reused_tokens), "", "", ""},
      {"cost, 10^9", billions(chain.work.cost), billions(troupe.work.cost), factor(chain.work.cost, troupe.work.cost), "", ""},
      {"prompts cut to the window", count(chain.cut), count(troupe.cut), "", "", ""}};
}

std::string verdict_of(const StoryComparison& comparison) {
  return comparison.holds() ? "all marks are met" : "not all marks are met; docs/evaluation.md says what to think of that";
}

std::string page_of(const StorySetting& setting, const StoryRow& chain, const StoryRow& troupe) {
  std::string page = page_head("Conversations as teams chain them, and by a troupe");
  page += "<p>" + escaped(sentence_of(setting)) + ". As teams do it, answers are drawn at temperature " +
          number(setting.temperature, 2) + " with seed " + std::to_string(setting.seed) +
          ", and earlier turns stand in a prompt " + (setting.forget_passages ? "without" : "with") + " their passages.</p>\n";
  page += table_of(story_table(chain, troupe));
  page += "<p>In short: " + verdict_of(compare(chain, troupe)) + ".</p>\n" + std::string(explanation);
  page += latencies_chart(chain, troupe) + tokens_chart(chain, troupe) + ends_chart(chain, troupe);
  return page + std::string(page_end);
}

}  // namespace troupe::bench
