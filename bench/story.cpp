#include "bench/story.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

#include "base/check.hpp"
#include "base/random.hpp"
#include "bench/evaluation.hpp"
#include "bench/statistics.hpp"

namespace troupe::bench {

namespace {

using End = StoryAnswer::End;

/// A document's part of a section's key; nothing for a question that no section answers.
std::string document_of(const Question& question) {
  if (question.sections.empty()) return {};
  return question.sections.front().substr(0, question.sections.front().find('#'));
}

bool same_every_time(std::span<const StoryRun> runs, std::size_t question) {
  return std::ranges::all_of(
      runs, [&](const StoryRun& run) { return run.answers[question].text == runs.front().answers[question].text; });
}

bool answered_every_time(std::span<const StoryRun> runs, std::size_t question) {
  return std::ranges::all_of(runs, [&](const StoryRun& run) { return run.answers[question].end == End::answered; });
}

std::optional<double> consistency_of(std::span<const StoryRun> runs, std::size_t questions) {
  std::size_t answered = 0;
  std::size_t same = 0;
  for (std::size_t i = 0; i < questions; ++i) {
    if (!answered_every_time(runs, i)) continue;
    ++answered;
    if (same_every_time(runs, i)) ++same;
  }
  if (answered == 0 || runs.size() < 2) return std::nullopt;
  return static_cast<double>(same) / static_cast<double>(answered);
}

}  // namespace

StoryLoad story_load(const QuestionSet& set, std::size_t turns, std::uint64_t seed) {
  TROUPE_CHECK(turns > 0, "a conversation has at least a turn");
  std::vector<std::size_t> places(set.questions.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  Random random(seed);
  for (std::size_t i = places.size(); i > 1; --i) std::swap(places[i - 1], places[random.below(i)]);
  std::ranges::stable_sort(places, {}, [&](std::size_t place) { return document_of(set.questions[place]); });
  StoryLoad load;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (i % turns == 0) load.emplace_back();
    load.back().push_back(places[i]);
  }
  // Who asks about what comes in no order.
  for (std::size_t i = load.size(); i > 1; --i) std::swap(load[i - 1], load[random.below(i)]);
  return load;
}

StoryWork& StoryWork::operator+=(const StoryWork& other) {
  computed_tokens += other.computed_tokens;
  reused_tokens += other.reused_tokens;
  cost += other.cost;
  return *this;
}

StoryRow sum_up(const std::string& name, const QuestionSet& set, const Abstentions& abstentions,
                std::span<const StoryRun> runs) {
  StoryRow row;
  row.name = name;
  std::vector<double>& latencies = row.latencies_ms;
  std::size_t right = 0;
  for (const StoryRun& run : runs) {
    TROUPE_CHECK(run.answers.size() == set.questions.size(), "a run has an answer for each question");
    for (std::size_t i = 0; i < run.answers.size(); ++i) {
      const StoryAnswer& answer = run.answers[i];
      ++row.asked;
      row.cut += answer.cut ? 1 : 0;
      row.out_of_memory += answer.end == End::out_of_memory ? 1 : 0;
      row.refused += answer.end == End::refused ? 1 : 0;
      if (answer.end != End::answered) continue;
      ++row.answered;
      latencies.push_back(std::chrono::duration<double, std::milli>(answer.latency).count());
      right += says_the_values(set.questions[i], abstentions, answer.text) ? 1 : 0;
    }
    row.work += run.work;
    row.seconds += std::chrono::duration<double>(run.elapsed).count();
  }
  row.consistency = consistency_of(runs, set.questions.size());
  if (row.asked > 0) row.right = static_cast<double>(right) / static_cast<double>(row.asked);
  if (row.seconds > 0) row.out_of_memory_hour = static_cast<double>(row.out_of_memory) * 3600 / row.seconds;
  if (latencies.empty()) return row;
  std::ranges::sort(latencies);
  row.mean_ms = std::accumulate(latencies.begin(), latencies.end(), 0.0) / static_cast<double>(latencies.size());
  row.p50_ms = nearest_rank(latencies, 0.5);
  row.p95_ms = nearest_rank(latencies, 0.95);
  return row;
}

StoryComparison compare(const StoryRow& chain, const StoryRow& troupe) {
  StoryComparison comparison;
  if (troupe.mean_ms > 0) comparison.latency_factor = chain.mean_ms / troupe.mean_ms;
  comparison.fast = comparison.latency_factor >= StoryComparison::latency_mark;
  comparison.whole = troupe.asked > 0 && troupe.answered == troupe.asked;
  comparison.consistent = troupe.consistency == 1.0;
  return comparison;
}

}  // namespace troupe::bench
