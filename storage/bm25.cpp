#include "storage/bm25.hpp"

#include <algorithm>
#include <unordered_set>

#include "kernels/math.hpp"

namespace troupe::storage {

std::vector<std::string> terms(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto finish = [&] {
    if (word.size() > 3 && word.back() == 's') word.pop_back();
    if (!word.empty()) words.push_back(word);
    word.clear();
  };
  for (const char c : text) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      word += c;
    } else if (c >= 'A' && c <= 'Z') {
      word += static_cast<char>(c - 'A' + 'a');
    } else {
      finish();
    }
  }
  finish();
  return words;
}

Bm25::Bm25(std::span<const Section> sections) : sections_(sections.size()) {
  std::vector<double> lengths;
  double total = 0;
  for (const Section& section : sections) {
    const auto place = static_cast<std::uint32_t>(lengths.size());
    const auto words = terms(section.name + " " + section.text);
    for (const std::string& word : words) {
      auto& postings = terms_[word].postings;
      if (postings.empty() || postings.back().section != place) postings.push_back({place, 0});
      ++postings.back().weight;  // how often, for now
    }
    lengths.push_back(static_cast<double>(words.size()));
    total += lengths.back();
  }
  const auto count = static_cast<double>(sections_);
  const double mean = total / count;  // of no sections it is read by no term
  for (auto& [word, term] : terms_) {
    for (Posting& posting : term.postings) {
      const double length = lengths[posting.section] / mean;
      posting.weight = posting.weight * 2.2 / (posting.weight + 1.2 * (0.25 + 0.75 * length));
    }
    const auto having = static_cast<double>(term.postings.size());
    term.rarity = static_cast<double>(kernels::log(static_cast<float>(1 + (count - having + 0.5) / (having + 0.5))));
  }
}

std::vector<Bm25::Hit> Bm25::search(std::string_view query, std::size_t limit) const {
  std::vector<double> scores(sections_, 0);
  std::unordered_set<std::string> done;
  for (const std::string& word : terms(query)) {
    const auto found = terms_.find(word);
    if (found == terms_.end() || !done.insert(word).second) continue;
    for (const Posting& posting : found->second.postings) scores[posting.section] += found->second.rarity * posting.weight;
  }
  std::vector<Hit> hits;  // every rarity and weight is above 0, and so is the score of what shares a term
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] > 0) hits.push_back({i, scores[i]});
  }
  const auto kept = hits.begin() + static_cast<std::ptrdiff_t>(std::min(limit, hits.size()));
  std::partial_sort(hits.begin(), kept, hits.end(),
                    [](const Hit& a, const Hit& b) { return a.score != b.score ? a.score > b.score : a.section < b.section; });
  hits.erase(kept, hits.end());
  return hits;
}

}  // namespace troupe::storage
