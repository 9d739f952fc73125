#include "bench/verdict.hpp"

#include <algorithm>
#include <span>
#include <vector>

#include "policy/citation.hpp"
#include "policy/prompt.hpp"

namespace troupe::bench {

namespace {

/// As far as ASCII goes.
std::string in_small_letters(std::string_view text) {
  std::string small(text);
  for (char& letter : small) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return small;
}

/// With the keys of sections in place of numbers, which mean something only beside the passages that they count.
std::string with_keys(std::string_view text, std::vector<policy::Passage> passages) {
  for (policy::Passage& passage : passages) passage.name = passage.section;
  return std::string(policy::trimmed(policy::resolve_citations(text, passages)));
}

bool says_the_same(const Question& question, const std::string& answer, const std::vector<policy::Passage>& passages) {
  if (policy::cited_numbers(question.answer).empty())
    return policy::without_citations(answer) == policy::trimmed(question.answer);
  std::vector<policy::Passage> sources;
  for (const storage::Section& source : question.sources) sources.push_back({source.key, source.name});
  return with_keys(answer, passages) == with_keys(question.answer, sources);
}

bool has_values(const Question& question, const std::string& answer) {
  const std::string small = in_small_letters(answer);
  return std::ranges::all_of(
      question.values, [&](const std::string& value) { return small.find(in_small_letters(value)) != std::string::npos; });
}

}  // namespace

Abstentions abstentions_of(const QuestionSet& set) {
  Abstentions abstentions;
  for (const Question& question : set.questions) {
    if (!question.answerable()) abstentions.emplace(policy::trimmed(question.answer));
  }
  return abstentions;
}

Verdict judge(const Question& question, const Abstentions& abstentions, const policy::Turn& turn) {
  Verdict verdict;
  if (!turn.outcome || !turn.outcome->committed) return verdict;
  verdict.answered = true;
  const std::string& answer = turn.outcome->answer;
  std::vector<policy::Passage> passages;
  for (const policy::Attempt& attempt : turn.attempts) {
    if (attempt.plan.attempt == turn.outcome->attempt) passages = attempt.plan.passages;
  }

  const policy::Citations citations = policy::check_citations(answer, passages);
  std::set<std::string> cited;
  for (const policy::Passage& passage : citations.cited) cited.insert(passage.section);
  const auto expected = [&](const std::string& section) { return std::ranges::binary_search(question.sections, section); };
  verdict.cited = static_cast<int>(cited.size() + citations.out_of_range.size());
  verdict.cited_rightly = static_cast<int>(std::ranges::count_if(cited, expected));
  const bool cites_the_same = verdict.cited == verdict.cited_rightly && cited.size() == question.sections.size();

  verdict.right = cites_the_same && says_the_same(question, answer, passages);
  verdict.values = cites_the_same && has_values(question, answer);
  verdict.abstained = verdict.cited == 0 && abstentions.contains(policy::trimmed(answer));
  verdict.found = std::ranges::all_of(question.sections, [&](const std::string& section) {
    return std::ranges::any_of(passages, [&](const policy::Passage& passage) { return passage.section == section; });
  });
  return verdict;
}

bool says_the_values(const Question& question, const Abstentions& abstentions, const std::string& answer) {
  const std::string plain = policy::without_citations(answer);
  if (!question.answerable()) return abstentions.contains(plain);
  if (question.values.empty()) return plain == policy::without_citations(question.answer);
  return has_values(question, answer) && !abstentions.contains(plain);
}

}  // namespace troupe::bench
