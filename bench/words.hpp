// What a benchmark's two processes say to each other over a pipe: counted bytes.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace troupe::bench {

Result<void> say(int file, std::string_view bytes);
/// At most 64 KiB. `io` when the other end is closed.
Result<std::string> hear(int file);

}  // namespace troupe::bench
