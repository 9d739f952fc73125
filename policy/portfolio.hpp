// The portfolio's vocabulary: which roles models play, and what is known of a model that plays one.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::policy {

/// A role in the portfolio, ascending in strength and cost.
enum class Tier : std::uint8_t { mini, medium, heavy };
inline constexpr std::array tiers = {Tier::mini, Tier::medium, Tier::heavy};

std::string_view to_string(Tier tier);
std::optional<Tier> tier_of(std::string_view name);

/// What decides a model's answers, bit for bit: an attempt may move between replicas of equal class, and to no other.
struct ModelClass {
  std::string fingerprint;    ///< SHA-256 of the checkpoint, lower-case hexadecimal
  std::string numeric_class;  ///< "cpu-f32-v1"
  friend bool operator==(const ModelClass&, const ModelClass&) = default;
};

}  // namespace troupe::policy
