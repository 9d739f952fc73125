#include "cluster/fabric_links.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "policy/transport.hpp"

namespace troupe::cluster {

/// Shared with what fabrics were given to call, which may come after the end. Fabrics are used, and others told, without the
/// mutex.
class FabricLinks::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(NodeId self, std::vector<FabricOffer> offers, std::vector<policy::TransportView> transports,
       std::shared_ptr<const Clock> clock, Log log)
      : offers_(std::move(offers)), clock_(std::move(clock)), log_(std::move(log)) {
    self_.id = std::move(self);
    self_.transports = std::move(transports);
  }

  void listen() {
    for (std::size_t index = 0; index < offers_.size(); ++index) {
      offers_[index].fabric->on_peer_lost([weak = weak_from_this(), index](const NodeId& peer, const Error& why) {
        if (const auto core = weak.lock()) core->lost(index, peer, why);
      });
    }
  }
  void close() {
    for (const FabricOffer& offer : offers_) offer.fabric->on_peer_lost({});
  }

  void follow(std::span<const policy::NodeView> peers) {
    std::map<Key, std::string> wanted;  ///< the address of each that shall be connected
    for (const policy::NodeView& peer : peers) {
      if (peer.id == self_.id || peer.state == policy::NodeState::gone) continue;
      const auto common = policy::common_transports(self_, peer);
      for (std::size_t index = 0; index < offers_.size(); ++index) {
        const auto name = offers_[index].fabric->transport();
        if (std::find(common.begin(), common.end(), name) == common.end()) continue;
        const auto way = std::find_if(peer.transports.begin(), peer.transports.end(),
                                      [&](const policy::TransportView& each) { return each.name == name; });
        wanted[{index, peer.id}] = way->address;
      }
    }
    forget_others(wanted);
    for (const auto& [key, address] : wanted) bring_up(key, address);
  }

  std::vector<policy::LinkView> links() const {
    std::map<NodeId, std::string> best;
    const std::scoped_lock lock(mutex_);
    for (const auto& [key, link] : links_) {
      if (!link.reached) continue;
      std::string name(offers_[key.first].fabric->transport());
      const auto [place, added] = best.try_emplace(key.second, name);
      if (!added && policy::is_better_transport(name, place->second)) place->second = std::move(name);
    }
    std::vector<policy::LinkView> all;
    for (auto& [node, transport] : best) all.push_back({node, transport});
    return all;
  }

  std::shared_ptr<Fabric> fabric_to(const NodeId& node) const {
    for (const policy::LinkView& link : links()) {
      if (link.node != node) continue;
      for (const FabricOffer& offer : offers_) {
        if (offer.fabric->transport() == link.transport) return offer.fabric;
      }
    }
    return nullptr;
  }

  std::shared_ptr<void> on_lost(const Fabric& fabric, OnPeerLost lost) {
    const auto listener = std::make_shared<Listener>(Listener{&fabric, std::move(lost)});
    const std::scoped_lock lock(mutex_);
    std::erase_if(listeners_, [](const auto& each) { return each.expired(); });
    listeners_.push_back(listener);
    return listener;
  }

 private:
  using Key = std::pair<std::size_t, NodeId>;  ///< which fabric, and the peer
  struct Link {
    std::string address;
    std::uint64_t number = 0;  ///< of the connection, so that an answer to a former one is not taken for this one's
    bool greeting = false;     ///< it is under way
    bool reached = false;
    TimePoint try_again{};
  };
  struct Listener {
    const Fabric* fabric = nullptr;
    OnPeerLost lost;
  };

  void forget_others(const std::map<Key, std::string>& wanted) {
    std::vector<Key> gone;
    {
      const std::scoped_lock lock(mutex_);
      for (auto link = links_.begin(); link != links_.end();) {
        const auto still = wanted.find(link->first);
        if (still != wanted.end() && still->second == link->second.address) {
          ++link;
          continue;
        }
        if (still == wanted.end() || link->second.reached) gone.push_back(link->first);
        link = links_.erase(link);
      }
    }
    for (const Key& key : gone) {
      if (!wanted.contains(key)) offers_[key.first].fabric->disconnect(key.second);
      tell(key, {ErrorCode::unavailable, "node " + key.second.value + " is gone, or has begun anew"});
    }
  }

