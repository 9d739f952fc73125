// What happened in a simulated run, as lines that a person can read, and what of it should not have happened.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"

namespace troupe::sim {

class Trace {
 public:
  static constexpr std::size_t violations_max = 20;

  /// Lines are kept only for somebody who wants to read them; the hash is made of all of them in any case.
  explicit Trace(bool keep) : keep_(keep) {}

  /// "   1.234567 a  what"; `who` is a node, a client or the world.
  void note(Duration time, std::string_view who, std::string_view what);
  void violated(Duration time, std::string what);

  const std::vector<std::string>& lines() const { return lines_; }
  const std::vector<std::string>& violations() const { return violations_; }
  /// Two runs of equal hash did the same.
  std::uint64_t hash() const { return hash_; }

 private:
  bool keep_;
  std::vector<std::string> lines_;
  std::vector<std::string> violations_;
  std::uint64_t hash_ = 0xcbf29ce484222325ULL;
};

/// FNV-1a, for what must be a function of its text and nothing else.
std::uint64_t hash_of(std::string_view bytes, std::uint64_t from = 0xcbf29ce484222325ULL);

}  // namespace troupe::sim
