// Citations: "[3]" in an answer means the third passage of its prompt. Here they are counted, checked, resolved to names and
// taken away, as portfolio/training/evaluate.py reads them: an opening bracket, decimal digits, a closing bracket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/turn.hpp"

namespace troupe::policy {

struct Citation {
  std::size_t begin = 0;  ///< of the bracket
  std::size_t end = 0;    ///< after it
  std::int32_t number = 0;
};
/// The first one from a place on. A number beyond any number of passages is the largest int32.
std::optional<Citation> next_citation(std::string_view text, std::size_t from);
/// The cited numbers, ascending, each once.
std::vector<std::int32_t> cited_numbers(std::string_view text);

/// "[2]" becomes "[Records Policy §3.2]"; a number that no passage has stays as it is. So an answer reads outside of its
/// prompt, and in the prompts of later turns.
std::string resolve_citations(std::string_view text, std::span<const Passage> passages);

/// Without citations and the space before each, trimmed.
std::string without_citations(std::string_view text);

struct Citations {
  std::vector<Passage> cited;              ///< each once, by number
  std::vector<std::int32_t> out_of_range;  ///< numbers that no passage has, ascending
  friend bool operator==(const Citations&, const Citations&) = default;
};
Citations check_citations(std::string_view text, std::span<const Passage> passages);

}  // namespace troupe::policy
