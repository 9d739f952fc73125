// The inside of a framed fabric: framed_core.cpp has its thread and its peers, framed_outbound.cpp what this node asks of
// others, framed_inbound.cpp what others ask of it. Everything is the fabric's thread's alone, but for what `shared_` guards.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "base/entropy.hpp"
#include "cluster/frames.hpp"
#include "cluster/message_buffers.hpp"
#include "cluster/wire.hpp"

namespace troupe::cluster {

struct FramedTransfer {
  enum class Kind : std::uint8_t { message, get, put };
  Kind kind = Kind::message;
  TransferId id;
  NodeId to;
  Channel channel = Channel::test;
  Payload message;
  RegionPtr local;
  RegionId remote;
  std::vector<Piece> pieces;
  std::uint64_t bytes = 0;
  TimePoint deadline;
  TransferDone done;

  std::uint64_t peer = 0;          ///< its serial, once it waits there
  std::size_t piece = 0;           ///< where the next chunk begins
  std::uint64_t offset = 0;        ///< within that piece
  std::set<std::uint64_t> chunks;  ///< that are under way
  bool issued = false;             ///< all of it is under way, or was
  bool sending = false;            ///< the wire holds the message
  std::optional<Error> outcome;    ///< how it ends, if not well
  std::optional<std::multimap<TimePoint, std::function<void()>>::iterator> timer;
};
using FramedTransferPtr = std::shared_ptr<FramedTransfer>;

/// A part of a get or put that one frame moves.
struct FramedChunk {
  FramedTransferPtr transfer;
  std::vector<Piece> pieces;
  std::uint64_t bytes = 0;
  MessageBuffer gathered;  ///< where several pieces stand together
  bool held = false;       ///< the wire may touch its memory
  bool answered = false;
};

struct FramedMessage {
  MessageBuffer buffer;
  bool complete = false;
};

struct FramedPeer {
  std::uint64_t serial = 0;
  NodeId name;
  FabricAddress address;
  LinkId link;
  std::uint64_t greeting = 0;   ///< the number of our hello
  std::uint64_t greeted = 0;    ///< the number of its last one; 0: it has not greeted
  bool welcome = false;         ///< we know its session: it listens to us
  std::uint64_t session = 0;    ///< what our frames to it carry
  std::uint64_t listening = 0;  ///< what its frames to us carry

  std::deque<FramedTransferPtr> messages;  ///< that wait
  std::deque<FramedTransferPtr> moves;     ///< gets and puts that wait, or have chunks to come
  std::size_t message_bytes = 0;           ///< that it has not finished with
  std::size_t chunk_bytes = 0;
  std::size_t chunks = 0;
  std::array<std::uint64_t, channels> next_out{};

  std::array<std::uint64_t, channels> next_in{};
  std::array<std::map<std::uint64_t, FramedMessage>, channels> arriving;
  std::size_t held_bytes = 0;  ///< of its messages that we have not finished with
  std::size_t credit = 0;      ///< finished with, and not told yet
  bool credit_timer = false;
  std::size_t serving = 0;
};

class FramedCore {
 public:
  FramedCore(NodeId name, const FabricLimits& limits, std::unique_ptr<Wire> wire);
  ~FramedCore();
  FramedCore(const FramedCore&) = delete;
  FramedCore& operator=(const FramedCore&) = delete;

  const FabricLimits& limits() const { return limits_; }
  const std::string& address() const { return address_; }
  std::string_view transport() const { return wire_->transport(); }
  Result<void> connect(const NodeId& peer, const std::string& address);
  void disconnect(const NodeId& peer);
  void set_lost(OnPeerLost lost);
  void set_receiver(Channel channel, OnMessage on_message);
  RegionPtr expose(std::span<std::byte> memory, std::shared_ptr<const void> owner);
  TransferId submit(FramedTransferPtr transfer);
  void cancel(TransferId id);

 private:
  static constexpr std::size_t chunks_max = 8;    ///< under way to a peer at a time
  static constexpr std::size_t serving_max = 64;  ///< answers under way to a peer; whoever asks for more is not one of us
  static constexpr std::uint64_t gathered_piece_max = std::uint64_t{64} << 10;  ///< smaller pieces travel together
  static constexpr std::uint64_t gathered_bytes_max = std::uint64_t{256} << 10;
  static constexpr Duration serving_time_max = std::chrono::seconds(30);  ///< a peer that takes longer is broken off
  static constexpr Duration credit_delay = std::chrono::milliseconds(2);
  static constexpr int progress_max = 64;  ///< events in a row before commands and timers get their turn

