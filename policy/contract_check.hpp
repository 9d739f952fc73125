// What is wrong with the contracts of a policy: those that no stage could keep, or that name a fallback which does not help.
#pragma once

#include <vector>

#include "policy/routing_check.hpp"

namespace troupe::policy {

/// Appends to `findings`. Errors: a deadline that nothing can meet, or that no turn has; a fallback that the stage does not
/// have; a budget of nothing, one above what the tiers that read it may (`prompt_tokens`) or that an answer can have, one for
/// classifying that no label fits into. Warnings: a budget that may cut labels off; a fallback to quote without words for a
/// quote.
void check_stages(const RoutingPolicy& policy, std::vector<PolicyFinding>& findings);

}  // namespace troupe::policy
