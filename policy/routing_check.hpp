// What is wrong with a routing policy, and what its author may not have meant: before anything is routed by it.
#pragma once

#include <string>
#include <vector>

#include "policy/routing.hpp"

namespace troupe::policy {

struct PolicyFinding {
  /// A policy with an error is refused; a warning is for its author.
  enum class Weight : std::uint8_t { error, warning };
  Weight weight = Weight::error;
  ErrorCode code = ErrorCode::invalid_argument;
  std::string rule;     ///< empty: the policy as a whole
  std::string message;  ///< what was seen, what was expected, what to do
  friend bool operator==(const PolicyFinding&, const PolicyFinding&) = default;
};
std::string_view to_string(PolicyFinding::Weight weight);

/// All findings, in the order of the file. Errors: a name that is empty, long or used twice; a number outside its limits; a
/// start that the portfolio does not have; an escalation that does not ascend, and so could go round in circles; conditions
/// that contradict each other; a rule that can never match, because those before it take all that it could; a last rule that
/// does not match always; a contract that nobody can meet (a confidence that a calibration never reaches, a cost that one token
/// exceeds, sampling of what is always greedy, a second opinion that is not among those asked, what
/// contract_check.hpp finds); what faults_of says of shadows. Warnings: a threshold of 0 before an escalation, a last rule that
/// those before it leave nothing for, a context that no tier of the rule reads whole, a second opinion that is not cheaper than
/// what follows it.
std::vector<PolicyFinding> check(const RoutingPolicy& policy);

}  // namespace troupe::policy
