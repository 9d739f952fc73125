#include "tests/sim/network.hpp"

#include <algorithm>
#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>
#include <utility>

#include "tests/sim/link.hpp"

namespace troupe::sim {

namespace {
using std::chrono::microseconds;
using std::chrono::milliseconds;
constexpr Duration handshake_timeout = std::chrono::seconds(3);
}  // namespace

class SimNetwork::Door final : public actors::Network {
 public:
  Door(SimNetwork& network, std::weak_ptr<Life> life) : network_(network), life_(std::move(life)) {}
  void connect(const std::string& address, const schemas::Hello& hello,
               std::function<void(Result<actors::Connected>)> done) override {
    if (const LifePtr life = life_.lock()) network_.dial(life, address, hello, std::move(done));
  }

 private:
  SimNetwork& network_;
  std::weak_ptr<Life> life_;  // which holds this, by its node actor
};

std::shared_ptr<actors::Network> SimNetwork::seen_by(const LifePtr& life) { return std::make_shared<Door>(*this, life); }

bool SimNetwork::passes(const Wire& wire) const {
  return wire.from->alive && wire.to->alive && !parted_.contains(pair_of(wire.from->node, wire.to->node));
}

caf::message SimNetwork::through_bytes(const caf::message& message) {
  std::vector<char> bytes;
  caf::binary_serializer write(world_.system(), bytes);
  caf::message decoded;
  if (const auto error = write(message)) {
    world_.violated("a message cannot be encoded: " + caf::to_string(error) + " in " + caf::to_string(message));
    return decoded;
  }
  caf::binary_deserializer read(world_.system(), bytes);
  if (const auto error = read(decoded)) world_.violated("a message cannot be decoded: " + caf::to_string(error));
  return decoded;
}

bool SimNetwork::asks_again(const Wire& wire, const caf::message& message) {
  if (world_.defect() != Defect::lost_notification || !message.match_elements<schemas::EngineGenerate>()) return false;
  return !asked_.emplace(wire.to.get(), message.get_as<schemas::EngineGenerate>(0).key).second;
}

void SimNetwork::carry(const Wire& wire, caf::message message, std::function<void(caf::message)> deliver) {
  if (!passes(wire) || asks_again(wire, message)) return;
  Random& random = world_.random();
  if (random.chance(weather_.lost)) return;
  const caf::message arriving = through_bytes(message);
  const int copies = random.chance(weather_.repeated) ? 2 : 1;
  for (int copy = 0; copy < copies; ++copy) {
    TimePoint at = world_.now() + world_.between(microseconds(200), microseconds(1500));
    if (random.chance(weather_.late)) {
      at += world_.between(milliseconds(1), milliseconds(400));
    } else {
      TimePoint& last = last_arrival_[{wire.from.get(), wire.to.get()}];
      at = last = std::max(at, last);
    }
    world_.schedule(at - world_.now(), [this, wire, arriving, deliver] {
      if (passes(wire)) deliver(arriving);
    });
  }
}

void SimNetwork::part(const std::string& one, const std::string& other) {
  const Pair nodes = pair_of(one, other);
  parted_.insert(nodes);
  world_.note("network", one + " and " + other + " are parted");
  // Whoever hears nothing for a while takes the connection for lost.
  world_.schedule(world_.between(milliseconds(1000), milliseconds(2000)), [this, nodes] {
    if (!parted_.contains(nodes)) return;
    for (const Known& known : links_) {
      if (known.nodes == nodes) Link::close(known.link.lock(), caf::exit_reason::remote_link_unreachable);
    }
  });
}

void SimNetwork::join(const std::string& one, const std::string& other) {
  if (parted_.erase(pair_of(one, other)) > 0) world_.note("network", one + " and " + other + " are joined");
}

void SimNetwork::join_all() {
  parted_.clear();
  world_.note("network", "all are joined");
}

template <class Handle>
Handle SimNetwork::link(const Wire& wire, const Handle& target) {
  if (!target) return {};
  const auto made = Link::make(*this, wire, caf::actor_cast<caf::strong_actor_ptr>(target));
  links_.push_back({pair_of(wire.from->node, wire.to->node), caf::actor_cast<caf::weak_actor_ptr>(made)});
  return caf::actor_cast<Handle>(made);
}

void SimNetwork::dial(const LifePtr& from, const std::string& address, const schemas::Hello& hello,
                      std::function<void(Result<actors::Connected>)> done) {
  const std::string name = address.substr(0, address.find(':'));
  world_.schedule(world_.between(microseconds(500), milliseconds(3)), [this, from, name, hello, done] {
    if (!from->alive) return;
    const LifePtr to = find_(name);
    const bool parted = parted_.contains(pair_of(from->node, name));
    if (parted || to == nullptr || !to->handles.node) {
      // A machine that is off the net is found out later than one whose port is closed.
      return world_.schedule(parted ? Duration(milliseconds(1000)) : Duration(milliseconds(1)),
                             [name, done] { done(Error{ErrorCode::unavailable, "no node answers at " + name}); });
    }
    const Wire wire{from, to};
    const auto node = link(wire, to->handles.node);
    world_.system().spawn([this, wire, node, hello, done](caf::event_based_actor* self) {
      self->request(node, std::chrono::duration_cast<microseconds>(handshake_timeout), hello)
          .then([this, wire, done](schemas::Welcome& welcome) { done(connect(wire, std::move(welcome))); },
                [done](caf::error& error) { done(actors::from_caf(error, "shaking hands")); });
    });
  });
}

Result<actors::Connected> SimNetwork::connect(const Wire& wire, schemas::Welcome welcome) {
  actors::Connected connected;
  const auto view = std::find_if(welcome.nodes.begin(), welcome.nodes.end(),
                                 [&](const policy::NodeView& each) { return each.id == welcome.node; });
  if (view == welcome.nodes.end()) return Error{ErrorCode::corrupt, "the node at " + wire.to->node + " does not know itself"};
  connected.node = *view;
  connected.welcome = std::move(welcome);
  const actors::PeerHandles& handles = wire.to->handles;
  if (!wire.to->alive || !handles.home || !handles.reader) {
    return Error{ErrorCode::unavailable, "the node at " + wire.to->node + " is still starting"};
  }
  connected.handles.node = link(wire, handles.node);
  connected.handles.home = link(wire, handles.home);
  connected.handles.reader = link(wire, handles.reader);
  connected.handles.lease = link(wire, handles.lease);
  for (const auto& engine : handles.engines) connected.handles.engines.push_back(link(wire, engine));
  connected.handles.kv = link(wire, handles.kv);
  return connected;
}

}  // namespace troupe::sim
