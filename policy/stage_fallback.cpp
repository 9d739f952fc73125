#include "policy/stage_fallback.hpp"

#include "policy/early_stop.hpp"

namespace troupe::policy {

Trouble trouble_of(std::string_view finish_reason) {
  if (finish_reason == late_reason) return Trouble::late;
  if (finish_reason == malformed_reason) return Trouble::malformed;
  if (finish_reason == "length") return Trouble::oversized;
  for (const std::string_view fine :
       {std::string_view("end_token"), std::string_view("stop_token"), std::string_view("stop_string"), unsure_reason,
        std::string_view("cancelled"), std::string_view("deadline_exceeded")}) {
    if (finish_reason == fine) return Trouble::none;
  }
  return Trouble::failed;
}

AfterTrouble after_trouble(Fallback contract, const BrokenAttempt& attempt) {
  const std::string what(attempt.what);
  if (contract == Fallback::escalate && !attempt.later.empty()) {
    const Tier next = attempt.later.front().tier;
    return {Fallback::escalate, next, what + "; " + std::string(to_string(next)) + " follows"};
  }
  const std::string nobody = attempt.later.empty() ? what + ", and no stronger tier is left" : what;
  if (!attempt.held_back && attempt.said) return {Fallback::mark, std::nullopt, nobody + "; what has been shown stays"};
  if (attempt.held_back && attempt.quotable && contract != Fallback::refuse) {
    return {Fallback::quote, std::nullopt, nobody + "; the best source is quoted"};
  }
  return {Fallback::refuse, std::nullopt, nobody};
}

bool is_waited_for(Fallback contract, const BrokenAttempt& attempt, TimeOver over) {
  if (contract == Fallback::refuse) return false;
  const Fallback next = after_trouble(contract, attempt).fallback;
  if (next == Fallback::escalate || next == Fallback::quote) return false;
  if (!attempt.said) return over != TimeOver::contract;
  return over != TimeOver::turn || attempt.held_back;
}

}  // namespace troupe::policy
