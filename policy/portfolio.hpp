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

/// Stands for the numeric class of a model that others host: nothing is known of its arithmetic, so no answer of it can be
/// computed again, and an attempt that is lost is superseded by another one.
inline constexpr std::string_view remote_class = "remote";

/// What decides a model's answers, bit for bit: an attempt may move between replicas of equal class, and to no other.
struct ModelClass {
  std::string fingerprint;    ///< SHA-256 of the checkpoint, lower-case hexadecimal; of a remote model, which it is and where
  std::string numeric_class;  ///< "cpu-f32-v1"
  bool remote() const { return numeric_class == remote_class; }
  friend bool operator==(const ModelClass&, const ModelClass&) = default;
};

/// What tokens of a model cost, in the currency of whoever wrote the policy.
struct TokenPrice {
  double prompt_million = 0;  ///< a million tokens read
  double answer_million = 0;  ///< a million tokens written
  double of(std::int64_t prompt_tokens, std::int64_t answer_tokens) const {
    constexpr double million = 1e6;
    return (prompt_million * static_cast<double>(prompt_tokens) + answer_million * static_cast<double>(answer_tokens)) /
           million;
  }
  friend bool operator==(const TokenPrice&, const TokenPrice&) = default;
};

}  // namespace troupe::policy
