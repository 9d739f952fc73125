// Keyword search over sections: BM25 (Robertson, Walker, Jones, Hancock-Beaulieu, Gatford: "Okapi at TREC-3", 1994) with
// k1 = 1.2 and b = 0.75, as portfolio/training/retrieve.py computes it. With tf occurrences of a term in a section, df sections
// that have it, n sections of mean length m, a section of length l scores for each distinct term of the query
//
//   ln(1 + (n - df + 0.5) / (df + 0.5)) * 2.2 tf / (tf + 1.2 (0.25 + 0.75 l / m))
//
// The logarithm is kernels::log in float, the rest double; the sum is over the query's terms in the order in which they first
// stand in it, and of equal sections the earlier one comes first. So every machine finds the same sections in the same order.
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

/// The words of a text: runs of ASCII letters and digits, small, a plural "s" cut from those of more than three characters.
std::vector<std::string> terms(std::string_view text);

/// An index over names and texts of sections. Immutable: any number of threads may search it at once.
class Bm25 {
 public:
  struct Hit {
    std::size_t section = 0;  ///< its place among the sections
    double score = 0;
    friend bool operator==(const Hit&, const Hit&) = default;
  };

  explicit Bm25(std::span<const Section> sections);

  /// At most `limit` sections that share a term with the query, the best first.
  std::vector<Hit> search(std::string_view query, std::size_t limit) const;

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
  std::size_t sections_ = 0;
};

}  // namespace troupe::storage
