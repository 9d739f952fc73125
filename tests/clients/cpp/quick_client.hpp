// A client of tests: connected, or an error, soon.
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/check.hpp"
#include "clients/cpp/client.hpp"

namespace troupe::clients {

inline ClientOptions quick() {
  using namespace std::chrono_literals;
  ClientOptions options;
  options.connect_timeout = 300ms;
  options.reply_timeout = 500ms;
  options.patience = 5s;
  options.probe_interval = 100ms;
  return options;
}

/// Interrupted once `interrupt` is true, which outlives the client.
inline ClientOptions quick_until(const std::atomic<bool>& interrupt) {
  ClientOptions options = quick();
  options.interrupted = [&interrupt] { return interrupt.load(); };
  return options;
}

inline Client connected(const std::vector<std::string>& addresses, ClientOptions options = quick()) {
  auto client = Client::connect(addresses, std::move(options));
  TROUPE_CHECK(client.has_value(), "the gateway of this test can be reached");
  return std::move(*client);
}

}  // namespace troupe::clients
