#include "model/unicode_compose.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <vector>

#include "model/utf8.hpp"

namespace troupe::model {

namespace {

struct Decomposition {
  char32_t code, first, second;
};

struct ClassRange {
  char32_t first, last;
  std::uint8_t combining_class;
};

#include "model/unicode_data.inc"

constexpr auto by_parts = [](const Decomposition& a, const Decomposition& b) {
  return std::tie(a.first, a.second) < std::tie(b.first, b.second);
};

constexpr auto compositions = [] {
  auto table = composed_pairs;
  std::sort(table.begin(), table.end(), by_parts);
  return table;
}();

// Below it nothing decomposes into anything else than ASCII and marks, and no mark is: most text needs no more than a glance.
constexpr char32_t first_affected = 0xC0;

// Korean syllables are composed by arithmetic (the Unicode Standard, section 3.12).
constexpr char32_t syllable_first = 0xAC00, lead_first = 0x1100, vowel_first = 0x1161, tail_before = 0x11A7;
constexpr char32_t leads = 19, vowels = 21, tails = 28, syllables = leads * vowels * tails;

std::uint8_t class_of(char32_t code) {
  const auto range = std::lower_bound(class_ranges.begin(), class_ranges.end(), code,
                                      [](const ClassRange& entry, char32_t value) { return entry.last < value; });
  return range != class_ranges.end() && range->first <= code ? range->combining_class : std::uint8_t{0};
}

template <class Table>
const Decomposition* find(const Table& table, char32_t code) {
  const auto place = std::lower_bound(table.begin(), table.end(), code,
                                      [](const Decomposition& entry, char32_t value) { return entry.code < value; });
  return place != table.end() && place->code == code ? &*place : nullptr;
}

void decompose(char32_t code, std::vector<char32_t>& codes) {
  if (code >= syllable_first && code < syllable_first + syllables) {
    const char32_t index = code - syllable_first;
    codes.push_back(lead_first + index / (vowels * tails));
    codes.push_back(vowel_first + index % (vowels * tails) / tails);
    if (index % tails != 0) codes.push_back(tail_before + index % tails);
    return;
  }
  const Decomposition* parts = find(composed_pairs, code);
  if (parts == nullptr) parts = find(one_way_decompositions, code);
  if (parts == nullptr) {
    codes.push_back(code);
    return;
  }
  decompose(parts->first, codes);  // a few levels deep at most
  if (parts->second != 0) decompose(parts->second, codes);
}

// 0: the two do not compose.
char32_t compose(char32_t first, char32_t second) {
  if (first >= lead_first && first < lead_first + leads && second >= vowel_first && second < vowel_first + vowels) {
    return syllable_first + ((first - lead_first) * vowels + (second - vowel_first)) * tails;
  }
  const bool is_open_syllable =
      first >= syllable_first && first < syllable_first + syllables && (first - syllable_first) % tails == 0;
  if (is_open_syllable && second > tail_before && second < tail_before + tails) return first + (second - tail_before);
  const auto place = std::lower_bound(compositions.begin(), compositions.end(), Decomposition{0, first, second}, by_parts);
  return place != compositions.end() && place->first == first && place->second == second ? place->code : 0;
}

// Between characters of class 0, marks go in ascending order of their class; equal ones keep theirs.
void put_marks_in_order(std::vector<char32_t>& codes) {
  std::vector<std::tuple<std::uint8_t, std::size_t, char32_t>> marks;  // class, position, code
  for (std::size_t begin = 0; begin < codes.size(); begin += marks.size() + 1) {
    marks.clear();
    for (std::size_t i = begin; i < codes.size() && class_of(codes[i]) != 0; ++i)
      marks.emplace_back(class_of(codes[i]), i, codes[i]);
    if (marks.size() < 2) continue;
    std::sort(marks.begin(), marks.end());
    for (std::size_t i = 0; i < marks.size(); ++i) codes[begin + i] = std::get<char32_t>(marks[i]);
  }
}

void compose_all(std::vector<char32_t>& codes) {
  constexpr std::size_t none = static_cast<std::size_t>(-1);
  std::size_t starter = none;  // where in the result the last character of class 0 is
  int last_class = -1;         // of what follows the starter in the result; -1: nothing does
  std::size_t size = 0;
  for (const char32_t code : codes) {
    const int own_class = class_of(code);
    const bool is_blocked = last_class >= own_class;
    const char32_t composed = starter != none && !is_blocked ? compose(codes[starter], code) : 0;
    if (composed != 0) {
      codes[starter] = composed;
      continue;
    }
    if (own_class == 0) starter = size;
    last_class = own_class == 0 ? -1 : own_class;
    codes[size++] = code;
  }
  codes.resize(size);
}

}  // namespace

std::string compose_canonically(std::string_view text) {
  std::vector<char32_t> codes;
  bool is_affected = false;
  for (std::size_t i = 0; i < text.size(); i += first_utf8_unit(text.substr(i)).length) {
    const char32_t code = first_code_point(text.substr(i));
    is_affected |= code >= first_affected;
    decompose(code, codes);
  }
  if (!is_affected) return std::string(text);
  put_marks_in_order(codes);
  compose_all(codes);
  std::string composed;
  composed.reserve(text.size());
  for (const char32_t code : codes) append_utf8(code, composed);
  return composed;
}

}  // namespace troupe::model
