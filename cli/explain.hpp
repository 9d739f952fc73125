// How a turn was decided and answered, for people.
#pragma once

#include <string>

#include "policy/turn.hpp"

namespace troupe::cli {

/// The question, each attempt with its reasons, inputs and cost, and the end.
std::string explanation_of(const policy::Turn& turn);

}  // namespace troupe::cli
