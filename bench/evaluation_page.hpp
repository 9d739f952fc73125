// An evaluation as a page of its own: a table, and diagrams of reliability, of accuracy against cost, and of latency.
#pragma once

#include <span>
#include <string>

#include "bench/evaluation.hpp"

namespace troupe::bench {

/// How the answers were had, for a person.
struct EvaluationSetting {
  std::string questions;  ///< the file
  std::string corpus;     ///< "13 documents in portfolio/handbook", "sources that the questions bring along"
  std::string policy;     ///< "default", or its file
  std::string machine;    ///< what computed: "cpu, avx2, 2 threads"
};

/// One HTML document in UTF-8 that needs nothing from elsewhere.
std::string page_of(const EvaluationSetting& setting, std::span<const EvaluationRow> rows);

/// The comparison as a sentence: "the portfolio is 0.9 points below heavy alone at 0.74 of its cost: ..."
std::string sentence_of(const Comparison& comparison);

}  // namespace troupe::bench
