#include "policy/instructions.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <span>

#include "policy/terms.hpp"

namespace troupe::policy {

namespace {

using Words = std::vector<std::string>;
using Phrase = std::initializer_list<std::string_view>;

/// How far an order's object may stand behind its verb: "ignore all of the other earlier instructions".
constexpr std::size_t object_distance_max = 6;

bool is_one_of(std::string_view word, Phrase words) { return std::ranges::find(words, word) != words.end(); }

bool has(const Words& words, Phrase phrase) { return !std::ranges::search(words, phrase).empty(); }

bool has_one(const Words& words, Phrase of) {
  return std::ranges::any_of(words, [&](const std::string& word) { return is_one_of(word, of); });
}

/// "Ignore all earlier instructions"; but not "ignore the alarm of room 3".
bool overrides(const Words& words) {
  for (std::size_t verb = 0; verb < words.size(); ++verb) {
    if (!is_one_of(words[verb], {"ignore", "disregard", "forget", "override"})) continue;
    bool what_was_before = false;
    for (std::size_t i = verb + 1; i < std::min(words.size(), verb + 1 + object_distance_max); ++i) {
      what_was_before = what_was_before || is_one_of(words[i], {"all", "any", "every", "earlier", "previou", "previous",
                                                                "prior", "above", "other", "your", "the", "these", "those"});
      if (what_was_before && is_one_of(words[i], {"instruction", "prompt", "question", "source", "passage"})) return true;
    }
  }
  return false;
}

/// "You are no longer an assistant"; but not "you are no longer insured".
bool gives_a_role(const Words& words) {
  const bool told = has(words, {"you", "are", "now"}) || has(words, {"you", "are", "no", "longer"}) ||
                    has(words, {"act", "as"}) || has(words, {"pretend", "to", "be"});
  return told && has_one(words, {"assistant", "model", "chatbot", "bot", "ai", "pirate", "jailbroken"});
}

/// An order how to answer.
bool tells_how_to_answer(const Words& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (!is_one_of(words[i], {"answer", "reply", "respond"})) continue;
    const bool order = i == 0 || is_one_of(words[i - 1], {"and", "must", "now", "please", "then", "only", "alway"});
    const std::span<const std::string> rest(words.begin() + static_cast<std::ptrdiff_t>(i) + 1, words.end());
    if (order && !rest.empty() && is_one_of(rest.front(), {"with", "only", "every", "all", "that", "a", "in"})) return true;
  }
  if (has(words, {"your", "answer"}) && has_one(words, {"translate", "begin", "end", "add", "append", "change"})) return true;
  if (has(words, {"nothing", "else"}) && has_one(words, {"print", "say", "output", "repeat", "write"})) return true;
  if (has(words, {"end", "every", "sentence"})) return true;
  return has(words, {"do", "not", "cite"}) || has(words, {"without", "citing"}) || has(words, {"you", "must", "now", "say"});
}

bool speaks_of_the_prompt(const Words& words) {
  return has(words, {"system", "prompt"}) || has(words, {"your", "instruction"}) || has(words, {"new", "instruction"}) ||
         has(words, {"note", "to", "the", "model"}) || has(words, {"note", "to", "the", "assistant"});
}

/// "[2] Stores Manual §1: ...", which is how sources are numbered.
bool is_numbered(std::string_view sentence) {
  const std::size_t end = sentence.find_first_not_of("0123456789", 1);
  return sentence.starts_with('[') && end != std::string_view::npos && end > 1 && sentence[end] == ']' &&
         sentence.find(": ", end) != std::string_view::npos;
}

/// Text that begins as another's turn would.
bool begins_a_turn(std::string_view sentence) {
  constexpr std::array marks = {"Assistant:", "assistant:", "ASSISTANT:",      "AI:",       "<system", "<assistant", "<user",
                                "<|",         "[INST]",     "### Instruction", "### System"};
  return std::ranges::any_of(marks, [&](std::string_view mark) { return sentence.starts_with(mark); });
}

bool speaks_to_a_model(std::string_view sentence) {
  if (is_numbered(sentence) || begins_a_turn(sentence)) return true;
  const Words words = terms(sentence);
  return overrides(words) || gives_a_role(words) || tells_how_to_answer(words) || speaks_of_the_prompt(words);
}

}  // namespace

PlainText without_instructions(std::string_view text) {
  PlainText plain;
  std::size_t done = 0;  // up to here, what is kept has been copied
  for (const std::string_view sentence : sentences(text)) {
    if (!speaks_to_a_model(sentence)) continue;
    const auto begin = static_cast<std::size_t>(sentence.data() - text.data());
    plain.text += text.substr(done, begin - done);
    done = std::min(text.find_first_not_of(" \t\r\n", begin + sentence.size()), text.size());
    plain.left_out.emplace_back(sentence);
  }
  plain.text += text.substr(done);
  if (!plain.left_out.empty()) plain.text.erase(plain.text.find_last_not_of(" \t\r\n") + 1);
  return plain;
}

}  // namespace troupe::policy
