// What the rows of a file ask for, and so what `troupe eval` measures with it.
#pragma once

#include <cstdint>
#include <string_view>

namespace troupe::bench {

enum class SetForm : std::uint8_t {
  questions,  ///< with known answers: question_set.hpp
  intents,    ///< utterances with the labels that they should be given: intent_set.hpp
  dialogues,  ///< conversations, and what is asked about them: dialogue_set.hpp
};

/// The form of the first row of `text`, by the fields that it has. What is no row of any form is `questions`, whose reader says
/// what is wrong with it, and where.
SetForm form_of(std::string_view text);

}  // namespace troupe::bench
