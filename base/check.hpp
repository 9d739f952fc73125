// TROUPE_CHECK: what must hold if the program has no bug. It is on in every build.
#pragma once

#include <source_location>

namespace troupe {

/// Prints the place and what was believed, and stops the process.
[[noreturn]] void check_failed(const char* condition, const char* belief,
                               std::source_location where = std::source_location::current());

}  // namespace troupe

/// `TROUPE_CHECK(used <= capacity, "a pool never hands out more blocks than it has")`
#define TROUPE_CHECK(condition, belief)           \
  do {                                            \
    if (!(condition)) [[unlikely]]                \
      ::troupe::check_failed(#condition, belief); \
  } while (false)
