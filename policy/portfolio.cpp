#include "policy/portfolio.hpp"

namespace troupe::policy {

std::string_view to_string(Tier tier) {
  switch (tier) {
    case Tier::mini: return "mini";
    case Tier::medium: return "medium";
    case Tier::heavy: return "heavy";
  }
  return "unknown";
}

std::optional<Tier> tier_of(std::string_view name) {
  for (const Tier tier : tiers) {
    if (to_string(tier) == name) return tier;
  }
  return std::nullopt;
}

}  // namespace troupe::policy
