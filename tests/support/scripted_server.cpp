#include "tests/support/scripted_server.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "base/check.hpp"

namespace troupe::tests {

namespace {
std::string piece(const std::string& text) { return server_event(R"({"choices":[{"delta":{"content":")" + text + "\"}}]}"); }

constexpr int look_again_ms = 20;

/// The request's bytes up to the end of its body, by its Content-Length; less if the other end goes away.
SeenRequest read_request(int socket) {
  std::string bytes;
  std::array<char, 65536> part{};
  std::size_t body_begin = std::string::npos;
  std::size_t body_bytes = 0;
  while (body_begin == std::string::npos || bytes.size() < body_begin + body_bytes) {
    const ssize_t got = ::recv(socket, part.data(), part.size(), 0);
    if (got <= 0) break;
    bytes.append(part.data(), static_cast<std::size_t>(got));
    const std::size_t end = bytes.find("\r\n\r\n");
    if (body_begin != std::string::npos || end == std::string::npos) continue;
    body_begin = end + 4;
    const std::size_t length = bytes.find("Content-Length: ");
    if (length < end) body_bytes = std::strtoull(bytes.c_str() + length + 16, nullptr, 10);
  }
  SeenRequest request;
  if (body_begin == std::string::npos) return request;
  const std::size_t target = bytes.find(' ') + 1;
  request.target = bytes.substr(target, bytes.find(' ', target) - target);
  request.headers = bytes.substr(0, body_begin);
  request.body = bytes.substr(body_begin);
  return request;
}

}  // namespace

bool ScriptedServer::Connection::send(const std::string& bytes) {
  for (std::size_t sent = 0; sent < bytes.size();) {
    const ssize_t more = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (more <= 0) return false;
    sent += static_cast<std::size_t>(more);
  }
  return true;
}

void ScriptedServer::Connection::wait_for_close() {
  std::array<char, 256> ignored{};
  while (::recv(socket_, ignored.data(), ignored.size(), 0) > 0) {
  }
}

void ScriptedServer::Connection::wait_for_gate() {
  std::unique_lock lock(server_.mutex_);
  server_.changed_.wait(lock, [&] { return server_.open_ || server_.closing_; });
}

ScriptedServer::ScriptedServer() {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  TROUPE_CHECK(listener_ >= 0 && ::bind(listener_, any, size) == 0 && ::listen(listener_, 64) == 0 &&
                   ::getsockname(listener_, any, &size) == 0,
               "a test can listen on this machine");
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { accept_all(); });
}

ScriptedServer::~ScriptedServer() {
  {
    const std::scoped_lock lock(mutex_);
    closing_ = true;
    for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
    changed_.notify_all();
  }
  thread_.join();
  for (std::thread& connection : connections_) connection.join();
  ::close(listener_);
}

void ScriptedServer::then(Answer answer) {
  const std::scoped_lock lock(mutex_);
  answers_.push_back(std::move(answer));
}

void ScriptedServer::always(Answer answer) {
  const std::scoped_lock lock(mutex_);
  answers_.assign(1, std::move(answer));
}

void ScriptedServer::open() {
  const std::scoped_lock lock(mutex_);
  open_ = true;
  changed_.notify_all();
}

std::vector<SeenRequest> ScriptedServer::seen() const {
  const std::scoped_lock lock(mutex_);
  return seen_;
}

void ScriptedServer::wait_for_requests(std::size_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return seen_.size() >= count; });
}

void ScriptedServer::wait_for_ended(std::size_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return ended_ >= count; });
}

void ScriptedServer::accept_all() {
  for (;;) {
    pollfd waiting{listener_, POLLIN, 0};
    ::poll(&waiting, 1, look_again_ms);
    const std::scoped_lock lock(mutex_);
    if (closing_) return;
    if ((waiting.revents & POLLIN) == 0) continue;
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) continue;
    sockets_.push_back(socket);
    connections_.emplace_back([this, socket] { serve(socket); });
  }
}

void ScriptedServer::serve(int socket) {
  const SeenRequest request = read_request(socket);
  Answer answer;
  {
    const std::scoped_lock lock(mutex_);
    if (!request.target.empty() && !answers_.empty()) {
      answer = answers_.front();
      if (answers_.size() > 1) answers_.pop_front();
      seen_.push_back(request);
    }
    changed_.notify_all();
  }
  Connection connection(*this, socket);
  if (answer) answer(request, connection);
  const std::scoped_lock lock(mutex_);
  std::erase(sockets_, socket);
  ::close(socket);
  ended_ += answer ? 1 : 0;
  changed_.notify_all();
}

std::string http_answer(int status, const std::string& body, const std::string& more_headers) {
  return "HTTP/1.1 " + std::to_string(status) +
         " Answer\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\nConnection: close\r\n" + more_headers + "\r\n" + body;
}

std::string http_stream_head() { return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"; }

std::string server_event(const std::string& data, const std::string& name) {
  return (name.empty() ? "" : "event: " + name + "\n") + "data: " + data + "\n\n";
}

ScriptedServer::Answer saying(const std::string& text) {
  return [text](const SeenRequest&, ScriptedServer::Connection& connection) {
    connection.send(http_stream_head() + piece(text) + server_event(R"({"choices":[{"delta":{},"finish_reason":"stop"}]})") +
                    server_event(R"({"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":500}})") +
                    server_event("[DONE]"));
  };
}

ScriptedServer::Answer stalling_after(const std::string& text) {
  return [text](const SeenRequest&, ScriptedServer::Connection& connection) {
    connection.send(http_stream_head() + piece(text));
    connection.wait_for_close();
  };
}

}  // namespace troupe::tests
