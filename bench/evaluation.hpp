// What answers to a question set came to: for one tier alone or the whole portfolio, a row of the table that `troupe eval`
// prints. Plain values; who asks and reads the clock is cli/eval.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "bench/statistics.hpp"
#include "bench/verdict.hpp"
#include "policy/cluster_view.hpp"
#include "policy/routing.hpp"

namespace troupe::bench {

/// Tokens that models ran over, and what each costs.
struct TierWork {
  std::uint64_t computed_tokens = 0;  ///< of prompts and answers; what was reused of a prefix is not computed
  std::uint64_t cost = 0;             ///< active parameters x computed tokens
  friend bool operator==(const TierWork&, const TierWork&) = default;
};
using Work = policy::PerTier<TierWork>;
std::uint64_t cost_of(const Work& work);

/// Of all engines of the cluster since they started: answers, failed attempts, and what is done on the way to an answer.
Work work_of(const policy::ClusterView& view);
/// Of a turn's attempts alone, superseded ones too.
Work work_of(const policy::Turn& turn);
/// What was done from `before` to `after`.
Work difference(const Work& after, const Work& before);

/// One question, asked and judged.
struct JudgedAnswer {
  std::string id;
  std::string difficulty;
  bool answerable = true;
  std::size_t sections = 0;  ///< that a right answer cites
  Verdict verdict;
  policy::Tier tier = policy::Tier::mini;  ///< that answered; only if answered, and with an attempt
  std::size_t attempts = 0;
  double confidence = 0;   ///< in [0, 1]; 0 if not answered
  bool confident = false;  ///< reached what the policy asks
  Duration latency{};      ///< at the client, from asking to the turn's end
  Work work;               ///< of its attempts
  std::string answer;
  std::string error;  ///< only if not answered
};
/// `turn` as `troupe explain` reads it.
JudgedAnswer judged(const Question& question, const Abstentions& abstentions, const policy::Turn& turn, Duration latency);

/// Shares are in [0, 1]; nothing where there is nothing to divide by.
struct EvaluationRow {
  std::string tier;  ///< "mini", "medium", "heavy" alone, or "portfolio"
  std::size_t questions = 0;
  std::size_t answered = 0;
  std::string first_error;                     ///< why the first of the others was not
  double accuracy = 0;                         ///< right of all questions
  double value_accuracy = 0;                   ///< by the weaker measure, Verdict::values
  std::optional<double> abstention_recall;     ///< of questions without an answer, those where it was said so
  std::optional<double> abstention_precision;  ///< of answers that said so, those where it was so
  std::optional<double> citation_precision;    ///< of all citations, those of sections that the answer needs
  std::optional<double> citation_recall;       ///< of all sections that answers need, those that were cited
  std::optional<double> found;                 ///< of answerable questions, those that had all sections in the prompt
  double confident = 0;                        ///< of all questions, those answered as surely as the policy asks
  std::optional<double> confident_accuracy;    ///< right of these
  double calibration_error = 0;  ///< expected, over `reliability_bins` bins of equal width: the mean distance of the two means
  Reliability reliability;
  double p50_ms = 0;  ///< of latency, the nearest rank
  double p95_ms = 0;
  std::uint64_t cost = 0;          ///< of everything that was computed meanwhile
  std::uint64_t answers_cost = 0;  ///< of this, of attempts at answers
  Work work;
  std::size_t escalated = 0;                   ///< questions with more than one attempt
  std::size_t out_of_scope = 0;                ///< questions that the policy answered as such, with none
  policy::PerTier<std::size_t> answered_by{};  ///< questions
  std::map<std::string, double> difficulties;  ///< accuracy of each
  std::vector<double> latencies_ms;            ///< ascending
};

/// `work`: of all engines while these were asked.
EvaluationRow sum_up(const std::string& tier, std::span<const JudgedAnswer> answers, const Work& work);

/// The portfolio against heavy alone.
struct Comparison {
  static constexpr double points_mark = 2;
  static constexpr double cost_mark = 0.8;
  double points = 0;      ///< percentage points of accuracy below heavy; negative: above
  double cost_share = 0;  ///< of heavy's cost
  bool holds() const { return points <= points_mark && cost_share <= cost_mark; }
};
/// Nothing if one of the two was not asked.
std::optional<Comparison> compare(std::span<const EvaluationRow> rows);

}  // namespace troupe::bench
