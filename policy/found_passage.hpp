// A passage of the corpus with what it says, as a search has found it.
#pragma once

#include <string>

#include "policy/turn.hpp"

namespace troupe::policy {

struct FoundPassage {
  Passage passage;
  std::string text;
  friend bool operator==(const FoundPassage&, const FoundPassage&) = default;
};

}  // namespace troupe::policy
