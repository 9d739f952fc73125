// Knows the nodes of the cluster: who they are, in what state, how to reach their actors. Dials those it is not connected to,
// tells all how this node is, misses those that fall silent, and puts the picture where everybody on the node finds it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "actors/context.hpp"
#include "actors/network.hpp"

namespace troupe::actors {

/// What is to be known about this node; asked several times a second.
using DescribeSelf = std::function<policy::NodeView()>;

/// This node's own actors, whenever one of them has been started.
struct LocalHandles {
  PeerHandles handles;
};

using DirectoryActor = caf::typed_actor<on<schemas::Hello>::gives<schemas::Welcome>, takes<schemas::Announce>,
                                        takes<LocalHandles>, takes<Continuation>>;

struct DirectoryConfig {
  policy::ClusterId cluster;
  std::vector<std::string> seeds;  ///< addresses of other nodes, from the command line
  DescribeSelf describe;
  std::shared_ptr<Network> network;
};

class DirectoryState {
 public:
  explicit DirectoryState(DirectoryActor::pointer self) : self_(self) {}
  static inline const char* name = "directory";

  static constexpr Duration tick_every = std::chrono::milliseconds(200);
  /// A node that is silent for so long counts as gone, until it is heard of again.
  static constexpr Duration silence_max = std::chrono::seconds(2);
  /// One that has been gone for so long is no longer spoken of; it may come back all the same.
  static constexpr Duration forget_after = std::chrono::hours(1);
  static constexpr std::size_t nodes_max = 1024;

  DirectoryActor::behavior_type start(NodeContextPtr context, DirectoryConfig config);

 private:
  struct Known {
    policy::NodeView view;
    PeerHandles handles;
    TimePoint heard{};    ///< the node itself
    TimePoint learned{};  ///< of it, from anybody
    bool connecting = false;
    TimePoint try_again{};
  };

  Result<schemas::Welcome> on_hello(const schemas::Hello& hello);
  void learn(const policy::NodeView& view, bool first_hand);
  void connect(const std::string& address);
  void on_connected(const std::string& address, Result<Connected> connected);
  void on_down(const caf::down_msg& down);
  void forget_gone();
  /// Whether this node or one that it is connected to listens there: then whoever was there before has gone for good.
  bool is_anybodys(const std::string& address) const;
  void tick();
  void publish();
  std::vector<policy::NodeView> views() const;

  DirectoryActor::pointer self_;
  NodeContextPtr context_;
  DirectoryConfig config_;
  PeerHandles local_;
  std::map<policy::NodeId, Known> known_;   ///< other nodes
  std::map<std::string, TimePoint> seeds_;  ///< not connected yet: when to try again
  policy::PerTier<TimePoint> served_{};     ///< as Cluster's
};

DirectoryActor::behavior_type directory_actor(DirectoryActor::stateful_pointer<DirectoryState> self, NodeContextPtr context,
                                              DirectoryConfig config);

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::LocalHandles)
