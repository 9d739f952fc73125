// What the fabric's tests look at transfers with.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "cluster/fabric.hpp"

namespace troupe::cluster {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline const NodeId node_a{"a"};
inline const NodeId node_b{"b"};

inline TimePoint in(Duration time) { return SystemClock().now() + time; }
inline TimePoint soon() { return in(seconds(20)); }

inline std::vector<std::byte> random_bytes(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
  return bytes;
}

/// What a transfer ended with; waits for it.
class End {
 public:
  TransferDone done() {
    return [state = state_](Result<void> result) {
      const std::scoped_lock lock(state->mutex);
      ++state->times;
      state->result = std::move(result);
      state->changed.notify_all();
    };
  }
  Result<void> wait() const {
    std::unique_lock lock(state_->mutex);
    if (!state_->changed.wait_for(lock, seconds(20), [this] { return state_->times > 0; })) {
      return Error{ErrorCode::io, "the test waited for 20 s, and the transfer did not end"};
    }
    return state_->result;
  }
  std::string wait_code() const {
    const auto result = wait();
    return result ? "ok" : std::string(to_string(result.error().code));
  }
  int times() const {
    const std::scoped_lock lock(state_->mutex);
    return state_->times;
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    int times = 0;
    Result<void> result;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

/// Messages that arrived, in their order.
class Inbox {
 public:
  OnMessage listener() {
    return [this](const NodeId& from, Payload message) {
      const std::scoped_lock lock(mutex_);
      from_.push_back(from);
      messages_.push_back(std::move(message));
      changed_.notify_all();
    };
  }
  bool wait(std::size_t count, Duration patience = seconds(20)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return messages_.size() >= count; });
  }
  std::vector<std::byte> at(std::size_t index) {
    const std::scoped_lock lock(mutex_);
    return {messages_.at(index).bytes.begin(), messages_.at(index).bytes.end()};
  }
  NodeId from(std::size_t index) {
    const std::scoped_lock lock(mutex_);
    return from_.at(index);
  }
  std::size_t count() {
    const std::scoped_lock lock(mutex_);
    return messages_.size();
  }
  /// Lets go of what has arrived.
  void drop() {
    std::vector<Payload> dropped;
    const std::scoped_lock lock(mutex_);
    dropped.swap(messages_);
    from_.clear();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<NodeId> from_;
  std::vector<Payload> messages_;
};

/// Memory and the region that exposes it.
struct Exposed {
  Exposed(Fabric& fabric, std::vector<std::byte> contents)
      : memory(std::make_shared<std::vector<std::byte>>(std::move(contents))), region(*fabric.expose(*memory, memory)) {}
  std::shared_ptr<std::vector<std::byte>> memory;
  RegionPtr region;
};

/// Whom a fabric has lost.
class Losses {
 public:
  explicit Losses(Fabric& fabric) {
    fabric.on_peer_lost([state = state_](const NodeId& peer, const Error& why) {
      EXPECT_EQ(why.code, ErrorCode::unavailable);
      const std::scoped_lock lock(state->mutex);
      state->lost.push_back(peer);
      state->changed.notify_all();
    });
  }
  /// The first, or nobody if none was lost within two seconds.
  NodeId wait() const {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait_for(lock, seconds(2), [this] { return !state_->lost.empty(); });
    return state_->lost.empty() ? NodeId{} : state_->lost.front();
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<NodeId> lost;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace troupe::cluster
