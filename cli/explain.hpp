// How a turn was decided and answered, for people.
#pragma once

#include <iosfwd>

#include "policy/turn.hpp"

namespace troupe::cli {

/// The question, each attempt with its reasons, inputs and cost, and the end.
void print_explanation(std::ostream& stream, const policy::Turn& turn);

}  // namespace troupe::cli
