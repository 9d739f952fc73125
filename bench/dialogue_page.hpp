// What conversations recall as a table, and as a page of its own: how much is recalled and from how many tokens, after so many
// exchanges, by what a prompt has of them.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "bench/dialogue_evaluation.hpp"
#include "bench/page_parts.hpp"

namespace troupe::bench {

/// How the answers were had, for a person.
struct DialogueSetting {
  std::string dialogues;  ///< the file
  std::size_t conversations = 0;
  std::string tier;        ///< that answered
  std::string summarizer;  ///< the tier that wrote the summaries
  std::string policy;      ///< "default", or its file
  std::string machine;     ///< what computed: "cpu, avx2, 2 threads"
};

/// "30", or "all" for 0.
std::string name_of_exchanges(std::size_t exchanges);

/// A line for each row.
TextTable dialogue_table(std::span<const DialogueRow> rows);

/// One HTML document in UTF-8 that needs nothing from elsewhere.
std::string page_of(const DialogueSetting& setting, std::span<const DialogueRow> rows);

}  // namespace troupe::bench
