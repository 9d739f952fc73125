// A rule's conditions: whether they hold for a question, and how they read. Used by policy/routing and policy/routing_check.
#pragma once

#include <string>

#include "policy/routing.hpp"

namespace troupe::policy {

bool matches(const RouteConditions& when, const RouteFacts& facts);

/// The inputs that a rule which matches has looked at, with their values; words for none.
std::string inputs_of(const RouteConditions& when, const RouteFacts& facts);

/// A rule for a person: "if assurance is draft and ...: heavy, below 0.8 ...".
std::string sentence_of(const RouteRule& rule);

/// As short as it can be and still be the same number.
std::string shown(double value);
/// To four digits, which are enough for a probability, or for money that may be spent.
std::string rounded(double value);

}  // namespace troupe::policy
