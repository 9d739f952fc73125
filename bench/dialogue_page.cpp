#include "bench/dialogue_page.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <vector>

#include "bench/bar_chart.hpp"
#include "bench/escaped.hpp"

namespace troupe::bench {

namespace {

struct Method {
  const char* name;
  const char* color;
};
constexpr std::array<Method, 4> methods = {
    {{with_summaries, "#0b3d91"}, {with_pins, "#56b4e9"}, {with_everything, "#e69f00"}, {with_truncation, "#d55e00"}}};

/// After how many exchanges something was asked, in the order of the rows.
std::vector<std::size_t> exchanges_of(std::span<const DialogueRow> rows) {
  std::vector<std::size_t> found;
  for (const DialogueRow& row : rows)
    if (std::ranges::find(found, row.exchanges) == found.end()) found.push_back(row.exchanges);
  return found;
}

using Measure = std::function<std::optional<double>(const DialogueRow&)>;

/// A group for each number of exchanges, and in it a bar for each method that was asked then.
std::string bars_of(std::span<const DialogueRow> rows, const std::string& title, const ChartAxis& y, const Measure& measure) {
  BarChart chart{title, "exchanges before the question", {}, y, {}, false};
  const std::vector<std::size_t> exchanges = exchanges_of(rows);
  for (const std::size_t count : exchanges) chart.groups.push_back(name_of_exchanges(count));
  for (const Method& method : methods) {
    BarSeries series{method.name, method.color, {}};
    for (const std::size_t count : exchanges) {
      const auto row = std::ranges::find_if(
          rows, [&](const DialogueRow& each) { return each.exchanges == count && each.method == method.name; });
      series.values.push_back(row == rows.end() ? std::nullopt : measure(*row));
    }
    if (std::ranges::any_of(series.values, [](const auto& value) { return value.has_value(); }))
      chart.series.push_back(std::move(series));
  }
  return svg_of(chart);
}

std::optional<double> in_percent(std::optional<double> share) {
  return share ? std::optional<double>(100 * *share) : std::nullopt;
}

std::string charts_of(std::span<const DialogueRow> rows) {
  double tokens = 1;
  for (const DialogueRow& row : rows) tokens = std::max(tokens, row.prompt_tokens);
  const ChartAxis recalled{"recalled, %", 0, 100};
  return bars_of(rows, "Recall", recalled, [](const DialogueRow& row) { return in_percent(row.recall); }) +
         bars_of(rows, "Recall of early facts", recalled, [](const DialogueRow& row) { return in_percent(row.early_recall); }) +
         bars_of(rows, "Tokens of a prompt", {"mean of the prompts", 0, 1.1 * tokens},
                 [](const DialogueRow& row) { return std::optional<double>(row.prompt_tokens); });
}

constexpr std::string_view explanation =
    "<p>Each conversation was held again with the answers that the file has, and then a probe was asked: what was said in it? "
    "Summaries: the prompt has what a node gives it by the policy, that is pins, the summary, what is recalled of it, and the "
    "newest turns. Pinned: the same, with the fact pinned when it was said, and only probes about facts that can be pinned; "
    "verbatim: the share of these prompts that have the pin word for word. Everything: all turns, as far as the model's window "
    "holds them; all turns: the share of prompts that left none out. Truncated: the newest turns, in about as many tokens "
    "as summaries took. An answer recalls a fact if it has all its values; a fact is early if it was last said in the first "
    "third of the exchanges. After &ldquo;all&rdquo; exchanges, each conversation was asked at its own end.</p>\n";

}  // namespace

std::string name_of_exchanges(std::size_t exchanges) { return exchanges > 0 ? std::to_string(exchanges) : "all"; }

TextTable dialogue_table(std::span<const DialogueRow> rows) {
  TextTable lines = {{"exchanges", "the prompt has", "recalled %", "of early facts %", "tokens", "at most", "probes",
                      "all turns %", "verbatim %"}};
  for (const DialogueRow& row : rows) {
    lines.push_back({name_of_exchanges(row.exchanges), row.method, percent(row.recall), percent(row.early_recall),
                     number(row.prompt_tokens, 0), std::to_string(row.prompt_tokens_max), std::to_string(row.probes),
                     percent(row.whole), percent(row.verbatim)});
  }
  return lines;
}

std::string page_of(const DialogueSetting& setting, std::span<const DialogueRow> rows) {
  std::string page = page_head("What conversations recall");
  page += "<p>" + std::to_string(setting.conversations) +
          (setting.conversations == 1 ? " conversation of " : " conversations of ") + escaped(setting.dialogues) + "; " +
          escaped(setting.tier) + " answers, " + escaped(setting.summarizer) +
          " summarises; policy: " + escaped(setting.policy) + "; computed by: " + escaped(setting.machine) + ".</p>\n";
  page += table_of(dialogue_table(rows));
  if (const auto comparison = compare(rows)) page += "<p>In short: " + escaped(sentence_of(*comparison)) + ".</p>\n";
  return page + std::string(explanation) + charts_of(rows) + std::string(page_end);
}

}  // namespace troupe::bench
