// What a placement file means for a node: of each model that it names, the shape, the fingerprint, and who holds which experts.
#pragma once

#include <string>
#include <vector>

#include "actors/node_experts.hpp"
#include "base/result.hpp"

namespace troupe::cli {

/// Reads `file` (as deploy/placement.toml) and, from the portfolio, the models that it names; reading one whole takes 0.6 s per
/// GB. Errors name the file and the entry: a model that is not there or has no experts, what does not fit the model, an expert
/// without a home. That nodes are known cannot be checked: they may come later.
Result<std::vector<actors::ExpertModel>> read_expert_models(const std::string& file);

}  // namespace troupe::cli
