// What a model is told for each purpose of generation; the wording is policy/prompt.hpp's.
#pragma once

#include <vector>

#include "policy/prompt.hpp"
#include "schemas/cluster_messages.hpp"

namespace troupe::actors {

std::vector<policy::Message> messages_for(schemas::Purpose purpose, const policy::ContextParts& parts);

}  // namespace troupe::actors
