#include "policy/uncited_claim.hpp"

#include <algorithm>
#include <array>

#include "policy/citation.hpp"
#include "policy/statement.hpp"
#include "policy/terms.hpp"

namespace troupe::policy {

namespace {

/// Whether a sentence says only that there is no answer.
bool is_abstention(std::string_view sentence) {
  const std::string plain = ' ' + small(sentence);
  constexpr std::array<std::string_view, 14> phrases = {
      "sources do not",     "source does not", "sources don't",    "source doesn't", "passages do not",
      "not in the sources", "no source",       "do not know",      "don't know",     "cannot answer",
      "can't answer",       "could not find",  "not mentioned in", "no information"};
  constexpr std::array<std::string_view, 3> goes_on = {" but ", " however", " although"};
  const auto holds = [&](std::string_view phrase) { return plain.find(phrase) != std::string::npos; };
  return std::ranges::any_of(phrases, holds) && std::ranges::none_of(goes_on, holds);
}

std::string first_words(std::string_view text) {
  constexpr std::size_t shown_max = 60;
  if (text.size() <= shown_max) return std::string(text);
  const std::size_t end = text.substr(0, shown_max).find_last_of(' ');
  return std::string(text.substr(0, end == std::string_view::npos ? 0 : end)) + " ...";
}

}  // namespace

std::optional<std::string> uncited_claim(std::string_view answer, std::string_view question,
                                         std::span<const PassageText> passages, std::string_view conversation) {
  Words heard;
  add_words(conversation, heard);
  Words cited;
  for (const std::int32_t number : cited_numbers(answer)) {
    if (number < 1 || static_cast<std::size_t>(number) > passages.size()) continue;
    const PassageText& passage = passages[static_cast<std::size_t>(number) - 1];
    add_words(passage.name + " " + passage.text, cited);
  }
  const bool concludes = !cited.empty();
  add_words(question, cited);
  for (const std::string_view sentence : sentences(uncited_end(answer))) {
    const auto value = unknown_value(sentence, cited);
    if (is_abstention(sentence) && !value) continue;
    if (says_nothing_beyond(sentence, heard)) continue;
    if (value) return "says \"" + std::string(*value) + "\" without a source that does";
    if (!concludes || !says_nothing_beyond(sentence, cited)) return "cites nothing for \"" + first_words(sentence) + "\"";
  }
  return std::nullopt;
}

std::optional<std::string> unheard_value(std::string_view answer, std::string_view said) {
  Words known;
  add_words(said, known);
  // Also as a whole, in which what follows on ";" begins no sentence.
  auto texts = sentences(answer);
  texts.push_back(answer);
  for (const std::string_view text : texts) {
    if (const auto value = unknown_value(text, known)) {
      return "says \"" + std::string(*value) + "\", which nobody has said in this conversation";
    }
  }
  return std::nullopt;
}

}  // namespace troupe::policy
