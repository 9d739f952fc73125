// What an answer claims without a source: the other half of the check of citations (policy/citation_support.hpp), for answers
// that are held back until they are checked. It is looked for words, as there.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "policy/prompt.hpp"

namespace troupe::policy {

/// The first claim of an answer to a question about passages that it has no source for, as the end of "the answer ...": what
/// stands behind its last citation, or all of an answer that cites nothing. A sentence there passes
///
/// - if it says that the sources do not say it, and has no number, code or name besides;
/// - if the answer cites something, and its numbers, codes and names and half of its words stand there or in the question: it
///   concludes;
/// - if these stand in `conversation`, which is all that the model was told of what came before: it repeats.
std::optional<std::string> uncited_claim(std::string_view answer, std::string_view question,
                                         std::span<const PassageText> passages, std::string_view conversation = {});

/// The same for an answer from the conversation alone, which has nothing to cite: the first number, code or name of it that is
/// not in `said`: the question, and what came before. What does not begin a sentence and has a capital is taken for a name.
std::optional<std::string> unheard_value(std::string_view answer, std::string_view said);

}  // namespace troupe::policy
