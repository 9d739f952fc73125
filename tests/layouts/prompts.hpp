// What layouts are asked: models of a few layers with random weights, dense ones and mixtures of experts, and for each some
// prompts, greedy and sampled, with what must be answered to them anywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "tests/support/bits_universe.hpp"

namespace troupe::tests::layouts {

/// The same in every run, so that a layout's seed says everything about it. Answers are computed when they are first needed:
/// by one engine, alone, with nothing around it.
class Prompts {
 public:
  Prompts();

  std::size_t models() const { return models_.size(); }
  const TinyModel& tiny(std::size_t model) const { return *models_[model].tiny; }
  bits::Universe& universe(std::size_t model) { return models_[model].universe; }
  bool has_experts(std::size_t model) const { return models_[model].universe.model().config.moe.has_value(); }
  /// Prompts of at least one whole block whose answers have some tokens, in families that share beginnings: a family's are a
  /// list each.
  const std::vector<std::vector<std::size_t>>& families(std::size_t model);

 private:
  struct Entry {
    explicit Entry(const TinyModel& of);
    const TinyModel* tiny;
    bits::Universe universe;
    std::vector<std::vector<std::size_t>> families;
  };
  std::deque<Entry> models_;
};

}  // namespace troupe::tests::layouts
