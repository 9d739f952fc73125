// Builds a layout of real parts in one process, on virtual time, asks its questions, lets happen what is to happen, and
// compares every answer with what it must be.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/layouts/layout.hpp"

namespace troupe::tests::layouts {

/// Planted on purpose; must be found.
enum class Defect : std::uint8_t {
  none,
  arrival_order,     ///< a layer adds the results of its experts in the order in which they come
  unverified_block,  ///< a cache takes whatever comes as the block that it asked for
};

struct Outcome {
  std::uint64_t streams = 0;  ///< answers that were compared, of tokens, log-probabilities and all logits
  std::uint64_t tokens = 0;
  std::uint64_t differing = 0;                         ///< streams that have other bits, or no proper end
  std::vector<std::string> complaints;                 ///< one line each: of streams, and of books that do not add up
  std::map<std::string_view, std::uint64_t> happened;  ///< how often what; everything that can is named
};

Outcome run_layout(const Layout& layout, Prompts& prompts, Defect defect = Defect::none);

}  // namespace troupe::tests::layouts
