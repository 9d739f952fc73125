// What follows on an attempt that broke its contract: it was late, failed, or said what has no form.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "policy/contract.hpp"
#include "policy/routing.hpp"

namespace troupe::policy {

/// Finish reasons of attempts that broke their contract, beside those of engine/request.hpp and "lost".
inline constexpr std::string_view late_reason = "late";
inline constexpr std::string_view malformed_reason = "malformed";

/// What a finish reason says of the attempt's contract. Cancelled and past the turn's deadline are none of its business.
Trouble trouble_of(std::string_view finish_reason);

struct BrokenAttempt {
  Tier tier = Tier::mini;
  std::span<const Rung> later;  ///< the tiers that may follow, ascending
  bool held_back = false;
  bool said = false;      ///< some of its answer is there, and shown if it is not held back
  bool quotable = false;  ///< passages came with the question, and the policy has words for a quote
  std::string_view what;  ///< was wrong with it: "mini was late"
};

struct AfterTrouble {
  Fallback fallback = Fallback::refuse;  ///< escalate, quote, mark or refuse
  std::optional<Tier> next;              ///< if it is escalate
  std::string why;                       ///< a sentence
  friend bool operator==(const AfterTrouble&, const AfterTrouble&) = default;
};

/// `contract` is the fallback that the stage's contract names. A draft of which something has been shown is marked and stays
/// where nobody follows; it is never replaced by a quote.
AfterTrouble after_trouble(Fallback contract, const BrokenAttempt& attempt);

/// Whose time a late attempt has used up.
enum class TimeOver : std::uint8_t {
  contract,  ///< the deadline of its contract
  part,      ///< what it may have of its turn's time, which is less
  turn,      ///< all that its turn can give
};

/// Whether a late attempt is waited for all the same, because nothing can take its place. One that is answering is: a late
/// answer is better than none. One that has said nothing is not, once its contract's own deadline has passed: that is many
/// times what an answer takes, so that it is broken. At the end of its turn's time, what a draft has shown stays.
bool is_waited_for(Fallback contract, const BrokenAttempt& attempt, TimeOver over);

}  // namespace troupe::policy
