// Keyword search over documents: BM25 (Robertson, Walker, Jones, Hancock-Beaulieu, Gatford: "Okapi at TREC-3", 1994) with
// k1 = 1.2 and b = 0.75, as portfolio/training/retrieve.py computes it. With tf occurrences of a term in a document, df
// documents that have it, n documents of mean length m, a document of length l scores for each distinct term of the query
//
//   ln(1 + (n - df + 0.5) / (df + 0.5)) * 2.2 tf / (tf + 1.2 (0.25 + 0.75 l / m))
//
// The logarithm is kernels::log in float, the rest double; the sum is over the query's terms in the order in which they first
// stand in it, and of equal documents the earlier one comes first. So every machine finds the same in the same order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "storage/corpus.hpp"

namespace troupe::storage {

/// Immutable: any number of threads may search it at once.
class Bm25 {
 public:
  struct Hit {
    std::size_t section = 0;  ///< its place among the documents
    double score = 0;
    friend bool operator==(const Hit&, const Hit&) = default;
  };

  /// Each document as its terms, of whatever kind.
  explicit Bm25(std::span<const std::vector<std::string>> documents);
  /// Names, headings and texts of sections, by policy::terms.
  explicit Bm25(std::span<const Section> sections);

  /// At most `limit` sections that share a term (of policy::terms) with the query, the best first.
  std::vector<Hit> search(std::string_view query, std::size_t limit) const;

  std::size_t size() const { return size_; }
  /// The logarithm of the formula; that of a term that no document has for one that none has.
  double rarity(const std::string& term) const;
  bool has(const std::string& term) const { return terms_.contains(term); }
  /// Adds each document's score for the distinct ones of `query` to its place in `scores`, which has `size()` places.
  void add_scores(std::span<const std::string> query, std::span<double> scores) const;

 private:
  struct Posting {
    std::uint32_t section = 0;
    double weight = 0;
  };
  struct Term {
    std::vector<Posting> postings;  // ascending by section
    double rarity = 0;
  };

  std::unordered_map<std::string, Term> terms_;
  std::size_t size_ = 0;
};

/// At most `limit` places with a score above 0, the best first, of equal ones the earlier first.
std::vector<Bm25::Hit> best_of(std::span<const double> scores, std::size_t limit);

}  // namespace troupe::storage
