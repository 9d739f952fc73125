#include "gateway/listen.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

namespace troupe::gateway {

namespace {

constexpr int backlog = 128;

struct HostPort {
  std::string host;  ///< without brackets
  std::uint16_t port = 0;
};

Result<HostPort> parse(const std::string& address) {
  const auto colon = address.rfind(':');
  std::string_view host = std::string_view(address).substr(0, colon == std::string::npos ? address.size() : colon);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  std::uint16_t port = 0;
  bool whole = false;
  if (colon != std::string::npos) {
    const char* end = address.data() + address.size();
    const auto [last, problem] = std::from_chars(address.data() + colon + 1, end, port);
    whole = problem == std::errc{} && last == end;
  }
  if (!whole || host.empty() || (!bracketed && host.find(':') != std::string_view::npos)) {
    return Error{ErrorCode::invalid_argument,
                 "listen address \"" + address + "\" is not host:port, as in 127.0.0.1:7400 or [::1]:7400"};
  }
  return HostPort{host == "localhost" ? "127.0.0.1" : std::string(host), port};
}

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

/// Empty unless the host is an address of the loopback.
Result<SocketAddress> loopback(const HostPort& place, const std::string& address) {
  SocketAddress found;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&found.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&found.storage);
  if (inet_pton(AF_INET, place.host.c_str(), &v4->sin_addr) == 1 && (ntohl(v4->sin_addr.s_addr) >> 24U) == 127U) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(place.port);
    found.size = sizeof(sockaddr_in);
    return found;
  }
  found.storage = {};
  if (inet_pton(AF_INET6, place.host.c_str(), &v6->sin6_addr) == 1 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr)) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(place.port);
    found.size = sizeof(sockaddr_in6);
    return found;
  }
  return Error{ErrorCode::unsupported, "listen address " + address +
                                           " may be reached from other machines, and there are no credentials yet: whoever "
                                           "connected could ask and read; listen on 127.0.0.1, [::1] or localhost"};
}

Error failed(const char* what, const std::string& address) {
  const int problem = errno;
  return Error{ErrorCode::io, "cannot " + std::string(what) + " " + address + ": " + std::strerror(problem) +
                                  (problem == EADDRINUSE ? "; another process listens there, choose another port" : "")};
}

}  // namespace

Result<Listener> Listener::open(const std::string& address) {
  TROUPE_TRY(const HostPort place, parse(address));
  TROUPE_TRY(SocketAddress socket_address, loopback(place, address));
  auto* name = reinterpret_cast<sockaddr*>(&socket_address.storage);
  const int descriptor = ::socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return failed("make a socket for", address);
  Listener listener(descriptor, name->sa_family == AF_INET6 ? "[" + place.host + "]" : place.host, place.port);
  // A node that starts again finds its port still held by connections of the one before it.
  const int on = 1;
  ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (::bind(descriptor, name, socket_address.size) != 0) return failed("listen on", address);
  if (::listen(descriptor, backlog) != 0) return failed("listen on", address);
  if (::getsockname(descriptor, name, &socket_address.size) != 0) return failed("learn the port of", address);
  listener.port_ = ntohs(name->sa_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(name)->sin6_port
                                                     : reinterpret_cast<sockaddr_in*>(name)->sin_port);
  return listener;
}

Listener::Listener(Listener&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), host_(std::move(other.host_)), port_(other.port_) {}

Listener& Listener::operator=(Listener&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(host_, other.host_);
  std::swap(port_, other.port_);
  return *this;
}

Listener::~Listener() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace troupe::gateway