  /// Connects and greets, unless that has been done, is under way, or was tried a moment ago.
  void bring_up(const Key& key, const std::string& address) {
    const TimePoint now = clock_->now();
    std::uint64_t number = 0;
    {
      const std::scoped_lock lock(mutex_);
      const auto [place, is_new] = links_.try_emplace(key);
      Link& link = place->second;
      if (is_new) link = {.address = address, .try_again = now + settle};
      if (link.reached || link.greeting || now < link.try_again) return;
      link.number = ++drawn_;
      link.greeting = true;
      link.try_again = now + again_after;
      number = link.number;
    }
    Fabric& fabric = *offers_[key.first].fabric;
    if (const auto connected = fabric.connect(key.second, address); !connected) return greeted(key, number, connected.error());
    fabric.send(key.second, Channel::greeting, {}, now + greeting_max,
                [weak = weak_from_this(), key, number](const Result<void>& sent) {
                  if (const auto core = weak.lock()) core->greeted(key, number, sent);
                });
  }

  void greeted(const Key& key, std::uint64_t number, const Result<void>& sent) {
    {
      const std::scoped_lock lock(mutex_);
      const auto link = links_.find(key);
      if (link == links_.end() || link->second.number != number) return;
      link->second.greeting = false;
      link->second.reached = sent.has_value();
      link->second.try_again = clock_->now() + again_after;
    }
    const std::string transport(offers_[key.first].fabric->transport());
    if (sent) return log_(LogLevel::info, "fabric joined", {{"peer", key.second.value}, {"transport", transport}});
    log_(LogLevel::debug, "fabric does not reach a peer",
         {{"peer", key.second.value}, {"transport", transport}, {"why", sent.error().message}});
    if (sent.error().code == ErrorCode::deadline_exceeded) offers_[key.first].fabric->disconnect(key.second);
  }

  void lost(std::size_t index, const NodeId& peer, const Error& why) {
    const Key key{index, peer};
    bool reached = false;
    {
      const std::scoped_lock lock(mutex_);
      if (const auto link = links_.find(key); link != links_.end()) {
        reached = link->second.reached;
        link->second.number = ++drawn_;
        link->second.greeting = false;
        link->second.reached = false;
        link->second.try_again = clock_->now() + again_after;
      }
    }
    log_(reached ? LogLevel::info : LogLevel::debug, "fabric lost a peer",
         {{"peer", peer.value}, {"transport", std::string(offers_[index].fabric->transport())}, {"why", why.message}});
    tell(key, why);
  }

  void tell(const Key& key, const Error& why) {
    std::vector<std::shared_ptr<Listener>> listeners;
    {
      const std::scoped_lock lock(mutex_);
      for (const auto& each : listeners_) {
        auto listener = each.lock();
        if (listener && listener->fabric == offers_[key.first].fabric.get()) listeners.push_back(std::move(listener));
      }
    }
    for (const auto& listener : listeners) listener->lost(key.second, why);
  }

  policy::NodeView self_;
  const std::vector<FabricOffer> offers_;
  std::shared_ptr<const Clock> clock_;
  const Log log_;
  mutable std::mutex mutex_;
  std::map<Key, Link> links_;
  std::vector<std::weak_ptr<Listener>> listeners_;
  std::uint64_t drawn_ = 0;
};

FabricLinks::FabricLinks(NodeId self, std::vector<FabricOffer> offers, std::shared_ptr<const Clock> clock, Log log) {
  for (const FabricOffer& offer : offers)
    transports_.push_back({std::string(offer.fabric->transport()), offer.fabric->address(), offer.scope});
  core_ = std::make_shared<Core>(std::move(self), std::move(offers), transports_, std::move(clock), std::move(log));
  core_->listen();
}

FabricLinks::~FabricLinks() { core_->close(); }

void FabricLinks::follow(std::span<const policy::NodeView> peers) { core_->follow(peers); }
std::vector<policy::LinkView> FabricLinks::links() const { return core_->links(); }
std::shared_ptr<Fabric> FabricLinks::fabric_to(const NodeId& node) const { return core_->fabric_to(node); }
std::shared_ptr<void> FabricLinks::on_lost(const Fabric& fabric, OnPeerLost lost) {
  return core_->on_lost(fabric, std::move(lost));
}

}  // namespace troupe::cluster
