// Joins a node's fabrics with those of its peers, as these come, change and go: whoever has a transport in common is connected
// by it, and counts as reached once a greeting has come through. Decides nothing about who is a member: it follows what it is
// told.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "cluster/fabric.hpp"
#include "policy/cluster_view.hpp"

namespace troupe::cluster {

struct FabricOffer {
  std::shared_ptr<Fabric> fabric;  ///< each of another transport
  std::string scope;               ///< as in policy::TransportView
};

/// May be used from any thread, but `follow` from one at a time.
class FabricLinks {
 public:
  /// How long a greeting may take, and after which a peer that was lost or did not answer is tried again.
  static constexpr Duration greeting_max = std::chrono::seconds(2);
  static constexpr Duration again_after = std::chrono::milliseconds(500);
  /// How long a peer is there before it is connected: nodes that end soon do so in their first moments, and a peer that dies
  /// while two connect may end this process, too (docs/decisions/0011-fabric.md).
  static constexpr Duration settle = std::chrono::milliseconds(500);

  /// Takes over the fabrics' `on_peer_lost`.
  FabricLinks(NodeId self, std::vector<FabricOffer> offers, std::shared_ptr<const Clock> clock, Log log);
  ~FabricLinks();
  FabricLinks(const FabricLinks&) = delete;
  FabricLinks& operator=(const FabricLinks&) = delete;

  /// What this node tells others of its fabrics.
  const std::vector<policy::TransportView>& transports() const { return transports_; }
  /// All other nodes of the cluster as they are now. Those that are gone, or not among them, are disconnected; those that are
  /// new, or have begun anew, are connected once they have settled. To be called again and again: it tries again what has not
  /// worked.
  void follow(std::span<const policy::NodeView> peers);
  /// Who is reached, ascending, by the best of the transports that reach it.
  std::vector<policy::LinkView> links() const;
  /// The fabric of that transport; null if nothing reaches the node.
  std::shared_ptr<Fabric> fabric_to(const NodeId& node) const;

  /// Who is told when a fabric no longer reaches a peer, whether that was found or decided. On any thread; must be quick.
  /// Nothing is told any more once what is returned is let go, but for what is being told just then.
  std::shared_ptr<void> on_lost(const Fabric& fabric, OnPeerLost lost);

 private:
  class Core;
  std::vector<policy::TransportView> transports_;
  std::shared_ptr<Core> core_;
};

}  // namespace troupe::cluster
