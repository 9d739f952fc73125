#include "base/entropy.hpp"

#include <random>

namespace troupe {

std::uint64_t SystemEntropy::draw() {
  thread_local std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32) | device();
}

}  // namespace troupe
