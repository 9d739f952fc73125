// A model of the portfolio as a client sees it: once, however many nodes serve it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "policy/cluster_view.hpp"
#include "policy/portfolio.hpp"

namespace troupe::schemas {

struct ServedModel {
  policy::Tier tier = policy::Tier::mini;
  std::string name;
  policy::ModelClass model;
  std::uint64_t parameters = 0;
  std::uint64_t active_parameters = 0;  ///< that take part in a token
  std::int32_t context_max = 0;         ///< tokens of prompt and answer
  std::vector<std::string> nodes;       ///< that serve it, ascending
  friend bool operator==(const ServedModel&, const ServedModel&) = default;
};

/// By tier, then name; nodes that are gone serve nothing.
std::vector<ServedModel> served_models(const policy::ClusterView& view);

}  // namespace troupe::schemas
