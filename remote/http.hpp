// HTTP as remote models need it: one POST, its answer byte by byte, and time. Behind an interface, so that tests decide what
// comes and what time it is; curl_http.hpp is the real one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace troupe::remote {

struct HttpRequest {
  std::string url;
  std::vector<std::string> headers;  ///< "Name: value"
  std::string body;
  std::string ca_file;  ///< trusted instead of the system's certificates; empty: those
  std::string proxy;    ///< empty: none
  Duration connect_timeout = std::chrono::seconds(10);
};

struct HttpHead {
  int status = 0;
  std::optional<Duration> retry_after;  ///< as the server asks for
};

/// Told of an exchange as it goes on, by the thread of the Http.
class HttpListener {
 public:
  virtual ~HttpListener() = default;
  virtual void on_head(const HttpHead& head) = 0;
  virtual void on_bytes(std::string_view bytes) = 0;
  /// Last, unless the exchange was cancelled. `unavailable`: there was no connection, or it broke.
  virtual void on_end(Result<void> end) = 0;
};

/// One thread on which everything of it happens.
class Http {
 public:
  using ExchangeId = std::uint64_t;
  using Work = std::function<void()>;

  virtual ~Http() = default;
  /// Runs `work` on its thread, soon; may be called from any thread. Works run in the order of the calls, and not at all once
  /// the Http is about to end.
  virtual void post(Work work) = 0;

  // From here on only on its thread.

  virtual TimePoint now() const = 0;
  virtual void at(TimePoint when, Work work) = 0;
  /// Begins an exchange; nothing is told within this call. The listener lives until its end, or until it is cancelled.
  virtual ExchangeId begin(HttpRequest request, std::shared_ptr<HttpListener> listener) = 0;
  /// Nothing more is told of it. Unknown ones are ignored. May be called while it is told something.
  virtual void cancel(ExchangeId exchange) = 0;
};

}  // namespace troupe::remote
