// What tests/support/broken_kernels.hpp is on a CPU: kernels that are wrong on purpose, to see that the Bits property finds it.
// Each does right by a sequence that runs alone, and is off by the last bit of a number, or by a position, where placement
// differs.
//
// Nothing of the real kernels changes for it: the linker puts wrappers between a transformer and the functions that launch them
// (--wrap; CMakeLists.txt), and a wrapper spoils what it hands on or what came out. So what is planted holds for the process.
#pragma once

#include <span>
#include <string_view>

#include "tests/support/broken_kernels.hpp"

namespace troupe::tests {

std::span<const Defect> launcher_defects();

/// From now on; empty: none. Stops the process if there is none of that name. Not while something is launched.
void break_launchers(std::string_view defect);

}  // namespace troupe::tests
