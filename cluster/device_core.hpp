// The inside of a device fabric: its thread, the regions of device memory, and the peers that such transfers are under way
// with.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "base/entropy.hpp"
#include "cluster/device_pair.hpp"

namespace troupe::cluster {

/// What callers gave to be called is called under one mutex, here and by the control fabric's thread: one call at a time.
/// Recursive, since a fabric may call back from within a call.
using CallMutex = std::recursive_mutex;

class DeviceCore {
 public:
  /// `control` outlives `end`, `links` and `calls` the core.
  DeviceCore(NodeId name, const FabricLimits& limits, Fabric& control, DeviceLinks& links, CallMutex& calls);
  /// After `end`.
  ~DeviceCore();
  DeviceCore(const DeviceCore&) = delete;
  DeviceCore& operator=(const DeviceCore&) = delete;

  const FabricLimits& limits() const { return limits_; }
  RegionPtr expose(std::span<std::byte> memory, std::shared_ptr<const void> owner);
  /// Whether it is one that `expose` made.
  static bool owns(const Region& region);
  TransferId submit(DeviceTransferPtr transfer);
  void cancel(TransferId id);
  void on_frame(const NodeId& from, Payload frame);
  void lose(const NodeId& peer, const Error& why);
  /// Ends all transfers, and those that are begun later at once, as cancelled. Returns when no link is left. The control fabric
  /// is not used afterwards.
  void end();

  /// Transfers of the core are told apart from the control fabric's by this bit.
  static constexpr std::uint64_t own_transfers = std::uint64_t{1} << 63;

 private:
  void run();
  void post(std::function<void()> command);
  bool run_commands();
  TimePoint poll_pairs();
  bool call_ended();
  DevicePair& pair_of(const NodeId& peer);
  void say(const NodeId& peer, std::string frame);
  void drop(const NodeId& peer, const Error& why);
  Result<RegionPtr> find_region(const RegionId& id);

  const SystemClock clock_;
  SystemEntropy entropy_;
  const NodeId name_;
  const FabricLimits limits_;
  Fabric& control_;
  DeviceLinks& links_;
  CallMutex& calls_;

  std::mutex shared_;
  std::condition_variable changed_;
  std::vector<std::function<void()>> commands_;  ///< bounded by those who give it
  std::map<RegionId, std::weak_ptr<Region>> regions_;
  std::uint64_t drawn_ = 0;
  bool stopping_ = false;
  bool ended_ = false;

  // The thread's alone.
  bool ending_ = false;
  std::map<NodeId, std::unique_ptr<DevicePair>> pairs_;
  std::vector<std::unique_ptr<DevicePair>> leaving_;  ///< of peers that are gone, until they are empty
  std::vector<DeviceTransferPtr> over_;               ///< whose callers are not told yet
  std::thread thread_;
};

}  // namespace troupe::cluster
