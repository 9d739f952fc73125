#include "cluster/device_core.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "cluster/region_transfer.hpp"

namespace troupe::cluster {

namespace {

/// Tells memory of the device from that of the control fabric.
class DeviceRegion final : public ExposedRegion {
  using ExposedRegion::ExposedRegion;
};

}  // namespace

DeviceCore::DeviceCore(NodeId name, const FabricLimits& limits, Fabric& control, DeviceLinks& links, CallMutex& calls)
    : name_(std::move(name)), limits_(limits), control_(control), links_(links), calls_(calls) {
  thread_ = std::thread([this] { run(); });
}

DeviceCore::~DeviceCore() {
  {
    const std::scoped_lock lock(shared_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void DeviceCore::end() {
  post([this] {
    ending_ = true;
    while (!pairs_.empty()) {
      drop(pairs_.begin()->first, {ErrorCode::cancelled, "the fabric of node " + name_.value + " ends"});
    }
  });
  std::unique_lock lock(shared_);
  changed_.wait(lock, [this] { return ended_; });
}

void DeviceCore::post(std::function<void()> command) {
  {
    const std::scoped_lock lock(shared_);
    commands_.push_back(std::move(command));
  }
  changed_.notify_all();
}

void DeviceCore::run() {
  for (;;) {
    bool busy = run_commands();
    const TimePoint next = poll_pairs();
    busy = call_ended() || busy;
    if (busy) continue;
    std::unique_lock lock(shared_);
    if (!commands_.empty()) continue;
    if (ending_ && pairs_.empty() && leaving_.empty() && !std::exchange(ended_, true)) changed_.notify_all();
    if (stopping_) break;
    const auto woken = [this] { return !commands_.empty() || stopping_; };
    if (next == TimePoint::max()) {
      changed_.wait(lock, woken);
    } else {
      changed_.wait_until(lock, next, woken);
    }
  }
}

bool DeviceCore::run_commands() {
  std::vector<std::function<void()>> commands;
  {
    const std::scoped_lock lock(shared_);
    commands.swap(commands_);
  }
  for (auto& command : commands) {
    command();
    command = nullptr;
  }
  return !commands.empty();
}

TimePoint DeviceCore::poll_pairs() {
  TimePoint next = TimePoint::max();
  for (const auto& [name, pair] : pairs_) next = std::min(next, pair->poll());
  for (const auto& pair : leaving_) next = std::min(next, pair->poll());
  std::erase_if(leaving_, [](const auto& pair) { return pair->empty(); });
  return next;
}

bool DeviceCore::call_ended() {
  const auto over = std::exchange(over_, {});
  for (const DeviceTransferPtr& transfer : over) {
    const TransferDone done = std::move(transfer->done);
    if (!done) continue;
    const std::scoped_lock lock(calls_);
    done(transfer->outcome ? Result<void>(*transfer->outcome) : Result<void>());
  }
  return !over.empty();
}

DevicePair& DeviceCore::pair_of(const NodeId& peer) {
  auto& pair = pairs_[peer];
  if (!pair) {
    DevicePairWorld world;
    world.clock = &clock_;
    world.links = &links_;
    world.say = [this, peer](std::string frame) { say(peer, std::move(frame)); };
    world.find_region = [this](const RegionId& id) { return find_region(id); };
    world.ended = [this](const DeviceTransferPtr& transfer) { over_.push_back(transfer); };
    pair = std::make_unique<DevicePair>(peer, entropy_.draw() | 1U, name_ < peer, limits_, std::move(world));
  }
  return *pair;
}

void DeviceCore::say(const NodeId& peer, std::string frame) {
  if (ending_) return;
  control_.send(peer, Channel::control, payload_of(std::as_bytes(std::span(frame))), TimePoint::max(),
                [this, peer](const Result<void>& sent) {
                  // What was not said is missed by nobody if the peer is gone, and by the whole agreement if it is not.
                  if (!sent) lose(peer, {ErrorCode::unavailable, sent.error().message});
                });
}

void DeviceCore::on_frame(const NodeId& from, Payload frame) {
  post([this, from, frame = std::move(frame)] {
    if (!ending_) pair_of(from).on_frame(frame.bytes);
  });
}

void DeviceCore::lose(const NodeId& peer, const Error& why) {
  post([this, peer, why] { drop(peer, why); });
}

void DeviceCore::drop(const NodeId& peer, const Error& why) {
  const auto place = pairs_.find(peer);
  if (place == pairs_.end()) return;
  leaving_.push_back(std::move(place->second));
  pairs_.erase(place);
  leaving_.back()->lose(why);
}

TransferId DeviceCore::submit(DeviceTransferPtr transfer) {
  {
    const std::scoped_lock lock(shared_);
    transfer->id = TransferId{++drawn_ | own_transfers};
  }
  const TransferId id = transfer->id;
  post([this, transfer = std::move(transfer)] {
    if (!transfer->outcome && ending_) {
      transfer->outcome = Error{ErrorCode::cancelled, "the fabric of node " + name_.value + " ends"};
    }
    if (!transfer->outcome && transfer->bytes > 0) return pair_of(transfer->to).submit(transfer);
    transfer->local = nullptr;
    over_.push_back(transfer);
  });
  return id;
}

void DeviceCore::cancel(TransferId id) {
  post([this, id] {
    for (const auto& [name, pair] : pairs_) pair->cancel(id);
  });
}

RegionPtr DeviceCore::expose(std::span<std::byte> memory, std::shared_ptr<const void> owner) {
  const std::scoped_lock lock(shared_);
  std::erase_if(regions_, [](const auto& region) { return region.second.expired(); });
  const auto id = entropy_.draw_name<RegionId>();
  auto region = std::make_shared<DeviceRegion>(encode_device_key(id), memory, std::move(owner));
  regions_[id] = region;
  return region;
}

bool DeviceCore::owns(const Region& region) { return dynamic_cast<const DeviceRegion*>(&region) != nullptr; }

Result<RegionPtr> DeviceCore::find_region(const RegionId& id) {
  const std::scoped_lock lock(shared_);
  const auto place = regions_.find(id);
  RegionPtr region = place == regions_.end() ? nullptr : place->second.lock();
  if (!region) return Error{ErrorCode::not_found, "no such region"};
  return region;
}

}  // namespace troupe::cluster
