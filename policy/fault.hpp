// A fault that an operator gives a model on purpose, to see that contracts hold: a drill.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "policy/portfolio.hpp"

namespace troupe::policy {

struct Fault {
  /// slow: every piece of an answer comes `delay_ms` after the one before. stuck: it begins, and never says anything. rubbish:
  /// what it says has no form, and it is sure of it. dead: it fails at once.
  enum class Kind : std::uint8_t { slow, stuck, rubbish, dead };
  static constexpr std::int64_t delay_limit_ms = 3'600'000;
  static constexpr std::uint64_t after_limit = 1'000'000'000;

  Kind kind = Kind::stuck;
  std::int64_t delay_ms = 0;  ///< if slow
  std::uint64_t after = 0;    ///< requests that are answered well before it begins
  friend bool operator==(const Fault&, const Fault&) = default;
};
std::string_view to_string(Fault::Kind kind);
/// As `fault_of` reads it: "slow:500,after:3".
std::string to_string(const Fault& fault);

struct TierFault {
  Tier tier = Tier::mini;
  Fault fault;
  friend bool operator==(const TierFault&, const TierFault&) = default;
};
/// "mini=slow:500", "heavy=stuck,after:10". Errors: `invalid_argument` with what was seen and what is expected.
Result<TierFault> fault_of(std::string_view text);

}  // namespace troupe::policy
