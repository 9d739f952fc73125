#include "cluster/local_fabric.hpp"

#include "base/check.hpp"
#include "cluster/local_core.hpp"

namespace troupe::cluster {

namespace {

const SystemClock system_clock;

class LocalFabric final : public Fabric {
 public:
  LocalFabric(std::shared_ptr<LocalCore> core, LocalNode& node)
      : core_(std::move(core)), node_(node), address_(node.address()) {}
  ~LocalFabric() override { core_->leave(node_); }

  std::string_view transport() const override { return "local"; }
  std::string address() const override { return address_; }
  Result<void> connect(const NodeId& peer, const std::string& address) override { return core_->connect(node_, peer, address); }
  void disconnect(const NodeId& peer) override { core_->disconnect(node_, peer); }
  void on_peer_lost(OnPeerLost lost) override { core_->set_lost(node_, std::move(lost)); }
  Result<RegionPtr> expose(std::span<std::byte> memory, std::shared_ptr<const void> owner) override {
    return core_->expose(node_, memory, std::move(owner));
  }
  TransferId get(const NodeId& peer, const RemoteRegion& source, RegionPtr target, std::vector<Piece> pieces,
                 TimePoint deadline, TransferDone done) override {
    return move(LocalOperation::Kind::get, peer, std::move(target), source, std::move(pieces), deadline, std::move(done));
  }
  TransferId put(const NodeId& peer, RegionPtr source, const RemoteRegion& target, std::vector<Piece> pieces,
                 TimePoint deadline, TransferDone done) override {
    return move(LocalOperation::Kind::put, peer, std::move(source), target, std::move(pieces), deadline, std::move(done));
  }
  TransferId send(const NodeId& peer, Channel channel, Payload message, TimePoint deadline, TransferDone done) override {
    auto transfer = std::make_shared<LocalTransfer>();
    transfer->what.to = peer;
    transfer->what.channel = channel;
    transfer->message = std::move(message);
    transfer->deadline = deadline;
    transfer->done = std::move(done);
    return core_->submit(node_, std::move(transfer));
  }
  void receive(Channel channel, OnMessage on_message) override { core_->set_receiver(node_, channel, std::move(on_message)); }
  void cancel(TransferId transfer) override { core_->cancel(node_, transfer); }

 private:
  TransferId move(LocalOperation::Kind kind, const NodeId& peer, RegionPtr local, RemoteRegion remote,
                  std::vector<Piece> pieces, TimePoint deadline, TransferDone done) {
    auto transfer = std::make_shared<LocalTransfer>();
    transfer->what.kind = kind;
    transfer->what.to = peer;
    transfer->local = std::move(local);
    transfer->remote = std::move(remote);
    transfer->pieces = std::move(pieces);
    transfer->deadline = deadline;
    transfer->done = std::move(done);
    return core_->submit(node_, std::move(transfer));
  }

  std::shared_ptr<LocalCore> core_;
  LocalNode& node_;
  std::string address_;
};

}  // namespace

LocalHub::LocalHub(LocalHubOptions options) {
  if (!options.schedule) {
    thread_ = std::make_shared<WorkThread>();
    options.schedule = [thread = thread_](Duration after, std::function<void()> work) { thread->run(after, std::move(work)); };
  }
  const Clock& clock = options.clock != nullptr ? *options.clock : system_clock;
  core_ = std::make_shared<LocalCore>(std::move(options.schedule), clock, std::move(options.faults));
}

LocalHub::~LocalHub() {
  TROUPE_CHECK(core_->empty(), "a hub outlives its fabrics");
  if (thread_) thread_->stop();
}

Result<std::unique_ptr<Fabric>> LocalHub::join(const NodeId& name, const FabricLimits& limits) {
  TROUPE_CHECK(limits.message_bytes_max <= limits.window_bytes, "a message fits into the window");
  TROUPE_TRY(LocalNode* const node, core_->join(name, limits));
  return std::unique_ptr<Fabric>(std::make_unique<LocalFabric>(core_, *node));
}

void LocalHub::part(const NodeId& one, const NodeId& other) { core_->part(one, other); }

}  // namespace troupe::cluster
