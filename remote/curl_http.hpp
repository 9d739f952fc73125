// HTTP by libcurl, on a thread of its own. The door to libcurl.
#pragma once

#include <memory>

#include "remote/http.hpp"

namespace troupe::remote {

/// `io` if libcurl cannot be used. When it is destroyed its exchanges end, and nothing is told any more.
///
/// It follows no redirects, reads no environment and no .netrc, and speaks nothing but http and https with verified
/// certificates.
Result<std::unique_ptr<Http>> open_curl_http();

}  // namespace troupe::remote
