// Whether the sources say what an answer cites them for. Nothing here understands a language: it is looked for what an answer
// states and its sources do not have. So an answer that passes may still be wrong, but one that does not pass is not to be sent
// as it is.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "policy/prompt.hpp"

namespace troupe::policy {

/// What is wrong with an answer's citations.
struct FailedCitation {
  std::string what;  ///< as the end of "the answer ...", for a person
  /// Its values stand in the sources, and only its words are others: a sign of a wrong answer, and sometimes a paraphrase.
  bool only_words = false;
  friend bool operator==(const FailedCitation&, const FailedCitation&) = default;
};

/// `question` is all that was asked, also as it was rewritten to stand alone.
///
/// The first thing that is wrong with the citations of an answer, words last; nothing if all of them hold. An answer that cites
/// nothing passes. What stands before a run of citations, "[1][2]", since the run before it is the statement that they are
/// cited for:
///
/// - Each number is one of a passage.
/// - Each cited passage has a word of the statement that the question does not have, or two words of it; function words do not
///   count.
/// - Every number, date or code of the statement ("24", "2023-02-15", "A-1327"), and every word in it with a capital that does
///   not begin a sentence, stands in one of its passages or in the question. What stands behind "=" is computed, and may not.
/// - A statement that only repeats the question has a number, if it has any, that stands in one of its passages.
/// - So does at least half of its words, function words not counted.
/// - No passage that was given is a later version of a cited one (their names differ in a date alone, "Records Policy
///   (2024-02-15) §4.1") and has as much of the statement, unless it is cited too, or is later than the (earliest) date that
///   the question names, or the question names a year.
///
/// Of the bundled models' answers to questions about generated handbooks, this stops every fourth wrong one, and no right one
/// (docs/grounding.md). A passage whose text is empty is one that is no longer there, and supports nothing.
std::optional<FailedCitation> failed_citation(std::string_view answer, std::string_view question,
                                              std::span<const PassageText> passages);

}  // namespace troupe::policy
