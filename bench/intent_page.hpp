// Scores of intents as a page of its own: tables, diagrams of reliability and of what is out of scope, and which labels are
// taken for which.
#pragma once

#include <span>
#include <string>

#include "bench/intent_evaluation.hpp"

namespace troupe::bench {

/// How the replies were had, for a person.
struct IntentSetting {
  std::string rows;     ///< the file
  std::string prompt;   ///< the system message
  std::string policy;   ///< "default", or its file
  std::string machine;  ///< what computed: "cpu, avx2, 2 threads"
};

/// With more labels than this, the worst are shown instead of a table of all with all.
inline constexpr std::size_t confusion_labels_max = 12;

/// A label, and how many of its rows were named so.
struct RankedLabel {
  std::string name;
  const LabelScore* score = nullptr;
  std::string mostly;  ///< what its other rows were taken for, most of them; empty if there are none
};
/// The labels with the smallest shares of right replies first, at most `count`, and of these only such as are not all right.
std::vector<RankedLabel> worst_labels(const IntentScores& scores, std::size_t count);

/// One HTML document in UTF-8 that needs nothing from elsewhere.
std::string page_of(const IntentSetting& setting, std::span<const IntentScores> rows);

}  // namespace troupe::bench
