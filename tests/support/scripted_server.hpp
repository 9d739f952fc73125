// A small HTTP server on this machine for tests of what speaks to one: it reads whole requests, and answers with bytes exactly
// as it is told to, faults included. No timing: it sends, waits for the test, or for the other end to go away.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace troupe::tests {

struct SeenRequest {
  std::string target;   ///< "/v1/messages"
  std::string headers;  ///< as they came
  std::string body;
};

class ScriptedServer {
 public:
  /// One connection, after its request has been read. What returns closes the connection.
  class Connection {
   public:
    /// False if the other end is gone.
    bool send(const std::string& bytes);
    /// Returns when the other end has closed, or the server ends.
    void wait_for_close();
    /// Returns when `open` is called, or the server ends.
    void wait_for_gate();

   private:
    friend class ScriptedServer;
    Connection(ScriptedServer& server, int socket) : server_(server), socket_(socket) {}
    ScriptedServer& server_;
    int socket_;
  };
  using Answer = std::function<void(const SeenRequest&, Connection&)>;

  ScriptedServer();
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  /// Requests are answered in order, each by the next of these; those beyond the last by the last.
  void then(Answer answer);
  /// All requests from now on are answered so.
  void always(Answer answer);
  /// Lets all connections that wait for the gate go on, now and later.
  void open();
  std::vector<SeenRequest> seen() const;
  /// Returns when so many requests have been read.
  void wait_for_requests(std::size_t count);
  /// Returns when so many connections have ended.
  void wait_for_ended(std::size_t count);

 private:
  void accept_all();
  void serve(int socket);

  int listener_ = -1;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Answer> answers_;  // under the mutex, as what follows
  std::vector<SeenRequest> seen_;
  std::vector<std::thread> connections_;
  std::vector<int> sockets_;
  std::size_t ended_ = 0;
  bool open_ = false;
  bool closing_ = false;
  std::thread thread_;
};

// Answers.

/// A whole answer with its length.
std::string http_answer(int status, const std::string& body, const std::string& more_headers = {});
/// The head of an answer whose end is the connection's.
std::string http_stream_head();
/// "data: ...\n\n", with a name if there is one.
std::string server_event(const std::string& data, const std::string& name = {});
/// Streams a whole chat completion, in the OpenAI protocol, of 1000 tokens in and 500 out.
ScriptedServer::Answer saying(const std::string& text);
/// Begins to stream one, and says no more until the other end is gone.
ScriptedServer::Answer stalling_after(const std::string& text);

}  // namespace troupe::tests
