// What two nodes agree on to move bytes between their devices' memories. A library like NCCL wants both sides to hand over the
// same sends and receives in the same order, so each movement is asked for, granted by the memory's owner, and then done by
// both in one round. One of the two, the leader, decides on the rounds, which makes their order the same on both sides and a
// deadlock impossible, whoever asks for what.
//
//   whoever asks             ask(id, gets or puts, extents)   to the owner, which looks the region up and holds it
//   the owner                refuse(id, status)               or, if the leader asked, ready(id)
//   the leader               round(number, entries)           what is ready; then each side hands its half to the link
//   each side                done(number)                     when its half has ended: a put is stored when the owner says so
//
// A link lives for one epoch. Whoever finds it broken says so and is in the next epoch, where nothing of the last one counts;
// the leader then opens another link when there is something to move. Docs: docs/decisions/0012-nccl.md.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/clock.hpp"
#include "cluster/device_frames.hpp"
#include "cluster/device_link.hpp"

namespace troupe::cluster {

struct DeviceTransfer {
  TransferId id;
  NodeId to;
  bool gets = false;
  RegionPtr local;
  RegionId remote;
  std::vector<Piece> pieces;
  std::uint64_t bytes = 0;
  TimePoint deadline;
  TransferDone done;

  // The pair's.
  std::size_t piece = 0;         ///< where the next ask begins
  std::uint64_t offset = 0;      ///< within that piece
  std::size_t chunks = 0;        ///< asked for, and not over
  std::optional<Error> outcome;  ///< how it ends, if not well
  TimePoint watched = TimePoint::max();
};
using DeviceTransferPtr = std::shared_ptr<DeviceTransfer>;

/// What a pair needs of its fabric. `clock` and `links` outlive it.
struct DevicePairWorld {
  const Clock* clock = nullptr;
  DeviceLinks* links = nullptr;
  std::function<void(std::string frame)> say;  ///< to the peer; arrives in order, or the peer is lost
  std::function<Result<RegionPtr>(const RegionId&)> find_region;
  std::function<void(const DeviceTransferPtr&)> ended;  ///< nothing touches its memory any more
};

/// One peer of a fabric, as its thread sees it.
class DevicePair {
 public:
  static constexpr std::size_t asks_max = 16;     ///< of ours, that are not over
  static constexpr std::size_t serving_max = 64;  ///< of the peer's; whoever asks for more is refused
  static constexpr std::size_t rounds_max = 3;    ///< that have not ended on both sides
  static constexpr std::uint64_t round_bytes_max = 2 * DeviceFrame::ask_bytes_max;
  static constexpr Duration connect_time_max = std::chrono::seconds(20);   ///< of a link, until both sides are there
  static constexpr Duration round_time_max = std::chrono::seconds(30);     ///< of a round, or of an ask that waits for one
  static constexpr Duration retry_first = std::chrono::milliseconds(100);  ///< after a link that could not be made
  static constexpr Duration retry_max = std::chrono::seconds(5);

  /// `own`: tells this life of the pair from earlier ones; not 0. Of the two, exactly one leads.
  DevicePair(NodeId peer, std::uint64_t own, bool leads, const FabricLimits& limits, DevicePairWorld world);
  ~DevicePair();
  DevicePair(const DevicePair&) = delete;
  DevicePair& operator=(const DevicePair&) = delete;

  void submit(const DeviceTransferPtr& transfer);
  void cancel(TransferId id);
  void on_frame(std::span<const std::byte> frame);
  /// Does what there is to do; when it wants to be called again, at the latest.
  TimePoint poll();
  /// The peer is gone: everything ends with `why`, what a link holds when that is quiet.
  void lose(const Error& why);
  /// No link of it is left that may touch memory, and no transfer.
  bool empty() const { return transfers_.empty() && dying_.empty() && !link_; }

 private:
  struct Chunk {
    enum class State : std::uint8_t { asked, dropped, ready, moving, stored };
    DeviceTransferPtr transfer;
    std::vector<Piece> pieces;
    std::uint64_t bytes = 0;
    State state = State::asked;
  };
  struct Served {
    RegionPtr region;
    Extents extents;
    bool gets = false;
    bool moving = false;
    TimePoint since;
  };
  struct Round {
    std::uint64_t number = 0;
    std::vector<DeviceEntry> entries;
    bool handed_over = false;
    bool ended_here = false;
    bool ended_there = false;
    TimePoint since;
  };
  struct Link {
    std::unique_ptr<DeviceLink> link;
    bool ready = false;
    std::uint64_t ended = 0;
    TimePoint opened;
  };
  struct DyingLink {
    std::unique_ptr<DeviceLink> link;
    std::vector<DeviceTransferPtr> transfers;  ///< one for each chunk that it may touch
    std::vector<RegionPtr> regions;
  };

  void say(DeviceFrame frame);
  void say(DeviceFrameKind kind, std::uint64_t id, std::uint16_t status = 0);
  bool ours(const DeviceEntry& entry) const { return entry.of_leader == leads_; }

  // What we ask for.
  void pump();
  Chunk next_chunk(DeviceTransfer& transfer);
  void finish_chunk(std::uint64_t id);
  void stop(const DeviceTransferPtr& transfer, const Error& why);
  void try_end(const DeviceTransferPtr& transfer);
  void watch(const DeviceTransferPtr& transfer, TimePoint when);
  void on_ready(const DeviceFrame& frame);
  void on_refuse(const DeviceFrame& frame);

  // What the peer asks for.
  void on_ask(const DeviceFrame& frame);
  void on_drop(const DeviceFrame& frame);
  Result<RegionPtr> look_up(const Extents& extents) const;

  // What both do.
  void open_link();
  void lead();
  void on_link(const DeviceFrame& frame);
  void on_round(const DeviceFrame& frame);
  void on_done(const DeviceFrame& frame);
  void hand_over();
  std::vector<DeviceMove> moves_of(const Round& round);
  void end_here(Round& round);
  void forget_rounds();
  void poll_link();
  void poll_dying();
  bool poll_times();
  TimePoint next_poll(bool moved);
  void break_off(const Error& why, bool tell);
  void accuse(const std::string& what);

  const NodeId peer_;
  const std::uint64_t own_;
  const bool leads_;
  const FabricLimits limits_;
  const DevicePairWorld world_;

  std::uint64_t theirs_ = 0;
  std::uint64_t epoch_ = 1;
  std::uint64_t drawn_ = 0;   ///< ids of asks
  std::uint64_t rounds_ = 0;  ///< of this epoch
  std::map<TransferId, DeviceTransferPtr> transfers_;
  std::set<std::pair<TimePoint, TransferId>> watched_;
  std::deque<DeviceTransferPtr> waiting_;  ///< that have more to ask for
  std::map<std::uint64_t, Chunk> asked_;
  std::uint64_t asked_bytes_ = 0;
  std::map<std::uint64_t, Served> serving_;
  std::deque<DeviceEntry> ready_;  ///< the leader's: may go into the next round
  std::deque<Round> under_way_;
  std::optional<Link> link_;
  std::vector<DyingLink> dying_;
  int failures_ = 0;  ///< links that were not made, in a row
  TimePoint retry_at_ = TimePoint::min();
  Duration pause_{};
};

}  // namespace troupe::cluster
