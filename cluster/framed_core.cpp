#include "cluster/framed_core.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "cluster/framed_fabric.hpp"
#include "cluster/region_transfer.hpp"

namespace troupe::cluster {

FramedCore::FramedCore(NodeId name, const FabricLimits& limits, std::unique_ptr<Wire> wire)
    : name_(std::move(name)),
      limits_(limits),
      wire_(std::move(wire)),
      token_(entropy_.draw_name<FabricToken>()),
      address_(encode(FabricAddress{token_, wire_->address()})),
      buffers_(std::make_shared<MessageBuffers>(limits.window_bytes)),
      returns_(std::make_shared<MessageReturns>(
          [this](std::uint64_t peer, std::size_t cost) { post([this, peer, cost] { finish_message(peer, cost); }); })) {
  TROUPE_CHECK(limits.message_bytes_max <= limits.window_bytes, "a message fits into the window");
  TROUPE_CHECK(!name_.value.empty() && name_.value.size() <= node_name_bytes_max, "a node has a name of at most 255 bytes");
  wire_->listen({[this](Arrival& arrival) { on_frame(arrival); },
                 [this](LinkId link, const Error& why) { broken_.emplace_back(link, why); }});
  thread_ = std::thread([this] { run(); });
}

FramedCore::~FramedCore() {
  {
    const std::scoped_lock lock(shared_);
    ending_ = true;
  }
  returns_->close();  // messages may be let go of later than this
  wire_->wake();
  thread_.join();
}

void FramedCore::post(std::function<void()> command) {
  {
    const std::scoped_lock lock(shared_);
    commands_.push_back(std::move(command));
  }
  if (asleep_.exchange(false)) wire_->wake();
}

void FramedCore::run() {
  for (;;) {
    bool busy = run_commands();
    for (int turns = 0; turns < progress_max && wire_->progress(); ++turns) busy = true;
    busy = tidy_up() || busy;
    busy = run_timers() || busy;
    if (busy) continue;
    asleep_ = true;
    {
      const std::scoped_lock lock(shared_);
      if (ending_) break;
      if (!commands_.empty()) {
        asleep_ = false;
        continue;
      }
    }
    wire_->wait(timers_.empty() ? TimePoint::max() : timers_.begin()->first);
    asleep_ = false;
  }
  finish();
}

bool FramedCore::run_commands() {
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

bool FramedCore::run_timers() {
  bool any = false;
  while (!timers_.empty() && timers_.begin()->first <= clock_.now()) {
    const auto work = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    work();
    any = true;
  }
  return any;
}

bool FramedCore::tidy_up() {
  // Links are closed here and nowhere deeper: UCX and its callers may still be in the middle of something with them.
  const auto broken = std::exchange(broken_, {});
  for (const auto& [link, why] : broken) {
    const auto place =
        std::find_if(peers_.begin(), peers_.end(), [id = link](const auto& peer) { return peer.second->link == id; });
    if (place != peers_.end()) {
      lose(*place->second, {ErrorCode::unavailable, "node " + place->first.value + " was lost: " + why.message}, true);
    }
  }
  const auto accused = std::exchange(accused_, {});
  for (const auto& [serial, why] : accused) {
    if (FramedPeer* const peer = find(serial)) lose(*peer, why, true);
  }
  const auto closing = std::exchange(to_close_, {});
  for (const LinkId link : closing) wire_->close(link);
  return !broken.empty() || !accused.empty() || !closing.empty();
}

void FramedCore::finish() {
  asleep_ = false;  // nobody has to wake a wire that may be gone
  const Error why{ErrorCode::cancelled, "the fabric of node " + name_.value + " ends"};
  // What is called here may ask for more, which ends the same way.
  const auto stop_all = [&] {
    while (run_commands()) {
    }
    std::vector<FramedTransferPtr> all;
    for (const auto& [id, transfer] : transfers_) all.push_back(transfer);
    for (const auto& transfer : all) stop(transfer, why);
    return !all.empty();
  };
  stop_all();
  while (!peers_.empty()) lose(*peers_.begin()->second, why, false);
  const TimePoint until = clock_.now() + fabric_grace;
  do {
    tidy_up();
    wire_->progress();
    stop_all();
  } while ((wire_->under_way() > 0 || !transfers_.empty()) && clock_.now() < until);
  // Nothing touches memory once the wire is gone, so whatever it has not confirmed ends now.
  wire_.reset();
  chunks_.clear();
  while (stop_all()) {
    const auto rest = std::exchange(transfers_, {});
    for (const auto& [id, transfer] : rest) {
      if (transfer->done) transfer->done(why);
    }
  }
}

Result<void> FramedCore::connect(const NodeId& peer, const std::string& address) {
  TROUPE_TRY(const auto decoded, decode_address(address));
  if (peer == name_ || peer.value.empty() || peer.value.size() > node_name_bytes_max) {
    return Error{ErrorCode::invalid_argument, "\"" + peer.value + "\" is no name of another node"};
  }
  {
    const std::scoped_lock lock(shared_);
    if (!connected_.contains(peer) && connected_.size() >= limits_.peers_max) {
      return Error{ErrorCode::overloaded, "there are " + std::to_string(limits_.peers_max) + " peers, which is the limit"};
    }
    connected_[peer] = address;
  }
  post([this, peer, decoded = decoded] { do_connect(peer, decoded); });
  return {};
}

void FramedCore::disconnect(const NodeId& peer) {
  {
    const std::scoped_lock lock(shared_);
    connected_.erase(peer);
  }
  post([this, peer] {
    if (FramedPeer* const known = find(peer)) {
      lose(*known, {ErrorCode::unavailable, "node " + peer.value + " was disconnected"}, false);
    }
  });
}

void FramedCore::do_connect(const NodeId& name, const FabricAddress& address) {
  if (FramedPeer* const known = find(name)) {
    if (known->address.token == address.token) return;
    lose(*known, {ErrorCode::unavailable, "node " + name.value + " has another address now"}, false);
  }
  make_peer(name, address, 0);
}

FramedPeer* FramedCore::make_peer(const NodeId& name, const FabricAddress& address, std::uint64_t answers) {
  const auto link = wire_->open(address.wire);
  if (!link) {
    OnPeerLost lost;
    {
      const std::scoped_lock lock(shared_);
      connected_.erase(name);
      lost = lost_;
    }
    if (lost) lost(name, link.error());
    return nullptr;
  }
  auto peer = std::make_unique<FramedPeer>();
  peer->serial = ++drawn_;
  peer->name = name;
  peer->address = address;
  peer->link = *link;
  peer->greeting = ++greetings_;
  peer->listening = entropy_.draw() | 1U;
  sessions_[peer->listening] = peer.get();
  FramedPeer* const made = peer.get();
  peers_[name] = std::move(peer);
  const auto body = std::make_shared<std::string>(encode(Hello{name_, token_, address.token, wire_->address()}));
  FrameHead head = head_to(*made, FrameKind::hello, made->greeting);
  head.value = answers;
  wire_->send(made->link, encode(head), std::as_bytes(std::span(*body)), [body](const Result<void>& /*sent*/) {});
  return made;
}

FrameHead FramedCore::head_to(const FramedPeer& peer, FrameKind kind, std::uint64_t id) const {
  FrameHead head;
  head.kind = kind;
  head.session = peer.session;
  head.own = peer.listening;
  head.id = id;
  return head;
}

FramedPeer* FramedCore::find(const NodeId& name) {
  const auto place = peers_.find(name);
  return place == peers_.end() ? nullptr : place->second.get();
}

FramedPeer* FramedCore::find(std::uint64_t serial) {
  const auto place =
      std::find_if(peers_.begin(), peers_.end(), [&](const auto& peer) { return peer.second->serial == serial; });
  return place == peers_.end() ? nullptr : place->second.get();
}

void FramedCore::accuse(FramedPeer& peer, const std::string& what) {
  accused_.emplace_back(peer.serial, Error{ErrorCode::corrupt, "node " + peer.name.value + " " + what});
}

void FramedCore::lose(FramedPeer& peer, const Error& why, bool tell) {
  const auto held = std::move(peers_.at(peer.name));
  peers_.erase(held->name);
  sessions_.erase(held->listening);
  if (held->welcome)
    wire_->send(held->link, encode(head_to(*held, FrameKind::bye, 0)), {}, [](const Result<void>& /*sent*/) {});
  to_close_.push_back(held->link);
  Error end = why;
  end.code = why.code == ErrorCode::cancelled ? why.code : ErrorCode::unavailable;
  std::vector<FramedTransferPtr> all;
  for (const auto& [id, transfer] : transfers_) {
    if (transfer->peer == held->serial) all.push_back(transfer);
  }
  for (const auto& transfer : all) stop(transfer, end);
  if (!tell) return;
  OnPeerLost lost;
  {
    const std::scoped_lock lock(shared_);
    connected_.erase(held->name);
    lost = lost_;
  }
  if (lost) lost(held->name, why);
}

void FramedCore::set_lost(OnPeerLost lost) {
  const std::scoped_lock lock(shared_);
  std::swap(lost_, lost);
}

void FramedCore::set_receiver(Channel channel, OnMessage on_message) {
  const std::scoped_lock lock(shared_);
  std::swap(receivers_.at(static_cast<std::size_t>(channel)), on_message);
}

RegionPtr FramedCore::expose(std::span<std::byte> memory, std::shared_ptr<const void> owner) {
  const std::scoped_lock lock(shared_);
  std::erase_if(regions_, [](const auto& region) { return region.second.expired(); });
  const auto id = entropy_.draw_name<RegionId>();
  auto region = std::make_shared<ExposedRegion>(encode_key(id), memory, std::move(owner));
  regions_[id] = region;
  return region;
}

TransferId FramedCore::submit(FramedTransferPtr transfer) {
  const TransferId id{++drawn_};
  transfer->id = id;
  post([this, transfer = std::move(transfer)] { start(transfer); });
  return id;
}

void FramedCore::cancel(TransferId id) {
  post([this, id] {
    const auto place = transfers_.find(id);
    if (place != transfers_.end()) stop(FramedTransferPtr(place->second), {ErrorCode::cancelled, "the transfer was cancelled"});
  });
}

namespace {

class FramedFabric final : public Fabric {
 public:
  FramedFabric(const NodeId& name, const FabricLimits& limits, std::unique_ptr<Wire> wire)
      : transport_(wire->transport()), core_(name, limits, std::move(wire)) {}
  std::string_view transport() const override { return transport_; }
  std::string address() const override { return core_.address(); }
  Result<void> connect(const NodeId& peer, const std::string& address) override { return core_.connect(peer, address); }
  void disconnect(const NodeId& peer) override { core_.disconnect(peer); }
  void on_peer_lost(OnPeerLost lost) override { core_.set_lost(std::move(lost)); }
  Result<RegionPtr> expose(std::span<std::byte> memory, std::shared_ptr<const void> owner) override {
    return core_.expose(memory, std::move(owner));
  }
  TransferId get(const NodeId& peer, const RemoteRegion& source, RegionPtr target, std::vector<Piece> pieces,
                 TimePoint deadline, TransferDone done) override {
    return move(FramedTransfer::Kind::get, peer, std::move(target), source, std::move(pieces), deadline, std::move(done));
  }
  TransferId put(const NodeId& peer, RegionPtr source, const RemoteRegion& target, std::vector<Piece> pieces,
                 TimePoint deadline, TransferDone done) override {
    return move(FramedTransfer::Kind::put, peer, std::move(source), target, std::move(pieces), deadline, std::move(done));
  }
  TransferId send(const NodeId& peer, Channel channel, Payload message, TimePoint deadline, TransferDone done) override {
    auto transfer = std::make_shared<FramedTransfer>();
    transfer->to = peer;
    transfer->channel = channel;
    transfer->bytes = message.bytes.size();
    transfer->message = std::move(message);
    transfer->deadline = deadline;
    transfer->done = std::move(done);
    return core_.submit(std::move(transfer));
  }
  void receive(Channel channel, OnMessage on_message) override { core_.set_receiver(channel, std::move(on_message)); }
  void cancel(TransferId transfer) override { core_.cancel(transfer); }

 private:
  TransferId move(FramedTransfer::Kind kind, const NodeId& peer, RegionPtr local, const RemoteRegion& remote,
                  std::vector<Piece> pieces, TimePoint deadline, TransferDone done) {
    TROUPE_CHECK(local != nullptr, "a transfer has a region of ours");
    auto transfer = std::make_shared<FramedTransfer>();
    transfer->kind = kind;
    transfer->to = peer;
    transfer->deadline = deadline;
    transfer->done = std::move(done);
    describe(*transfer, std::move(local), remote, decode_key(remote.key), std::move(pieces), core_.limits());
    return core_.submit(std::move(transfer));
  }

  std::string_view transport_;
  FramedCore core_;
};

}  // namespace

std::unique_ptr<Fabric> make_framed_fabric(const NodeId& name, const FabricLimits& limits, std::unique_ptr<Wire> wire) {
  return std::make_unique<FramedFabric>(name, limits, std::move(wire));
}

}  // namespace troupe::cluster
