// The turns of a conversation, for people.
#pragma once

#include <string>

#include "clients/cpp/client.hpp"

namespace troupe::cli {

/// Questions and answers, oldest first.
std::string history_of(const clients::HistoryPage& page);

}  // namespace troupe::cli
