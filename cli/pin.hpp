// troupe pin, and how pins are shown.
#pragma once

#include <iosfwd>

#include "policy/pins.hpp"

namespace troupe::cli {

/// Numbered from 1 on.
void print_pins(std::ostream& stream, const policy::Pins& pins);

/// The pin of that number; `not_found` says which there are.
Result<std::string> pin_number(const policy::Pins& pins, std::size_t number);

}  // namespace troupe::cli
