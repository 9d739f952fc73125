#include "actors/directory_actor.hpp"

#include <algorithm>
#include <utility>

#include "actors/generation.hpp"

namespace troupe::actors {

namespace {

constexpr Duration dial_again_after = std::chrono::milliseconds(500);

template <class Visit>
void each_handle(const PeerHandles& handles, const Visit& visit) {
  const auto one = [&](const auto& handle) {
    if (handle) visit(handle);
  };
  one(handles.node);
  one(handles.home);
  one(handles.reader);
  one(handles.lease);
  for (const EngineActor& engine : handles.engines) one(engine);
  one(handles.kv);
}

}  // namespace

DirectoryActor::behavior_type DirectoryState::start(NodeContextPtr context, DirectoryConfig config) {
  context_ = std::move(context);
  config_ = std::move(config);
  install_defaults(self_);
  self_->set_down_handler([this](const caf::down_msg& down) { on_down(down); });
  for (const std::string& seed : config_.seeds) seeds_[seed] = {};
  served_.fill(context_->clock->now());
  tick();
  return {
      [this](const schemas::Hello& hello) -> caf::result<schemas::Welcome> {
        auto welcome = on_hello(hello);
        if (!welcome) return to_caf(welcome.error());
        return *std::move(welcome);
      },
      [this](const schemas::Announce& announce) { learn(announce.node, true); },
      [this](const LocalHandles& local) {
        local_ = local.handles;
        publish();
      },
      [](const Continuation& next) { next.run(); },
  };
}

Result<schemas::Welcome> DirectoryState::on_hello(const schemas::Hello& hello) {
  const std::string here = "node " + context_->self.value;
  if (hello.protocol != schemas::cluster_protocol) {
    return Error{ErrorCode::unsupported, here + " speaks cluster protocol " + std::to_string(schemas::cluster_protocol) +
                                             ", and node " + hello.node.id.value + " speaks " + std::to_string(hello.protocol) +
                                             "; run the same version of troupe on both"};
  }
  if (!hello.cluster.empty() && hello.cluster != config_.cluster) {
    return Error{ErrorCode::invalid_argument, here + " belongs to cluster " + to_string(config_.cluster) + ", and node " +
                                                  hello.node.id.value + " has the data of cluster " + to_string(hello.cluster)};
  }
  if (hello.node.id == context_->self) {
    return Error{ErrorCode::invalid_argument,
                 "the name " + hello.node.id.value + " is taken in this cluster; choose another (--name)"};
  }
  const auto known = known_.find(hello.node.id);
  const bool alive = known != known_.end() && context_->clock->now() - known->second.heard < silence_max;
  if (alive && known->second.view.cluster_address != hello.node.cluster_address) {
    return Error{ErrorCode::invalid_argument, "the name " + hello.node.id.value + " is taken by the node at " +
                                                  known->second.view.cluster_address + "; choose another (--name)"};
  }
  // A node without an incarnation only asks which cluster this is.
  if (hello.node.incarnation > 0) learn(hello.node, true);
  schemas::Welcome welcome{config_.cluster, views(), context_->self};
  for (policy::NodeView& view : welcome.nodes) {
    // Of others it takes who they are and where; the rest they say themselves.
    if (view.id != context_->self) view.forget_data_plane();
  }
  return welcome;
}

void DirectoryState::learn(const policy::NodeView& view, bool first_hand) {
  if (view.id == context_->self || view.id.value.empty()) return;
  const auto found = known_.find(view.id);
  if (found == known_.end() && known_.size() >= nodes_max) return;
  Known& known = found == known_.end() ? known_[view.id] : found->second;
  if (view.incarnation < known.view.incarnation) return;
  const bool again = view.incarnation > known.view.incarnation;
  if (again) {
    known.handles = {};  // they led to its former life
    known.connecting = false;
  }
  if (again || first_hand) {
    if (known.view.state != view.state || again) {
      context_->log(
          LogLevel::info, "node",
          {{"node", view.id.value}, {"state", std::string(to_string(view.state))}, {"address", view.cluster_address}});
    }
    known.view = view;
    if (!first_hand) known.view.state = policy::NodeState::gone;  // until it is heard of
  }
  known.learned = context_->clock->now();
  if (first_hand) known.heard = known.learned;
}

void DirectoryState::connect(const std::string& address) {
  schemas::Hello hello;
  hello.cluster = config_.cluster;
  hello.node = config_.describe();
  auto done = resume(self_, std::function<void(std::shared_ptr<Result<Connected>>)>(
                                [this, address](const std::shared_ptr<Result<Connected>>& connected) {
                                  on_connected(address, std::move(*connected));
                                }));
  config_.network->connect(
      address, hello, [done](Result<Connected> connected) { done(std::make_shared<Result<Connected>>(std::move(connected))); });
}

void DirectoryState::on_connected(const std::string& address, Result<Connected> connected) {
  const TimePoint now = context_->clock->now();
  for (auto& [id, known] : known_) {
    if (known.view.cluster_address != address) continue;
    known.connecting = false;
    known.try_again = now + dial_again_after;
  }
  if (!connected) {
    const auto level = connected.error().code == ErrorCode::unavailable ? LogLevel::debug : LogLevel::warning;
    context_->log(level, "cannot connect", {{"address", address}, {"why", connected.error().message}});
    return;
  }
  if (connected->node.id == context_->self) return;
  learn(connected->node, true);
  for (const policy::NodeView& view : connected->welcome.nodes) learn(view, false);
  const auto found = known_.find(connected->node.id);
  if (found == known_.end() || found->second.view.incarnation != connected->node.incarnation) return;
  found->second.handles = connected->handles;
  each_handle(found->second.handles, [&](const auto& handle) { self_->monitor(handle); });
  seeds_.erase(address);
  publish();
}

void DirectoryState::on_down(const caf::down_msg& down) {
  for (auto& [id, known] : known_) {
    bool lost = false;
    each_handle(known.handles, [&](const auto& handle) { lost = lost || handle.address() == down.source; });
    if (!lost) continue;
    // One actor of it has ended, or all of it. A connection made anew finds out which.
    context_->log(LogLevel::warning, "lost touch", {{"node", id.value}});
    known.handles = {};
    known.try_again = context_->clock->now();
    known.heard = {};
    known.view.state = policy::NodeState::gone;
    publish();
  }
}

std::vector<policy::NodeView> DirectoryState::views() const {
  std::vector<policy::NodeView> all{config_.describe()};
  for (const auto& [id, known] : known_) all.push_back(known.view);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return all;
}

void DirectoryState::forget_gone() {
  const TimePoint now = context_->clock->now();
  std::erase_if(known_, [&](const auto& entry) {
    const auto& [id, known] = entry;
    const bool gone = known.view.state == policy::NodeState::gone && !known.connecting;
    if (!gone || now - std::max(known.heard, known.learned) < forget_after) return false;
    context_->log(LogLevel::warning, "a node that has been gone for long is forgotten", {{"node", id.value}});
    return true;
  });
}

bool DirectoryState::is_anybodys(const std::string& address) const {
  if (address.empty() || address == config_.describe().cluster_address) return true;
  return std::any_of(known_.begin(), known_.end(), [&](const auto& entry) {
    return entry.second.handles.node && entry.second.view.cluster_address == address;
  });
}

void DirectoryState::tick() {
  const TimePoint now = context_->clock->now();
  const schemas::Announce announce{config_.describe()};
  forget_gone();
  for (auto& [id, known] : known_) {
    if (known.view.state != policy::NodeState::gone && now - known.heard >= silence_max && known.heard != TimePoint{}) {
      context_->log(LogLevel::warning, "node is silent", {{"node", id.value}});
      known.view.state = policy::NodeState::gone;
    }
    if (known.handles.node) {
      self_->send(known.handles.node, announce);
    } else if (!known.connecting && now >= known.try_again && !is_anybodys(known.view.cluster_address)) {
      known.connecting = true;
      connect(known.view.cluster_address);
    }
  }
  for (auto& [address, try_again] : seeds_) {
    if (now < try_again) continue;
    try_again = now + dial_again_after;
    connect(address);
  }
  publish();
  after(self_, tick_every, [this] { tick(); });
}

void DirectoryState::publish() {
  auto picture = std::make_shared<Cluster>();
  picture->id = config_.cluster;
  picture->self = context_->self;
  picture->peers.push_back({config_.describe(), local_});
  for (const auto& [id, known] : known_) picture->peers.push_back({known.view, known.handles});
  std::sort(picture->peers.begin(), picture->peers.end(), [](const Peer& a, const Peer& b) { return a.view.id < b.view.id; });
  const auto views = views_of(*picture);
  for (const policy::Tier tier : policy::served_tiers(views)) served_[policy::place_of(tier)] = context_->clock->now();
  picture->served = served_;
  if (context_->links) context_->links->follow(views);
  context_->cluster.store(std::move(picture));
}

DirectoryActor::behavior_type directory_actor(DirectoryActor::stateful_pointer<DirectoryState> self, NodeContextPtr context,
                                              DirectoryConfig config) {
  return self->state.start(std::move(context), std::move(config));
}

}  // namespace troupe::actors
