// What an answer needs from a corpus. Three things stand between a keyword search and that, and are done here:
//
// - Questions are full of words that say nothing of what they ask for, and in a small corpus such a word can be as rare as any.
//   Only content words are searched; if several questions come as one, each has its own best sections among the first.
// - The answer may stand in a section that the question has no word of: "How long are payroll records kept?" leads to "payroll
//   records are class D files", and only from there to "class D files: 5 years". A second search looks for what the sentence
//   says that the first search found, in all words and pairs of words that the question does not have, and prefers sections of
//   the same document, where a reference most likely leads.
// - Versions of a document repeat each other. Of sections that say the same, one is found (policy/duplicates.hpp).
//
// Which section follows on which is decided by their places in the two searches, not by scores, which cannot be compared. All
// constants were chosen on handbooks of portfolio/training/handbook.py that are made with other seeds than the bundled one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "policy/retrieval.hpp"
#include "storage/bm25.hpp"
#include "storage/corpus.hpp"

namespace troupe::storage {

/// A section that was found, and how.
struct FoundSection {
  std::size_t section = 0;         ///< its place in the corpus
  std::optional<std::size_t> via;  ///< found by the second search, from this section
  friend bool operator==(const FoundSection&, const FoundSection&) = default;
};

struct Retrieved {
  std::vector<FoundSection> sections;  ///< the most needed first, each once
  policy::RetrievalEvidence evidence;  ///< of how likely these are all that an answer needs
};

/// An index over sections, which it borrows: they must outlive it and stay as they are. Any number of threads may search it.
class Retrieval {
 public:
  explicit Retrieval(std::span<const Section> sections);

  /// At most `limit` sections for a question; none if it shares no word with any.
  Retrieved search(std::string_view question, std::size_t limit) const;

 private:
  struct Query;
  struct Follow {
    std::size_t section = 0;
    std::size_t via = 0;
  };
  std::vector<std::size_t> first_search(const Query& query) const;
  std::vector<Follow> second_search(const Query& query, std::span<const std::size_t> first, double& bridge) const;
  policy::RetrievalEvidence evidence_of(const Query& query, std::span<const FoundSection> found, double bridge) const;

  std::span<const Section> sections_;
  Bm25 words_;
  Bm25 pairs_;
};

}  // namespace troupe::storage
