#include "tests/sim/trace.hpp"

#include <array>
#include <cstdio>
#include <utility>

namespace troupe::sim {

std::uint64_t hash_of(std::string_view bytes, std::uint64_t from) {
  constexpr std::uint64_t prime = 0x100000001b3ULL;
  for (const char byte : bytes) from = (from ^ static_cast<unsigned char>(byte)) * prime;
  return from;
}

void Trace::note(Duration time, std::string_view who, std::string_view what) {
  const auto nanoseconds = time.count();
  hash_ = hash_of(what, hash_of(who, hash_ ^ static_cast<std::uint64_t>(nanoseconds)));
  if (!keep_) return;
  std::array<char, 32> clock{};
  std::snprintf(clock.data(), clock.size(), "%4lld.%06lld ", static_cast<long long>(nanoseconds / 1'000'000'000),
                static_cast<long long>(nanoseconds / 1000 % 1'000'000));
  std::string line = clock.data();
  line += who;
  line.append(who.size() < 8 ? 8 - who.size() : 1, ' ');
  line += what;
  lines_.push_back(std::move(line));
}

void Trace::violated(Duration time, std::string what) {
  note(time, "VIOLATED", what);
  if (violations_.size() < violations_max) violations_.push_back(std::move(what));
}

}  // namespace troupe::sim
