// How well a model names what utterances are: a row of the table that `troupe eval` prints of a set of intents. Plain values;
// who asks the model is intent_run.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "bench/intent_set.hpp"
#include "bench/statistics.hpp"
#include "policy/intent.hpp"

namespace troupe::bench {

/// What a model said to a row.
struct IntentReply {
  std::string said;                      ///< without white space at its ends
  double confidence = 0;                 ///< the product of its tokens' probabilities, in [0, 1]
  std::uint64_t computed_tokens = 0;     ///< of prompt and reply; what was reused of a prefix is not computed
  std::optional<Duration> latency = {};  ///< none if it was asked among others
};

struct LabelScore {
  std::size_t rows = 0;                        ///< that should have it
  std::size_t said = 0;                        ///< that were given it
  std::size_t right = 0;                       ///< both
  std::map<std::string, std::size_t> instead;  ///< what the others of `rows` were given
};

/// What comes of taking everything for out of scope that is said less surely than this.
struct IntentCut {
  double confidence_min = 0;
  std::optional<double> accuracy_in_scope;
  std::optional<double> out_of_scope_recall;
  std::optional<double> out_of_scope_precision;
};

/// What a policy makes of the replies, by its thresholds.
struct IntentByPolicy {
  double accuracy = 0;               ///< of what is taken for a label
  std::size_t unknown = 0;           ///< rows that are taken for none
  std::optional<double> refused;     ///< of rows that are out of scope, those that are answered so
  std::size_t refused_in_scope = 0;  ///< rows that are not, and answered so all the same
};

/// Shares are in [0, 1]; nothing where there is nothing to divide by.
struct IntentScores {
  std::string tier;
  std::size_t rows = 0;
  double accuracy = 0;
  std::optional<double> accuracy_in_scope;
  std::optional<double> out_of_scope_recall;     ///< of rows that are out of scope, those that were said to be
  std::optional<double> out_of_scope_precision;  ///< of rows that were said to be, those that are
  /// How well confidence tells one in scope from one out of scope: the probability that it ranks two of them rightly.
  std::optional<double> out_of_scope_auroc;
  std::size_t no_label = 0;  ///< replies that are no label of the set
  double calibration_error = 0;
  Reliability reliability;
  std::vector<IntentCut> cuts;
  std::optional<IntentByPolicy> by_policy;
  std::uint64_t cost = 0;  ///< active parameters x computed tokens
  double p50_ms = 0;       ///< of the rows that were asked alone, the nearest rank
  double p95_ms = 0;
  std::vector<double> latencies_ms;  ///< ascending
  std::map<std::string, LabelScore> labels;
};

/// What is out of scope in a set: what the policy says, if its prompt is the set's; else the label of that name.
struct IntentJudge {
  const policy::Intent* intent = nullptr;  ///< null: the set is about other labels than the policy's
  /// Whether a reply of this text is a label at all; with another set's labels nobody knows.
  bool knows(const std::string& label) const;
  bool out_of_scope(const std::string& label) const;
};
/// The policy's own, or none if its prompt is not the set's. `not_found` if it is, and the set has a label that it has not.
Result<IntentJudge> judge_of(const IntentSet& set, const policy::Intent& intent, const std::string& file);

/// `replies`: one for each row of the set.
IntentScores sum_up(const std::string& tier, const IntentSet& set, std::span<const IntentReply> replies,
                    const IntentJudge& judge, std::uint64_t active_parameters);

}  // namespace troupe::bench
