// The turns of a conversation, for people.
#pragma once

#include <iosfwd>

#include "clients/cpp/client.hpp"

namespace troupe::cli {

/// Questions and answers, oldest first.
void print_history(std::ostream& stream, const clients::HistoryPage& page);

}  // namespace troupe::cli
