#include "base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace troupe {

void check_failed(const char* condition, const char* belief, std::source_location where) {
  std::fprintf(stderr, "troupe: check failed at %s:%u: %s (we believed: %s)\n", where.file_name(), where.line(), condition,
               belief);
  std::abort();
}

}  // namespace troupe
