// The ways in which warps of a kernel hand each other what is in shared memory, each by itself in a kernel so small that one
// sees that it is right. What compute-sanitizer's racecheck says of them tells what it can say of the kernels that use them.
#pragma once

#include <string_view>
#include <vector>

namespace troupe::kernels::cuda {

struct NamedHandOver {
  std::string_view name;
  bool is_race = false;
  int (*run)() = nullptr;  ///< how many elements a reader found that were not (yet) what was handed over
};
const std::vector<NamedHandOver>& hand_overs();

}  // namespace troupe::kernels::cuda
