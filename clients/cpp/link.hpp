// The client's thread with its event loop, the connection that it holds to one of several nodes, and how a blocking caller's
// work gets there and is tried again elsewhere.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "clients/cpp/attempt.hpp"
#include "clients/cpp/client.hpp"
#include "clients/cpp/peer.hpp"
#include "gateway/kj_inbox.hpp"

namespace troupe::clients {

class Loop;
using LoopTask = std::function<void(Loop&)>;

class Link {
 public:
  /// Runs in the loop's thread with a connection, which outlives the promise. The promise fails if the connection does.
  using Work = std::function<kj::Promise<void>(const std::shared_ptr<Peer>&)>;
  /// How often a waiting caller looks around.
  static constexpr Duration glance = std::chrono::milliseconds(50);

  Link(std::vector<std::string> addresses, ClientOptions options);
  ~Link();

  const ClientOptions& options() const { return options_; }
  TimePoint now() const { return clock_.now(); }
  bool interrupted() const { return options_.interrupted && options_.interrupted(); }
  /// "no answer from a, b within 15 s: <last problem>"
  Error no_answer(Duration waited, const Error& last) const;

  /// Starts one try, with `timeout` for the work once there is a connection (zero: none).
  std::shared_ptr<Attempt> start(Work work, Duration timeout);
  /// A node said that it cannot: the next try goes to the next address.
  void leave_node();
  /// Waits before try number `tried` (from 1), so that a cluster that comes back is not flooded. False if interrupted.
  bool pause(int tried, bool interruptible) const;

  /// Tries until there is an answer other than `unavailable`, or `patience` is over. `once`: does not try again.
  template <class T>
  Result<T> call(std::function<Promised<T>(const std::shared_ptr<Peer>&)> work, TimePoint deadline, bool interruptible = true,
                 bool once = false);
  template <class T>
  Result<T> call(std::function<Promised<T>(const std::shared_ptr<Peer>&)> work) {
    return call<T>(std::move(work), now() + options_.patience);
  }

 private:
  void run();
  /// None when the attempt has finished well.
  std::optional<Error> wait(Attempt& attempt, TimePoint deadline, bool interruptible) const;

  std::vector<std::string> addresses_;
  ClientOptions options_;
  SystemClock clock_;
  gateway::KjInbox<LoopTask> inbox_;
  std::thread thread_;
};

template <class T>
Result<T> Link::call(std::function<Promised<T>(const std::shared_ptr<Peer>&)> work, TimePoint deadline, bool interruptible,
                     bool once) {
  const TimePoint began = now();
  std::optional<Error> said;  // the last that a node said
  for (int tried = 1;; ++tried) {
    // Belongs to this try alone: one that was abandoned may still write to its own.
    auto slot = std::make_shared<Answered<T>>();
    const auto attempt = start(
        [work, slot](const std::shared_ptr<Peer>& peer) {
          return work(peer).then([slot](Answered<T> answer) { *slot = std::move(answer); });
        },
        options_.reply_timeout);
    std::optional<Error> problem = wait(*attempt, deadline, interruptible);
    if (!problem) {
      Result<T>& result = **slot;
      if (result || once || result.error().code != ErrorCode::unavailable) return std::move(result);
      problem = said = result.error();
      leave_node();
    }
    if (once || problem->code == ErrorCode::cancelled || problem->code == ErrorCode::unsupported) return *problem;
    if (now() >= deadline) return no_answer(now() - began, said.value_or(*problem));
    if (!pause(tried, interruptible)) return Error{ErrorCode::cancelled, "interrupted while no node answered"};
  }
}

}  // namespace troupe::clients
