// The same conversations answered twice: by a pipeline as teams chain it (bench/chain.hpp), and by a troupe. The load, and what
// came of it as numbers. Plain values; who asks and reads the clock are bench/chain.cpp and cli/bench_story.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "bench/question_set.hpp"
#include "bench/verdict.hpp"

namespace troupe::bench {

/// Conversations, each as the places of its questions in the set, in the order in which they are asked.
using StoryLoad = std::vector<std::vector<std::size_t>>;

/// All questions once, `turns` to a conversation (the last may have fewer). A conversation stays with a document as long as
/// there are questions about it, as people do; which of them, and in what order, is drawn by `seed`.
StoryLoad story_load(const QuestionSet& set, std::size_t turns, std::uint64_t seed);

/// How one question was answered in one run.
struct StoryAnswer {
  enum class End : std::uint8_t { answered, out_of_memory, refused };
  End end = End::refused;
  std::string text;    ///< the answer, or what the error said
  Duration latency{};  ///< at the client, from asking to the end
  bool cut = false;    ///< the oldest of the conversation had no room in its prompt
};

/// What models did for all of it.
struct StoryWork {
  std::uint64_t computed_tokens = 0;  ///< of prompts and answers, of every model
  std::uint64_t reused_tokens = 0;    ///< of prompts, found in a prefix cache
  std::uint64_t cost = 0;             ///< active parameters x computed tokens
  StoryWork& operator+=(const StoryWork& other);
  friend bool operator==(const StoryWork&, const StoryWork&) = default;
};

/// One time through the load: an answer for each question of the set, in its order.
struct StoryRun {
  std::vector<StoryAnswer> answers;
  StoryWork work;
  Duration elapsed{};
};

struct StoryRow {
  std::string name;
  std::size_t asked = 0;  ///< questions of all runs
  std::size_t answered = 0;
  std::size_t out_of_memory = 0;
  std::size_t refused = 0;
  std::size_t cut = 0;
  double mean_ms = 0;  ///< of what was answered; and so are these
  double p50_ms = 0;   ///< the nearest rank
  double p95_ms = 0;
  std::optional<double> consistency;  ///< of questions answered in every run, those with the same text every time
  double right = 0;                   ///< of all asked, those that say what the set says, whatever they cite
  double out_of_memory_hour = 0;      ///< failures in an hour of this load
  StoryWork work;
  double seconds = 0;                ///< of all runs together
  std::vector<double> latencies_ms;  ///< of what was answered, ascending
};
/// `runs` have an answer for each question of `set`.
StoryRow sum_up(const std::string& name, const QuestionSet& set, const Abstentions& abstentions,
                std::span<const StoryRun> runs);

/// What was reported of the pipeline that the story is about, before and after it was mended.
struct StoryReport {
  static constexpr double before_seconds = 1.8;
  static constexpr double after_seconds = 0.42;
  static constexpr double before_out_of_memory_hour = 6;
  static constexpr double after_out_of_memory_hour = 0;
  static constexpr double before_consistency = 0.86;
  static constexpr double after_consistency = 0.93;
};

/// Troupe against the chain, and the marks.
struct StoryComparison {
  static constexpr double latency_mark = StoryReport::before_seconds / StoryReport::after_seconds;
  double latency_factor = 0;  ///< by which the mean is shorter
  bool fast = false;          ///< by at least the reported factor
  bool whole = false;         ///< nothing failed, nothing was refused
  bool consistent = false;    ///< every question has one answer
  bool holds() const { return fast && whole && consistent; }
};
StoryComparison compare(const StoryRow& chain, const StoryRow& troupe);

}  // namespace troupe::bench
