#include "bench/dialogue_evaluation.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace troupe::bench {

DialogueRow sum_up(const std::string& method, std::size_t exchanges, std::span<const JudgedProbe> probes) {
  const auto count = [&](auto is_so) { return static_cast<std::size_t>(std::ranges::count_if(probes, is_so)); };
  const auto share = [](std::size_t part, std::size_t whole) { return static_cast<double>(part) / static_cast<double>(whole); };
  DialogueRow row;
  row.method = method;
  row.exchanges = exchanges;
  row.probes = probes.size();
  if (probes.empty()) return row;
  row.recall = share(count([](const auto& probe) { return probe.recalled; }), row.probes);
  row.whole = share(count([](const auto& probe) { return probe.whole; }), row.probes);
  row.early_probes = count([](const auto& probe) { return probe.early; });
  if (row.early_probes > 0) {
    row.early_recall = share(count([](const auto& probe) { return probe.early && probe.recalled; }), row.early_probes);
  }
  if (const std::size_t pinned = count([](const auto& probe) { return probe.pinned; }); pinned > 0) {
    row.verbatim = share(count([](const auto& probe) { return probe.pinned && probe.verbatim; }), pinned);
  }
  double tokens = 0;
  for (const JudgedProbe& probe : probes) {
    tokens += static_cast<double>(probe.prompt_tokens);
    row.prompt_tokens_max = std::max(row.prompt_tokens_max, probe.prompt_tokens);
  }
  row.prompt_tokens = tokens / static_cast<double>(row.probes);
  return row;
}

std::optional<DialogueComparison> compare(std::span<const DialogueRow> rows) {
  const auto row_of = [&](const char* method) {
    return std::ranges::find_if(rows, [&](const DialogueRow& row) {
      return row.method == method && row.exchanges == DialogueComparison::exchanges && row.probes > 0;
    });
  };
  const auto summaries = row_of(with_summaries);
  const auto everything = row_of(with_everything);
  if (summaries == rows.end() || everything == rows.end()) return std::nullopt;
  return DialogueComparison{100 * (everything->recall - summaries->recall),
                            summaries->prompt_tokens / everything->prompt_tokens};
}

std::string sentence_of(const DialogueComparison& comparison) {
  std::array<char, 256> text{};
  std::snprintf(
      text.data(), text.size(),
      "after %zu exchanges, summaries recall %.1f points %s than everything, with %.2f of its tokens (the mark: at most "
      "%.0f less, with at most %.2f): %s",
      DialogueComparison::exchanges, comparison.points < 0 ? -comparison.points : comparison.points,
      comparison.points < 0 ? "more" : "less", comparison.tokens_share, DialogueComparison::points_mark,
      DialogueComparison::tokens_mark, comparison.holds() ? "it holds" : "it is missed");
  return text.data();
}

}  // namespace troupe::bench
