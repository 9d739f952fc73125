// The door for clients and operators: Cap'n Proto RPC (schemas/client.capnp) over Front, on the loopback.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "actors/front.hpp"
#include "base/result.hpp"
#include "gateway/front_bridge.hpp"
#include "gateway/listen.hpp"
#include "gateway/service.hpp"

namespace troupe::gateway {

struct GatewayOptions {
  /// "host:port", all of the loopback; port 0 is any free one.
  std::vector<std::string> listen = {"127.0.0.1:7400"};
  GatewayLimits limits;
};

/// Clients may connect from `open` on; they are served while `run` runs.
class Gateway {
 public:
  /// How often `run` looks whether it should end by itself.
  static constexpr std::chrono::milliseconds until_interval{50};

  /// `front` must outlive the gateway. An address that cannot be had, or is not of the loopback, is an Error.
  static Result<std::unique_ptr<Gateway>> open(actors::Front& front, const GatewayOptions& options);
  /// The same with sockets that are open already, one at least: their addresses may be needed before there is a front.
  static std::unique_ptr<Gateway> open(actors::Front& front, std::vector<Listener> listeners, const GatewayLimits& limits = {});
  ~Gateway();

  /// Serves on the calling thread, which must have no KJ event loop, until `stop()` or until `until()` says so. Afterwards all
  /// connections are closed and all Readers destroyed. Once.
  void run(const std::function<bool()>& until = {});
  /// From any thread, before or while `run` runs.
  void stop();

  /// Of the first address.
  std::uint16_t port() const { return listeners_.front().port(); }
  /// "host:port" of each, with the ports that were given.
  std::vector<std::string> addresses() const;

 private:
  Gateway(actors::Front& front, const GatewayLimits& limits, std::vector<Listener> listeners);

  actors::Front& front_;
  GatewayLimits limits_;
  std::vector<Listener> listeners_;
  std::shared_ptr<TaskInbox> inbox_;
  bool stopping_ = false;  // of the loop's thread
};

}  // namespace troupe::gateway
