// Randomness that nobody can predict, for names and seeds; behind an interface, so that a simulation can draw it from its seed.
#pragma once

#include <array>
#include <cstdint>

#include "base/name.hpp"

namespace troupe {

/// Any thread may draw.
class Entropy {
 public:
  virtual ~Entropy() = default;
  virtual std::uint64_t draw() = 0;

  template <class Name>
  Name draw_name() {
    Name name;
    for (std::size_t i = 0; i < name.bytes.size(); i += 8) {
      const std::uint64_t word = draw();
      for (std::size_t b = 0; b < 8; ++b) name.bytes[i + b] = static_cast<std::uint8_t>(word >> (8 * b));
    }
    return name;
  }
};

/// The operating system's.
class SystemEntropy final : public Entropy {
 public:
  std::uint64_t draw() override;
};

}  // namespace troupe
