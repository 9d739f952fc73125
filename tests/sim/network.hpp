// What lies between simulated nodes. The handles that a node has of another's actors are links, which pass every message
// through its encoding, and delay, lose, repeat and overtake it as the weather is.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "actors/network.hpp"
#include "tests/sim/life.hpp"
#include "tests/sim/world.hpp"

namespace troupe::sim {

/// Probabilities of each message's fate.
struct Weather {
  float lost = 0;
  float repeated = 0;
  float late = 0;  ///< overtaken by others
};

/// From one life to another; messages that are not late arrive in the order in which they were sent.
struct Wire {
  LifePtr from;
  LifePtr to;
};

class SimNetwork {
 public:
  using FindLife = std::function<LifePtr(const std::string& node)>;

  SimNetwork(World& world, FindLife find) : world_(world), find_(std::move(find)) {}

  void set_weather(const Weather& weather) { weather_ = weather; }
  const Weather& weather() const { return weather_; }
  bool are_parted(const std::string& one, const std::string& other) const { return parted_.contains(pair_of(one, other)); }
  /// Nothing passes between the two until they are joined again; connections are lost if that lasts.
  void part(const std::string& one, const std::string& other);
  void join(const std::string& one, const std::string& other);
  void join_all();

  /// The network as one life sees it.
  std::shared_ptr<actors::Network> seen_by(const LifePtr& life);

  // For links.
  World& world() { return world_; }
  /// Encodes and decodes the message, and hands it to `deliver` when it arrives, as often as it does.
  void carry(const Wire& wire, caf::message message, std::function<void(caf::message)> deliver);

 private:
  class Door;
  using Pair = std::pair<std::string, std::string>;

  static Pair pair_of(const std::string& one, const std::string& other) { return std::minmax(one, other); }
  bool passes(const Wire& wire) const;
  void dial(const LifePtr& from, const std::string& address, const schemas::Hello& hello,
            std::function<void(Result<actors::Connected>)> done);
  Result<actors::Connected> connect(const Wire& wire, schemas::Welcome welcome);
  template <class Handle>
  Handle link(const Wire& wire, const Handle& target);
  /// With the defect "lost notification": whether an engine would have to repeat itself.
  bool asks_again(const Wire& wire, const caf::message& message);
  /// What the other side makes of the message's bytes.
  caf::message through_bytes(const caf::message& message);

  struct Known {
    Pair nodes;
    caf::weak_actor_ptr link;
  };
  World& world_;
  FindLife find_;
  Weather weather_;
  std::set<Pair> parted_;
  std::map<std::pair<Life*, Life*>, TimePoint> last_arrival_;
  std::vector<Known> links_;
  std::set<std::pair<Life*, schemas::AttemptKey>> asked_;
};

}  // namespace troupe::sim
