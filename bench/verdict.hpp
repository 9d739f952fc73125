// Whether an answer is right, by the rules of portfolio/eval/README.md and portfolio/handbook/README.md: it says what the set
// says, word for word, and cites exactly the sections given there.
#pragma once

#include <set>
#include <string>

#include "bench/question_set.hpp"
#include "policy/turn.hpp"

namespace troupe::bench {

/// What the set expects where no source has the answer, in every wording that it uses: "The sources do not say."
using Abstentions = std::set<std::string, std::less<>>;
Abstentions abstentions_of(const QuestionSet& set);

struct Verdict {
  bool answered = false;   ///< the turn was committed; else all that follows is false and 0
  bool right = false;      ///< word for word, and cites exactly `Question::sections`
  bool values = false;     ///< the weaker measure: contains all `Question::values`, in any case of letters, and cites the same
  bool abstained = false;  ///< said that the sources do not say it
  int cited = 0;           ///< sections, each once, and numbers that no passage has
  int cited_rightly = 0;   ///< of `Question::sections`
  bool found = false;      ///< all of `Question::sections` were among the passages of the attempt that answered
  friend bool operator==(const Verdict&, const Verdict&) = default;
};

/// `turn` as `troupe explain` reads it.
///
/// An expected answer with citations in it ("... 20 January [3].") is compared whole, each number read as the section that it
/// stands for; one without is compared with the answer without its citations. White space at either end does not count.
Verdict judge(const Question& question, const Abstentions& abstentions, const policy::Turn& turn);

/// The weaker measure without its citations, for answers whose sources are no sections: whether all `values` are in the answer,
/// or, where no source has one, it is one of the abstentions. A question with an answer and no values has none that could be
/// missing: there the answer has to be the expected one, citations aside.
bool says_the_values(const Question& question, const Abstentions& abstentions, const std::string& answer);

}  // namespace troupe::bench
