#include "cluster/device_fabric.hpp"

#include <utility>

#include "base/check.hpp"
#include "cluster/device_core.hpp"
#include "cluster/region_transfer.hpp"

namespace troupe::cluster {

namespace {

class DeviceFabric final : public Fabric {
 public:
  DeviceFabric(const NodeId& name, const FabricLimits& limits, std::string_view transport, std::unique_ptr<Fabric> control,
               std::unique_ptr<DeviceLinks> links)
      : transport_(transport),
        links_(std::move(links)),
        control_(std::move(control)),
        core_(name, limits, *control_, *links_, calls_) {
    control_->receive(Channel::control, [this](const NodeId& from, Payload frame) { core_.on_frame(from, std::move(frame)); });
    on_peer_lost(nullptr);
  }
  ~DeviceFabric() override {
    core_.end();
    control_.reset();
  }
  DeviceFabric(const DeviceFabric&) = delete;
  DeviceFabric& operator=(const DeviceFabric&) = delete;

  std::string_view transport() const override { return transport_; }
  std::string address() const override { return control_->address(); }

  Result<void> connect(const NodeId& peer, const std::string& address) override {
    // Before the other one listens to us: what it says in its new life is for a new pair.
    if (knows_otherwise(peer, address)) {
      core_.lose(peer, {ErrorCode::unavailable, "node " + peer.value + " has another address now"});
    }
    TROUPE_TRY_DO(control_->connect(peer, address));
    const std::scoped_lock lock(mutex_);
    known_[peer] = address;
    return {};
  }
  void disconnect(const NodeId& peer) override {
    forget(peer);
    core_.lose(peer, {ErrorCode::unavailable, "node " + peer.value + " was disconnected"});
    control_->disconnect(peer);
  }
  void on_peer_lost(OnPeerLost lost) override {
    control_->on_peer_lost([this, lost = std::move(lost)](const NodeId& peer, const Error& why) {
      forget(peer);
      core_.lose(peer, {ErrorCode::unavailable, why.message});
      const std::scoped_lock lock(calls_);
      if (lost) lost(peer, why);
    });
  }

  Result<RegionPtr> expose(std::span<std::byte> memory, std::shared_ptr<const void> owner) override {
    TROUPE_TRY(const bool on_device, links_->is_device_memory(memory));
    if (!on_device) return control_->expose(memory, std::move(owner));
    RegionPtr region = core_.expose(memory, std::move(owner));
    return region;
  }

  TransferId get(const NodeId& peer, const RemoteRegion& source, RegionPtr target, std::vector<Piece> pieces,
                 TimePoint deadline, TransferDone done) override {
    TROUPE_CHECK(target != nullptr, "a transfer has a region of ours");
    if (!core_.owns(*target)) {
      return control_->get(peer, source, std::move(target), std::move(pieces), deadline, guarded(std::move(done)));
    }
    return move(true, peer, std::move(target), source, std::move(pieces), deadline, std::move(done));
  }
  TransferId put(const NodeId& peer, RegionPtr source, const RemoteRegion& target, std::vector<Piece> pieces,
                 TimePoint deadline, TransferDone done) override {
    TROUPE_CHECK(source != nullptr, "a transfer has a region of ours");
    if (!core_.owns(*source)) {
      return control_->put(peer, std::move(source), target, std::move(pieces), deadline, guarded(std::move(done)));
    }
    return move(false, peer, std::move(source), target, std::move(pieces), deadline, std::move(done));
  }
  TransferId send(const NodeId& peer, Channel channel, Payload message, TimePoint deadline, TransferDone done) override {
    TROUPE_CHECK(channel != Channel::control, "the control channel is the fabric's own");
    return control_->send(peer, channel, std::move(message), deadline, guarded(std::move(done)));
  }
  void receive(Channel channel, OnMessage on_message) override {
    TROUPE_CHECK(channel != Channel::control, "the control channel is the fabric's own");
    if (!on_message) return control_->receive(channel, nullptr);
    control_->receive(channel, [this, on_message = std::move(on_message)](const NodeId& from, Payload message) {
      const std::scoped_lock lock(calls_);
      on_message(from, std::move(message));
    });
  }
  void cancel(TransferId transfer) override {
    if ((transfer.value & DeviceCore::own_transfers) != 0) return core_.cancel(transfer);
    control_->cancel(transfer);
  }

 private:
  TransferDone guarded(TransferDone done) {
    if (!done) return done;
    return [this, done = std::move(done)](Result<void> result) {
      const std::scoped_lock lock(calls_);
      done(std::move(result));
    };
  }
  TransferId move(bool gets, const NodeId& peer, RegionPtr local, const RemoteRegion& remote, std::vector<Piece> pieces,
                  TimePoint deadline, TransferDone done) {
    auto transfer = std::make_shared<DeviceTransfer>();
    transfer->gets = gets;
    transfer->to = peer;
    transfer->deadline = deadline;
    transfer->done = std::move(done);
    describe(*transfer, std::move(local), remote, decode_device_key(remote.key), std::move(pieces), core_.limits());
    return core_.submit(std::move(transfer));
  }
  bool knows_otherwise(const NodeId& peer, const std::string& address) {
    const std::scoped_lock lock(mutex_);
    const auto known = known_.find(peer);
    return known != known_.end() && known->second != address;
  }
  void forget(const NodeId& peer) {
    const std::scoped_lock lock(mutex_);
    known_.erase(peer);
  }

  const std::string_view transport_;
  std::unique_ptr<DeviceLinks> links_;
  CallMutex calls_;
  std::mutex mutex_;
  std::map<NodeId, std::string> known_;  ///< the addresses of those whom we have connected
  std::unique_ptr<Fabric> control_;
  DeviceCore core_;
};

}  // namespace

std::unique_ptr<Fabric> make_device_fabric(const NodeId& name, const FabricLimits& limits, std::string_view transport,
                                           std::unique_ptr<Fabric> control, std::unique_ptr<DeviceLinks> links) {
  return std::make_unique<DeviceFabric>(name, limits, transport, std::move(control), std::move(links));
}

}  // namespace troupe::cluster
