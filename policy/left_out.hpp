// What a prompt could have had and has not, and why: said in the plan, so that whoever reads an answer can know what its model
// did not see.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "policy/turn.hpp"

namespace troupe::policy {

/// What there was, and what of it came into the prompt.
struct ContextChoice {
  Tier tier = Tier::mini;
  std::int32_t tokens_max = 0;           ///< of the prompt
  std::span<const std::uint32_t> turns;  ///< their numbers, ascending: those that no summary covers
  std::size_t turns_left_out = 0;        ///< of these, the oldest
  std::span<const Passage> passages;     ///< that were found, the best first
  std::size_t passages_max = 0;          ///< that the tier reads
  std::vector<std::uint32_t> kept;       ///< places of the passages in the prompt
  std::size_t retired = 0;               ///< entries of earlier summaries that hold still
  std::size_t recalled = 0;              ///< of these, those in the prompt
};

std::vector<LeftOut> left_out_of(const ContextChoice& choice);

}  // namespace troupe::policy