  using Timers = std::multimap<TimePoint, std::function<void()>>;

  // The thread.
  void run();
  void post(std::function<void()> command);
  bool run_commands();
  bool run_timers();
  bool tidy_up();
  void finish();
  Timers::iterator at(TimePoint time, std::function<void()> work) { return timers_.emplace(time, std::move(work)); }

  // Peers.
  FramedPeer* find(const NodeId& name);
  FramedPeer* find(std::uint64_t serial);
  /// And greets it; `answers` is the number of its hello that made us, 0 if it was not that.
  FramedPeer* make_peer(const NodeId& name, const FabricAddress& address, std::uint64_t answers);
  void do_connect(const NodeId& name, const FabricAddress& address);
  void lose(FramedPeer& peer, const Error& why, bool tell);
  void accuse(FramedPeer& peer, const std::string& what);

  // What this node asks of others.
  void start(const FramedTransferPtr& transfer);
  Result<void> check(FramedTransfer& transfer);
  void pump(FramedPeer& peer);
  void send_message(FramedPeer& peer, const FramedTransferPtr& transfer);
  void issue_chunk(FramedPeer& peer, const FramedTransferPtr& transfer);
  FramedChunk next_chunk(const FramedTransferPtr& transfer);
  void end_chunk(std::uint64_t id);
  void stop(const FramedTransferPtr& transfer, const Error& why);
  void try_end(const FramedTransferPtr& transfer);
  void on_data(FramedPeer& peer, const FrameHead& head, Arrival& arrival);
  void on_stored(FramedPeer& peer, const FrameHead& head);

  // What others ask of it.
  void on_frame(Arrival& arrival);
  void on_hello(const FrameHead& head, Arrival& arrival);
  void meet(FramedPeer& peer, const FrameHead& head);
  void on_message(FramedPeer& peer, const FrameHead& head, Arrival& arrival);
  void deliver(FramedPeer& peer, std::size_t channel);
  void finish_message(std::uint64_t serial, std::size_t cost);
  void send_credit(FramedPeer& peer);
  FrameHead head_to(const FramedPeer& peer, FrameKind kind, std::uint64_t id) const;
  void on_get(FramedPeer& peer, const Frame& frame);
  void on_put(FramedPeer& peer, const Frame& frame, Arrival& arrival);
  Result<RegionPtr> look_up(const Extents& extents);
  void answer(FramedPeer& peer, FrameKind kind, std::uint64_t id, const Result<void>& result);

  const SystemClock clock_;
  SystemEntropy entropy_;
  const NodeId name_;
  const FabricLimits limits_;
  std::unique_ptr<Wire> wire_;
  const FabricToken token_;
  const std::string address_;
  std::shared_ptr<MessageBuffers> buffers_;
  std::shared_ptr<MessageReturns> returns_;

  std::mutex shared_;
  std::vector<std::function<void()>> commands_;
  std::map<NodeId, std::string> connected_;
  OnPeerLost lost_;
  std::array<OnMessage, channels> receivers_;
  std::map<RegionId, std::weak_ptr<Region>> regions_;
  bool ending_ = false;
  std::atomic<bool> asleep_ = false;
  std::atomic<std::uint64_t> drawn_ = 0;

  std::uint64_t greetings_ = 0;  ///< hellos so far, to anybody
  std::map<NodeId, std::unique_ptr<FramedPeer>> peers_;
  std::map<std::uint64_t, FramedPeer*> sessions_;
  std::map<TransferId, FramedTransferPtr> transfers_;
  std::map<std::uint64_t, FramedChunk> chunks_;
  Timers timers_;
  std::vector<std::pair<LinkId, Error>> broken_;  ///< found by the wire, and not told yet
  std::vector<std::pair<std::uint64_t, Error>> accused_;
  std::vector<LinkId> to_close_;
  std::thread thread_;
};

}  // namespace troupe::cluster
