// What the fabrics of a LocalHub share: who is there, and what is under way between whom. One mutex guards all of it; what
// callers gave to be called is called outside of it, by whoever has the turn.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "cluster/local_fabric.hpp"

namespace troupe::cluster {

class LocalCore;

class LocalRegion final : public Region {
 public:
  LocalRegion(std::uint64_t id, std::span<std::byte> memory, std::shared_ptr<const void> owner)
      : id_(id), memory_(memory), owner_(std::move(owner)) {}
  std::span<std::byte> memory() const override { return memory_; }
  RemoteRegion remote() const override { return {"local:" + std::to_string(id_), memory_.size()}; }

 private:
  std::uint64_t id_;
  std::span<std::byte> memory_;
  std::shared_ptr<const void> owner_;
};

struct LocalTransfer {
  TransferId id;
  std::uint64_t link = 0;  ///< the serial of the link that it was given to
  LocalOperation what;
  Payload message;
  RegionPtr local;
  RemoteRegion remote;
  std::vector<Piece> pieces;
  TimePoint deadline;
  TransferDone done;
  bool begun = false;
  bool due = false;              ///< its delay is over
  std::optional<Error> outcome;  ///< cancelled or overdue, but not over yet
  LocalFault fault;
  std::size_t cost() const { return what.bytes + (what.kind == LocalOperation::Kind::message ? message_overhead_bytes : 0); }
};
using LocalTransferPtr = std::shared_ptr<LocalTransfer>;

/// One direction between two nodes, at the one who asks.
struct LocalLink {
  std::uint64_t serial = 0;       ///< tells it from an earlier one to the same peer
  std::uint64_t incarnation = 0;  ///< of the peer
  std::deque<LocalTransferPtr> waiting;
  std::array<std::deque<LocalTransferPtr>, channels> order;  ///< messages that have begun
  std::size_t message_bytes = 0;
  std::size_t transfer_bytes = 0;
};

struct LocalNode {
  NodeId name;
  std::uint64_t incarnation = 0;
  FabricLimits limits;
  OnPeerLost lost;
  std::array<OnMessage, channels> receivers;
  std::map<NodeId, LocalLink> links;
  std::map<TransferId, LocalTransferPtr> transfers;
  std::set<std::pair<TimePoint, TransferId>> deadlines;
  TimePoint watched = TimePoint::min();  ///< when somebody will look at them
  bool ended = false;
  std::string address() const { return "local:" + std::to_string(incarnation); }
};

class LocalCore : public std::enable_shared_from_this<LocalCore> {
 public:
  LocalCore(Schedule schedule, const Clock& clock, LocalFaults faults)
      : schedule_(std::move(schedule)), clock_(clock), faults_(std::move(faults)) {}

  Result<LocalNode*> join(const NodeId& name, const FabricLimits& limits);
  void leave(LocalNode& node);
  void part(const NodeId& one, const NodeId& other);
  bool empty();

  Result<void> connect(LocalNode& node, const NodeId& peer, const std::string& address);
  void disconnect(LocalNode& node, const NodeId& peer);
  void set_lost(LocalNode& node, OnPeerLost lost);
  void set_receiver(LocalNode& node, Channel channel, OnMessage on_message);
  Result<RegionPtr> expose(LocalNode& node, std::span<std::byte> memory, std::shared_ptr<const void> owner);
  TransferId submit(LocalNode& node, LocalTransferPtr transfer);
  void cancel(LocalNode& node, TransferId id);
  /// A message that its receiver has finished with.
  void give_back(const NodeId& sender, const NodeId& receiver, std::uint64_t serial, std::size_t bytes);

 private:
  using Calls = std::vector<std::function<void()>>;
  /// Runs `work(calls)` under the mutex and then the calls outside of it, when nobody else does. `later` has the hub do so.
  void turn(const std::function<void(Calls&)>& work);
  void later(Duration after, std::function<void(Calls&)> work);
  void later(Duration after, const NodeId& node, std::uint64_t incarnation, std::function<void(LocalNode&, Calls&)> work);

  LocalNode* find(const NodeId& name, std::uint64_t incarnation);
  Result<void> check(const LocalNode& node, LocalTransfer& transfer) const;
  void start(LocalNode& node, TransferId id, Calls& calls);
  void pump(LocalNode& node, const NodeId& peer, Calls& calls);
  void begin(LocalNode& node, LocalLink& link, const LocalTransferPtr& transfer, Calls& calls);
  void on_due(LocalNode& node, TransferId id, Calls& calls);
  void deliver(LocalNode& node, LocalLink& link, Channel channel, Calls& calls);
  void hand_over(LocalNode& node, LocalLink& link, const LocalTransferPtr& transfer, Calls& calls);
  void move_bytes(LocalNode& node, const LocalTransferPtr& transfer, Calls& calls);
  void stop(LocalNode& node, TransferId id, const Error& why, Calls& calls);
  void end(LocalNode& node, const LocalTransferPtr& transfer, Result<void> result, Calls& calls);
  /// Forgets a peer at once, and ends what was under way to it in a turn of its own.
  void drop(LocalNode& node, const NodeId& peer, const Error& why);
  void forget(LocalNode& node, const NodeId& peer, const Error& why, Calls& calls);
  void lose(LocalNode& node, const NodeId& peer, const Error& why, Calls& calls);
  void watch_deadlines(LocalNode& node);

  Schedule schedule_;
  const Clock& clock_;
  LocalFaults faults_;
  std::mutex mutex_;
  std::condition_variable free_;
  bool busy_ = false;
  std::thread::id by_;  ///< who has the turn
  std::uint64_t drawn_ = 0;
  std::map<NodeId, LocalNode> nodes_;
  std::map<std::uint64_t, std::pair<NodeId, std::weak_ptr<LocalRegion>>> regions_;
};

}  // namespace troupe::cluster
