// The data plane: moves bulk bytes between nodes (KV blocks, expert activations, weights). Actors agree on what moves where;
// the bytes themselves never ride on an actor's message. In-process (local_fabric.hpp), UCX (ucx_fabric.hpp) or NCCL
// (nccl_fabric.hpp).
//
// Anything may be late, fail or be cut short; nothing arrives damaged and in silence except as its sender made it. Nothing is
// ordered but the messages of one channel from one peer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/result.hpp"
#include "policy/cluster_view.hpp"

namespace troupe::cluster {

using policy::NodeId;

struct FabricLimits {
  /// Of one message; a longer one is `too_large`, and refused on arrival. At most window_bytes.
  std::size_t message_bytes_max = std::size_t{64} << 20;
  /// Messages to one peer that it has not finished with, each with message_overhead_bytes, and, counted apart, the pieces of
  /// transfers under way; more waits at the sender. What is larger than the window goes alone. The same on all nodes.
  std::size_t window_bytes = std::size_t{128} << 20;
  std::size_t waiting_max = 4096;    ///< messages and transfers to one peer that wait; one more is `overloaded`
  std::size_t pieces_max = 1 << 16;  ///< of one transfer
  std::size_t peers_max = 1024;
};
/// What a message counts for beside its bytes, so that a window bounds the empty ones too.
inline constexpr std::size_t message_overhead_bytes = 256;
/// How long a transfer that is cancelled or overdue may still hold its memory; then whatever holds it up is broken off.
inline constexpr Duration fabric_grace = std::chrono::seconds(1);

/// What another node needs to reach a region: made by the fabric that exposes it, told to peers by actors, opaque to both.
struct RemoteRegion {
  static constexpr std::size_t key_bytes_max = 1024;
  std::string key;
  std::uint64_t bytes = 0;
  friend bool operator==(const RemoteRegion&, const RemoteRegion&) = default;
};

/// Memory that a fabric may read and write. Whoever holds a region keeps the memory's owner alive, and a transfer holds its
/// regions until the fabric has confirmed its end.
class Region {
 public:
  virtual ~Region() = default;
  virtual std::span<std::byte> memory() const = 0;
  virtual RemoteRegion remote() const = 0;
};
using RegionPtr = std::shared_ptr<Region>;

/// Bytes of a transfer that stand together at both ends. Offsets count from the regions' beginnings.
struct Piece {
  std::uint64_t remote_offset = 0;
  std::uint64_t local_offset = 0;
  std::uint64_t bytes = 0;
  friend bool operator==(const Piece&, const Piece&) = default;
};

/// Bytes with whatever keeps them alive. Aligned to 8.
struct Payload {
  std::shared_ptr<const void> owner;
  std::span<const std::byte> bytes;
};
/// A payload that owns a copy.
Payload payload_of(std::span<const std::byte> bytes);

/// What every fabric checks before it takes a transfer: the number of pieces, that each lies inside of both regions, and that
/// their sum is a number. Returns the sum.
Result<std::uint64_t> check_pieces(std::span<const Piece> pieces, std::uint64_t local_bytes, std::uint64_t remote_bytes,
                                   const FabricLimits& limits);

/// `greeting`: by which a node finds out that a peer is there (fabric_links.hpp). `control` belongs to a fabric that is built
/// on another one (device_fabric.hpp).
enum class Channel : std::uint8_t { expert_work, expert_results, test, greeting, control };
inline constexpr std::size_t channels = 5;

using TransferId = Id<struct TransferTag>;
/// Called once for each transfer or message, when the fabric will touch none of its memory any more: however it ended.
/// Errors: `unavailable` (no such peer, or it was lost on the way), `deadline_exceeded`, `cancelled`, `overloaded`,
/// `too_large`, `invalid_argument` (a piece lies outside of its region, or a key is none), `not_found` (the peer exposes that
/// region no longer). After an error a target may hold anything.
using TransferDone = std::function<void(Result<void>)>;
/// While the receiver keeps the payload, it counts against the sender's window.
using OnMessage = std::function<void(const NodeId& from, Payload message)>;
using OnPeerLost = std::function<void(const NodeId& peer, const Error& why)>;

/// May be used from any thread. What it was given to call is called on a thread of the fabric's own, one call at a time, and
/// must be quick; it may use the fabric, but not end it. When a fabric ends, all transfers end first, as `cancelled`, and
/// nothing is called afterwards.
class Fabric {
 public:
  virtual ~Fabric() = default;
  /// "local", "ucx" or "nccl"; what two nodes must have in common.
  virtual std::string_view transport() const = 0;
  /// What peers need in order to connect; bytes, at most 4096.
  virtual std::string address() const = 0;

  /// Makes a peer known, or known anew if the address is another one (what was under way to it ends as `unavailable`). Sending
  /// may begin at once; whether anybody is there shows then.
  virtual Result<void> connect(const NodeId& peer, const std::string& address) = 0;
  /// Forgets a peer: what is under way ends as `unavailable`.
  virtual void disconnect(const NodeId& peer) = 0;
  /// Told when the transport finds a peer gone; the peer is then forgotten, and may be connected again.
  virtual void on_peer_lost(OnPeerLost lost) = 0;

  /// Makes memory reachable: for this node's own transfers, and for those peers that are told of it. `owner` keeps it alive.
  virtual Result<RegionPtr> expose(std::span<std::byte> memory, std::shared_ptr<const void> owner) = 0;

  /// Reads from a peer's region into one of ours. Nobody above the fabric takes part at the peer, or learns when it is over.
  virtual TransferId get(const NodeId& peer, const RemoteRegion& source, RegionPtr target, std::vector<Piece> pieces,
                         TimePoint deadline, TransferDone done) = 0;
  /// Writes from a region of ours into a peer's. Done when the bytes are there.
  virtual TransferId put(const NodeId& peer, RegionPtr source, const RemoteRegion& target, std::vector<Piece> pieces,
                         TimePoint deadline, TransferDone done) = 0;
  /// Sends a message. Done when the payload is no longer needed; whether it was received only an answer can tell.
  virtual TransferId send(const NodeId& peer, Channel channel, Payload message, TimePoint deadline, TransferDone done) = 0;
  /// Who hears of messages on a channel; without anybody they are dropped.
  virtual void receive(Channel channel, OnMessage on_message) = 0;
  /// Ends a transfer early, as `cancelled` unless it ends otherwise first; `done` is called either way. Unknown ids are
  /// ignored.
  virtual void cancel(TransferId transfer) = 0;
};

}  // namespace troupe::cluster
