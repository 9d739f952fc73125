// Three simulated nodes: what survives of them, their lives, and how a life ends.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/local_fabric.hpp"
#include "policy/fault.hpp"
#include "policy/routing.hpp"
#include "policy/shadow.hpp"
#include "storage/data_folder.hpp"
#include "tests/sim/disk.hpp"
#include "tests/sim/life.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/sim_replica.hpp"
#include "tests/sim/world.hpp"

namespace troupe::sim {

/// What is broken on purpose on all nodes, and what stages promise meanwhile.
struct Drill {
  std::vector<policy::TierFault> faults;
  std::int64_t deadline_ms = 2000;              ///< of each stage
  std::string when_unsure = {};                 ///< as the policy's
  std::optional<policy::Fault> search = {};     ///< slow, stuck or dead
  std::optional<policy::Contract> retrieval{};  ///< but for its deadline; none: the policy's own
};

/// Escalates about half of what is not streamed, and summarises early. No stage is late unless there is a drill, however long a
/// node is away.
policy::RoutingPolicy routing_policy(const Drill* drill = nullptr);
/// The corpus of a version: a few invented sections.
std::shared_ptr<const actors::IndexedCorpus> make_corpus(std::uint64_t version);

/// A machine with its disk.
struct Node {
  std::string name;
  bool first = false;  ///< grants the leases
  std::vector<policy::Tier> tiers;
  Disk disk;
  std::uint64_t corpus_version = 1;
  LifePtr life;  ///< null while it is down
};

class SimCluster {
 public:
  /// "a" grants leases and has mini, "b" medium and heavy, "c" all of them, so that either of the two may be drained. All are
  /// down.
  explicit SimCluster(World& world, std::vector<policy::ShadowArm> shadows = {}, const Drill* drill = nullptr);
  ~SimCluster();
  SimCluster(const SimCluster&) = delete;
  SimCluster& operator=(const SimCluster&) = delete;

  World& world() { return world_; }
  SimNetwork& network() { return network_; }
  PromptTexts& prompts() { return prompts_; }
  const std::vector<std::unique_ptr<Node>>& nodes() const { return nodes_; }
  Node& node(std::size_t index) { return *nodes_.at(index); }

  /// A node that cannot claim its disk tries again after a while.
  void start(Node& node);
  /// At once, whatever it is doing. What its journal still had to write is lost or, for a `zombie`, lands when the next life
  /// has begun. `tear` decides how much of what was not synced survives.
  void kill(Node& node, bool zombie, std::uint64_t tear);
  /// One actor of a node fails: 0 home, 1 reader, 2 the one that grants leases if it is here, otherwise one of its engines.
  void fail_actor(Node& node, std::uint64_t which);

  /// The front of some node that is up; null if none is.
  std::shared_ptr<actors::Front> any_front(std::string* name = nullptr);
  /// The store of a conversation's home, if that has its records. Whoever else has some must know them for a copy, and when all
  /// is `at_rest` nobody may.
  const storage::Store* store_of(const policy::ConversationId& conversation, bool at_rest = false);
  /// Of all lives of all nodes.
  policy::BlockTraffic block_traffic() const;

 private:
  LifePtr find(const std::string& name) const;
  /// What goes wrong with bulk bytes.
  cluster::LocalFault trouble(const cluster::LocalOperation& operation);
  std::shared_ptr<storage::BlockStore> make_block_store(const Weather& weather);
  LifePtr begin_life(Node& node, const storage::Identity& identity);

  World& world_;
  SimNetwork network_;
  cluster::LocalHub hub_;
  Homes homes_;
  PromptTexts prompts_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::optional<policy::ClusterId> id_;
  std::shared_ptr<const policy::RoutingPolicy> routing_;
  std::vector<policy::ShadowArm> shadows_;
  std::vector<policy::TierFault> faults_;
  std::optional<policy::Fault> search_fault_;
  std::vector<std::shared_ptr<SimJournal>> late_;  ///< of lives that are over
  std::vector<actors::NodeContextPtr> former_;     ///< the same
};

}  // namespace troupe::sim
