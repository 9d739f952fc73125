// Text within HTML and XML.
#pragma once

#include <string>
#include <string_view>

namespace troupe::bench {

/// The text with "&", "<", ">" and quotes as HTML and XML write them.
std::string escaped(std::string_view text);

}  // namespace troupe::bench
