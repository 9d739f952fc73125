// Sockets that only this machine can reach. Until there are credentials, every other address is refused.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"

namespace troupe::gateway {

/// A bound socket that accepts connections; closes itself.
class Listener {
 public:
  /// `address` is "host:port": an address of the loopback (127.x.y.z, [::1]) or "localhost". Port 0 is any free one.
  static Result<Listener> open(const std::string& address);

  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&& other) noexcept;
  ~Listener();

  int descriptor() const { return descriptor_; }
  std::uint16_t port() const { return port_; }
  /// "host:port" with the port that was given.
  std::string address() const { return host_ + ":" + std::to_string(port_); }

 private:
  Listener(int descriptor, std::string host, std::uint16_t port)
      : descriptor_(descriptor), host_(std::move(host)), port_(port) {}

  int descriptor_ = -1;
  std::string host_;
  std::uint16_t port_ = 0;
};

}  // namespace troupe::gateway
