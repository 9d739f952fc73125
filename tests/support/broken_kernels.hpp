// Kernels that are wrong on purpose, each in the way in which kernels most often break the rule that placement never changes
// the answer: right for a request that runs alone, and off by a rounding in another batch, chunk or place.
#pragma once

#include <span>
#include <string_view>

#include "kernels/targets.hpp"

namespace troupe::tests {

struct Defect {
  std::string_view name;
  std::string_view what;  ///< a clause: "a product ..."
};
std::span<const Defect> defects();

/// The operations of a supported instruction set, with one defect; null if there is none of that name. Its tables last as long
/// as the process.
const kernels::CpuOps* broken_operations(std::string_view defect, kernels::InstructionSet set);

}  // namespace troupe::tests
