#include "storage/retrieval.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "policy/duplicates.hpp"
#include "policy/terms.hpp"

namespace troupe::storage {

using policy::content_terms;
using policy::is_function_word;
using policy::sentences;
using policy::term_pairs;
using policy::terms;

namespace {

constexpr std::size_t ranked_max = 20;        // of one search
constexpr std::size_t followed_max = 3;       // sections of the first search that the second goes out from
constexpr double same_document = 3;           // how much more a section of the same document counts in the second search
constexpr double followed_weight_min = 0.25;  // of what is found from a section that hardly matches; 1 from the best one

/// Which search has the next place. A model reads the first few passages best, so both searches come early.
enum class Turn { first, second };
constexpr std::array one_question = {Turn::first,  Turn::first, Turn::first,  Turn::second,
                                     Turn::second, Turn::first, Turn::second, Turn::second};
constexpr std::array several_questions = {Turn::first,  Turn::first,  Turn::first,  Turn::first,
                                          Turn::second, Turn::second, Turn::second, Turn::second};

/// FNV-1a, the same on every machine.
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash;
}

/// The pairs of each section, but those that no other section has: they lead nowhere, and are nearly all of them. Sections are
/// counted by the hashes of pairs, so that a few such pairs stay.
std::vector<std::vector<std::string>> pairs_of(std::span<const Section> sections) {
  const auto each_pair = [&](const Section& section, const auto& visit) {
    for (const std::string* text : {&section.name, &section.heading, &section.text}) {
      for (std::string& pair : term_pairs(terms(*text))) visit(std::move(pair));
    }
  };
  constexpr std::size_t counters = std::size_t{1} << 22;
  std::vector<std::uint32_t> last(counters, 0);  // the last section that has such a pair, counted from 1
  std::vector<bool> shared(counters, false);
  for (std::size_t i = 0; i < sections.size(); ++i) {
    each_pair(sections[i], [&, number = static_cast<std::uint32_t>(i + 1)](const std::string& pair) {
      const std::size_t at = hash_of(pair) % counters;
      if (last[at] != 0 && last[at] != number) shared[at] = true;
      last[at] = number;
    });
  }
  std::vector<std::vector<std::string>> documents(sections.size());
  for (std::size_t i = 0; i < sections.size(); ++i) {
    each_pair(sections[i], [&](std::string pair) {
      if (shared[hash_of(pair) % counters]) documents[i].push_back(std::move(pair));
    });
  }
  return documents;
}

/// The document that a section belongs to, by its key.
std::string_view document_of(const Section& section) { return std::string_view(section.key).substr(0, section.key.find('#')); }

/// The questions of a text: its sentences that end in "?", and a last one that ends in nothing. What else people write
/// ("Thanks.", "An audit is open.") asks for nothing.
std::vector<std::string_view> questions_of(std::string_view text) {
  std::vector<std::string_view> questions;
  const auto all = sentences(text);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const char last = all[i].back();
    if (last == '?' || (i + 1 == all.size() && last != '.' && last != '!' && last != ';')) questions.push_back(all[i]);
  }
  return questions;
}

}  // namespace

struct Retrieval::Query {
  std::vector<std::string> words;           // of content, distinct
  std::unordered_set<std::string> has;      // the same
  std::vector<std::string> pairs;           // of these, side by side, distinct
  std::vector<std::string_view> questions;  // if there are several
  std::vector<double> scores;               // of all sections for all words
  double best = 0;                          // of these
};

Retrieval::Retrieval(std::span<const Section> sections) : sections_(sections), words_(sections), pairs_(pairs_of(sections)) {}

std::vector<std::size_t> Retrieval::first_search(const Query& query) const {
  // Of several rankings, a section keeps its best place; of equal places, the better score for the whole goes first.
  std::vector<std::size_t> ranked;
  std::unordered_map<std::size_t, std::size_t> place;
  const auto add = [&](std::span<const double> scores) {
    const auto hits = best_of(scores, ranked_max);
    for (std::size_t i = 0; i < hits.size(); ++i) {
      const auto [known, added] = place.emplace(hits[i].section, i);
      if (added) ranked.push_back(hits[i].section);
      known->second = std::min(known->second, i);
    }
  };
  add(query.scores);
  for (const std::string_view question : query.questions) {
    std::vector<double> scores(sections_.size(), 0);
    words_.add_scores(content_terms(question), scores);
    add(scores);
  }
  std::sort(ranked.begin(), ranked.end(), [&](std::size_t a, std::size_t b) {
    if (place[a] != place[b]) return place[a] < place[b];
    return query.scores[a] != query.scores[b] ? query.scores[a] > query.scores[b] : a < b;
  });
  return ranked;
}

