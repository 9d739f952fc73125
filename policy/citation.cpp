#include "policy/citation.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <system_error>

#include "policy/prompt.hpp"

namespace troupe::policy {

namespace {

bool names_passage(std::int32_t number, std::span<const Passage> passages) {
  return number >= 1 && static_cast<std::size_t>(number) <= passages.size();
}

}  // namespace

std::optional<Citation> next_citation(std::string_view text, std::size_t from) {
  for (std::size_t begin = text.find('[', from); begin != std::string_view::npos; begin = text.find('[', begin + 1)) {
    const std::size_t end = std::min(text.find_first_not_of("0123456789", begin + 1), text.size());
    if (end == begin + 1 || end == text.size() || text[end] != ']') continue;
    std::int32_t number = 0;
    const auto problem = std::from_chars(text.data() + begin + 1, text.data() + end, number).ec;
    if (problem != std::errc{}) number = std::numeric_limits<std::int32_t>::max();
    return Citation{begin, end + 1, number};
  }
  return std::nullopt;
}

std::vector<std::int32_t> cited_numbers(std::string_view text) {
  std::vector<std::int32_t> numbers;
  for (auto found = next_citation(text, 0); found; found = next_citation(text, found->end)) numbers.push_back(found->number);
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  return numbers;
}

std::string resolve_citations(std::string_view text, std::span<const Passage> passages) {
  std::string resolved;
  std::size_t done = 0;
  for (auto found = next_citation(text, 0); found; found = next_citation(text, found->end)) {
    if (!names_passage(found->number, passages)) continue;
    resolved += text.substr(done, found->begin + 1 - done);
    resolved += passages[static_cast<std::size_t>(found->number) - 1].name;
    done = found->end - 1;  // the closing bracket is kept
  }
  return resolved.append(text.substr(done));
}

std::string without_citations(std::string_view text) {
  std::string plain;
  std::size_t done = 0;
  for (auto found = next_citation(text, 0); found; found = next_citation(text, found->end)) {
    std::string_view before = text.substr(done, found->begin - done);
    if (before.ends_with(' ')) before.remove_suffix(1);
    plain += before;
    done = found->end;
  }
  plain += text.substr(done);
  return std::string(trimmed(plain));
}

Citations check_citations(std::string_view text, std::span<const Passage> passages) {
  Citations citations;
  for (const std::int32_t number : cited_numbers(text)) {
    if (names_passage(number, passages)) {
      citations.cited.push_back(passages[static_cast<std::size_t>(number) - 1]);
    } else {
      citations.out_of_range.push_back(number);
    }
  }
  return citations;
}

}  // namespace troupe::policy
