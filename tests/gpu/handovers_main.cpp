// Runs one of the hand-overs of handovers.hpp, or all; dev/gpu does so under compute-sanitizer.
#include <cstdio>

#include "tests/gpu/handovers.hpp"

int main(int count, char** values) {
  using troupe::kernels::cuda::NamedHandOver;
  int wrong = 0;
  int found = 0;
  for (const NamedHandOver& each : troupe::kernels::cuda::hand_overs()) {
    if (count > 1 && each.name != values[1]) continue;
    ++found;
    const int of_this = each.run();
    std::printf("%.*s: %d wrong\n", static_cast<int>(each.name.size()), each.name.data(), of_this);
    if (!each.is_race) wrong += of_this;
  }
  if (found == 0) std::fprintf(stderr, "gpu_handovers: there is no hand-over named %s\n", values[1]);
  return found == 0 ? 2 : wrong == 0 ? 0 : 1;
}