std::vector<Retrieval::Follow> Retrieval::second_search(const Query& query, std::span<const std::size_t> first,
                                                        double& bridge) const {
  std::vector<double> best(sections_.size(), 0);
  std::vector<std::size_t> via(sections_.size(), 0);
  for (const std::size_t from : first.first(std::min(first.size(), followed_max))) {
    // The sentence that was found, as far as one can tell: the one that has most of the question.
    std::vector<std::string> sentence;
    double most = 0;
    for (const std::string_view candidate : sentences(sections_[from].text)) {
      auto words = terms(candidate);
      double shared = 0;
      std::unordered_set<std::string_view> counted;
      for (const std::string& word : words) {
        if (query.has.contains(word) && counted.insert(word).second) shared += words_.rarity(word);
      }
      if (shared <= most) continue;
      most = shared;
      sentence = std::move(words);
    }
    // What it says besides.
    std::vector<std::string> pairs;
    for (std::size_t i = 1; i < sentence.size(); ++i) {
      if (query.has.contains(sentence[i - 1]) && query.has.contains(sentence[i])) continue;
      pairs.push_back(sentence[i - 1] + ' ' + sentence[i]);
    }
    std::erase_if(sentence, [&](const std::string& word) { return query.has.contains(word) || is_function_word(word); });
    std::vector<double> scores(sections_.size(), 0);
    words_.add_scores(sentence, scores);
    pairs_.add_scores(pairs, scores);
    scores[from] = 0;
    const double weight =
        followed_weight_min + (1 - followed_weight_min) * (query.best > 0 ? query.scores[from] / query.best : 0);
    for (std::size_t i = 0; i < scores.size(); ++i) {
      if (scores[i] <= 0) continue;
      const bool same = document_of(sections_[i]) == document_of(sections_[from]);
      const double score = (scores[i] + query.scores[i]) * (same ? same_document : 1) * weight;
      if (score <= best[i]) continue;
      best[i] = score;
      via[i] = from;
    }
  }
  std::vector<Follow> found;
  for (const Bm25::Hit& hit : best_of(best, ranked_max)) found.push_back({hit.section, via[hit.section]});
  bridge = found.empty() ? 0 : best[found.front().section] / (best[found.front().section] + query.best);
  return found;
}

policy::RetrievalEvidence Retrieval::evidence_of(const Query& query, std::span<const FoundSection> found, double bridge) const {
  policy::RetrievalEvidence evidence;
  evidence.bridge = bridge;
  double all = 0;
  for (const std::string& word : query.words) {
    all += words_.rarity(word);
    if (!words_.has(word)) evidence.unknown += words_.rarity(word);
  }
  if (all <= 0) return {};
  std::unordered_set<std::string> covered;
  std::unordered_set<std::string> beside;
  for (const FoundSection& each : found) {
    const Section& section = sections_[each.section];
    std::unordered_set<std::string> own;
    auto words = terms(section.name + " " + section.heading + " " + section.text);
    for (std::string& pair : term_pairs(words)) beside.insert(std::move(pair));
    for (std::string& word : words) {
      if (query.has.contains(word)) own.insert(std::move(word));
    }
    double covers = 0;
    for (const std::string& word : query.words) covers += own.contains(word) ? words_.rarity(word) : 0;
    evidence.best_covers = std::max(evidence.best_covers, covers / all);
    covered.merge(own);
  }
  for (const std::string& word : query.words) evidence.covered += covered.contains(word) ? words_.rarity(word) / all : 0;
  evidence.unknown /= all;
  double pairs = 0;
  double pairs_covered = 0;
  for (const std::string& pair : query.pairs) {
    pairs += pairs_.rarity(pair);
    if (beside.contains(pair)) pairs_covered += pairs_.rarity(pair);
  }
  evidence.pairs = pairs > 0 ? pairs_covered / pairs : 1;
  const auto leaders = best_of(query.scores, 2);
  if (!leaders.empty()) {
    const double second = leaders.size() == 1 ? 0 : leaders[1].score / leaders[0].score;
    evidence.lead = (1 - second) * evidence.best_covers;  // to be the only one with a single word is no lead
  }
  return evidence;
}

Retrieved Retrieval::search(std::string_view question, std::size_t limit) const {
  Query query;
  query.words = content_terms(question);
  query.has.insert(query.words.begin(), query.words.end());
  const auto all = terms(question);
  for (std::size_t i = 1; i < all.size(); ++i) {
    if (!query.has.contains(all[i - 1]) || !query.has.contains(all[i])) continue;
    std::string pair = all[i - 1] + ' ' + all[i];
    if (std::find(query.pairs.begin(), query.pairs.end(), pair) == query.pairs.end()) query.pairs.push_back(std::move(pair));
  }
  query.questions = questions_of(question);
  if (query.questions.size() < 2) query.questions.clear();
  query.scores.assign(sections_.size(), 0);
  words_.add_scores(query.words, query.scores);
  const auto leader = best_of(query.scores, 1);
  if (!leader.empty()) query.best = leader.front().score;

  const auto first = first_search(query);
  double bridge = 0;
  const auto second = second_search(query, first, bridge);
  const auto& turns = query.questions.empty() ? one_question : several_questions;
  std::vector<FoundSection> found;
  std::unordered_set<std::size_t> taken;
  std::size_t next_first = 0;
  std::size_t next_second = 0;
  while (next_first < first.size() || next_second < second.size()) {
    const std::size_t place = found.size();
    const Turn turn = turns[std::min(place, turns.size() - 1)];
    if (next_second == second.size() || (turn == Turn::first && next_first < first.size())) {
      const std::size_t section = first[next_first++];
      if (taken.insert(section).second) found.push_back({section, std::nullopt});
    } else {
      const Follow& follow = second[next_second++];
      if (taken.insert(follow.section).second) found.push_back({follow.section, follow.via});
    }
  }
  std::vector<policy::PassageText> texts;
  for (const FoundSection& each : found) texts.push_back({sections_[each.section].name, sections_[each.section].text});
  Retrieved result;
  for (const std::size_t kept : policy::without_duplicates(texts, question)) {
    if (result.sections.size() < limit) result.sections.push_back(found[kept]);
  }
  result.evidence = evidence_of(query, result.sections, bridge);
  return result;
}

}  // namespace troupe::storage
