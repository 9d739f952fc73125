#include "policy/duplicates.hpp"

#include <map>
#include <string>

#include "policy/terms.hpp"

namespace troupe::policy {

namespace {

constexpr std::string_view date_form = "dddd-dd-dd";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_date(std::string_view text) {
  for (std::size_t i = 0; i < date_form.size(); ++i) {
    if (date_form[i] == 'd' ? !is_digit(text[i]) : text[i] != date_form[i]) return false;
  }
  const std::string_view month = text.substr(5, 2);
  const std::string_view day = text.substr(8, 2);
  return month >= "01" && month <= "12" && day >= "01" && day <= "31";
}

/// Whether a version of `date` takes the place of one of `before`.
bool supersedes(std::optional<std::string_view> date, std::optional<std::string_view> before,
                std::optional<std::string_view> day) {
  if (!date || !before) return false;
  const auto in_force = [&](std::string_view from) { return !day || from <= *day; };
  return in_force(*date) != in_force(*before) ? in_force(*date) : *date > *before;
}

}  // namespace

std::optional<std::string_view> date_in(std::string_view text) {
  for (std::size_t at = 0; at + date_form.size() <= text.size(); ++at) {
    const std::string_view candidate = text.substr(at, date_form.size());
    const std::size_t end = at + date_form.size();
    const bool alone = (at == 0 || !is_digit(text[at - 1])) && (end == text.size() || !is_digit(text[end]));
    if (alone && is_date(candidate)) return candidate;
  }
  return std::nullopt;
}

std::vector<std::size_t> without_duplicates(std::span<const PassageText> passages, std::string_view question) {
  const auto day = date_in(question);
  std::vector<std::size_t> kept;
  std::map<std::vector<std::string>, std::size_t> place_of_words;  // among those kept
  for (std::size_t i = 0; i < passages.size(); ++i) {
    auto words = terms(passages[i].text);
    if (words.empty()) words.push_back(passages[i].name);  // of no words, nothing can be said
    const auto [known, added] = place_of_words.emplace(std::move(words), kept.size());
    if (added) {
      kept.push_back(i);
    } else if (supersedes(date_in(passages[i].name), date_in(passages[kept[known->second]].name), day)) {
      kept[known->second] = i;
    }
  }
  return kept;
}

}  // namespace troupe::policy
