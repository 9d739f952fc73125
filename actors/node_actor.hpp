// A node: its state in the cluster, its session with the lease service, and the supervision of its actors. One that fails is
// started again; what works on conversations (home, router, retriever, summarizer) is started again together, since they hold
// each other's handles.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/context.hpp"
#include "actors/corpus_actor.hpp"
#include "actors/directory_actor.hpp"
#include "actors/drain_actor.hpp"
#include "actors/expert_actor.hpp"
#include "actors/replica.hpp"
#include "actors/services.hpp"
#include "storage/block_store.hpp"

namespace troupe::actors {

struct NodeParts {
  policy::ClusterId cluster;
  bool grants_leases = false;  ///< the cluster's first node
  bool drained = false;        ///< it was being drained, or empty, when its last life ended
  std::vector<std::string> seeds;
  std::string cluster_address;
  std::string client_address;
  std::string version;
  std::vector<std::shared_ptr<Replica>> replicas;
  std::shared_ptr<storage::BlockStore> block_store;  ///< below the replicas' pools; null: what they evict is gone
  std::shared_ptr<const void> memory_in_use;         ///< held by whatever may touch the replicas' memory
  std::shared_ptr<Network> network;
  /// Told of this node's actors whenever one has been started, so that others can find them.
  std::function<void(const PeerHandles&)> announce_handles;
  /// What is put between conversations and the retriever by whoever breaks searches on purpose; null: nothing is.
  std::function<RetrieverActor(RetrieverActor)> before_retriever;
};

/// Said to a node by whoever runs it: no new work, then an end.
struct BeginDraining {};

using NodeActorImpl =
    NodeActor::extend<takes<BeginDraining>, takes<Continuation>, takes<FrontSearchCorpus>, takes<FrontChangeCorpus>>;

class NodeActorState {
 public:
  explicit NodeActorState(NodeActorImpl::pointer self) : self_(self) {}
  ~NodeActorState();
  static inline const char* name = "node";

  NodeActorImpl::behavior_type start(NodeContextPtr context, NodeParts parts);

 private:
  void start_directory();
  void start_lease();
  void start_services();
  void start_reader();
  void start_kv_shard();
  void start_engine(std::size_t index);
  void start_experts();
  /// Has a thread of its own from the first change on.
  void change_corpus(const FrontChangeCorpus& change);
  void publish();
  template <class Handle>
  void supervise(const Handle& actor, std::function<void()> start_again);
  void on_down(const caf::down_msg& down);
  void keep_session();
  caf::result<schemas::Announce> on_drain(const schemas::NodeDrain& drain);
  /// On the node that grants the leases: whether another one may be drained; if so, it is told.
  caf::result<schemas::Announce> pass_on(const schemas::NodeDrain& drain);
  caf::result<schemas::Announce> on_join(const schemas::NodeJoin& join);
  /// Durable before it is so.
  caf::result<schemas::Announce> set_leaving(bool leaving);
  policy::NodeView describe() const { return describe_(); }

  NodeActorImpl::pointer self_;
  NodeContextPtr context_;
  std::shared_ptr<const NodeParts> parts_;
  DirectoryActor directory_;
  Services services_;
  DrainActor drain_;
  ExpertActor experts_;  ///< none if the node has no placement
  CorpusActor corpus_;   ///< none while nothing was changed
  DescribeSelf describe_;
  struct Permitted {
    policy::NodeId node;
    TimePoint at{};
  };
  std::optional<Permitted> drain_permitted_;  ///< lately, so that its state may not be known yet
  std::string session_trouble_;               ///< as it was told last; empty: there is none
  TimePoint trouble_told_{};
  PeerHandles handles_;
  std::map<caf::actor_addr, std::function<void()>> children_;  ///< how each is started again
  /// Read by whoever describes the node.
  std::shared_ptr<std::atomic<policy::NodeState>> node_state_ =
      std::make_shared<std::atomic<policy::NodeState>>(policy::NodeState::joining);
};

NodeActorImpl::behavior_type node_actor(NodeActorImpl::stateful_pointer<NodeActorState> self, NodeContextPtr context,
                                        NodeParts parts);

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::BeginDraining)
