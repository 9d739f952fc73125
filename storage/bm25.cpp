#include "storage/bm25.hpp"

#include <algorithm>
#include <unordered_set>

#include "base/check.hpp"
#include "kernels/math.hpp"
#include "policy/terms.hpp"

namespace troupe::storage {

namespace {

std::vector<std::vector<std::string>> words_of(std::span<const Section> sections) {
  std::vector<std::vector<std::string>> documents;
  documents.reserve(sections.size());
  for (const Section& section : sections) {
    documents.push_back(policy::terms(section.name + " " + section.heading + " " + section.text));
  }
  return documents;
}

double rarity_of(double count, double having) {
  return static_cast<double>(kernels::log(static_cast<float>(1 + (count - having + 0.5) / (having + 0.5))));
}

}  // namespace

Bm25::Bm25(std::span<const std::vector<std::string>> documents) : size_(documents.size()) {
  double total = 0;
  for (std::size_t place = 0; place < documents.size(); ++place) {
    for (const std::string& word : documents[place]) {
      auto& postings = terms_[word].postings;
      if (postings.empty() || postings.back().section != place) postings.push_back({static_cast<std::uint32_t>(place), 0});
      ++postings.back().weight;  // how often, for now
    }
    total += static_cast<double>(documents[place].size());
  }
  const auto count = static_cast<double>(size_);
  const double mean = total / count;  // of no documents it is read by no term
  for (auto& [word, term] : terms_) {
    for (Posting& posting : term.postings) {
      const double length = static_cast<double>(documents[posting.section].size()) / mean;
      posting.weight = posting.weight * 2.2 / (posting.weight + 1.2 * (0.25 + 0.75 * length));
    }
    term.rarity = rarity_of(count, static_cast<double>(term.postings.size()));
  }
}

Bm25::Bm25(std::span<const Section> sections) : Bm25(words_of(sections)) {}

double Bm25::rarity(const std::string& term) const {
  const auto found = terms_.find(term);
  return found == terms_.end() ? rarity_of(static_cast<double>(size_), 0) : found->second.rarity;
}

void Bm25::add_scores(std::span<const std::string> query, std::span<double> scores) const {
  TROUPE_CHECK(scores.size() == size_, "every document has a place for its score");
  std::unordered_set<std::string_view> done;
  for (const std::string& word : query) {
    const auto found = terms_.find(word);
    if (found == terms_.end() || !done.insert(word).second) continue;
    for (const Posting& posting : found->second.postings) scores[posting.section] += found->second.rarity * posting.weight;
  }
}

std::vector<Bm25::Hit> Bm25::search(std::string_view query, std::size_t limit) const {
  std::vector<double> scores(size_, 0);
  add_scores(policy::terms(query), scores);
  return best_of(scores, limit);  // every rarity and weight is above 0, and so is the score of what shares a term
}

std::vector<Bm25::Hit> best_of(std::span<const double> scores, std::size_t limit) {
  std::vector<Bm25::Hit> hits;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] > 0) hits.push_back({i, scores[i]});
  }
  const auto kept = hits.begin() + static_cast<std::ptrdiff_t>(std::min(limit, hits.size()));
  std::partial_sort(hits.begin(), kept, hits.end(), [](const Bm25::Hit& a, const Bm25::Hit& b) {
    return a.score != b.score ? a.score > b.score : a.section < b.section;
  });
  hits.erase(kept, hits.end());
  return hits;
}

}  // namespace troupe::storage
