// KV shards of a few nodes in one process: virtual time, an in-process fabric that fails as a test wants it to, and pools over
// real caches. And a neighbour that says whatever a test has it say.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <caf/all.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "actors/kv_shard_actor.hpp"
#include "cluster/local_fabric.hpp"
#include "tests/actors/pool_replica.hpp"
#include "tests/sim/world.hpp"

namespace troupe::actors {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Empty while nobody has answered.
template <class Answer>
using Answered = std::shared_ptr<std::optional<Result<Answer>>>;

class Shards : public ::testing::Test {
 protected:
  struct Node {
    NodeContextPtr context;
    std::vector<std::shared_ptr<PoolReplica>> replicas;
    std::shared_ptr<storage::BlockStore> store;
    std::shared_ptr<const void> memory_in_use;
    KvShardActorImpl shard;
    policy::NodeState state = policy::NodeState::serving;

    PoolReplica& replica(std::size_t index = 0) { return *replicas.at(index); }
    policy::BlockTraffic traffic() const { return context->block_traffic.load(); }
    std::size_t known_of(const std::string& node) const { return context->block_holders.blocks_of({node}); }
  };
  /// A node whose shard is the test's.
  struct Neighbour {
    policy::NodeId name;
    /// What it says of a lease; nothing: it never answers.
    std::function<std::optional<Result<schemas::KvLeased>>(const schemas::KvLease&)> lend;
    std::vector<schemas::KvHoldings> heard;
    std::vector<schemas::KvLease> asked;
    std::vector<schemas::KvRelease> released;
    std::shared_ptr<cluster::Fabric> fabric;
    std::shared_ptr<std::vector<std::byte>> memory;
    cluster::RegionPtr region;
    KvShardActor shard;
    policy::NodeState state = policy::NodeState::serving;
  };

  ~Shards() override {
    for (const auto& node : nodes_) stop(node->shard);
    for (const auto& neighbour : neighbours_) stop(neighbour->shard);
    world_.settle();
    for (const auto& node : nodes_) {
      node->context->cluster.store(std::make_shared<const Cluster>());
      node->context->links.reset();
      node->context->fabric.reset();
    }
    for (const auto& neighbour : neighbours_) neighbour->fabric.reset();
  }

  /// A node with a pool for each of `pools`; nodes know each other once the cluster is published.
  Node& add(const std::string& name, const std::vector<PoolOptions>& pools = {{}},
            std::shared_ptr<storage::BlockStore> store = nullptr, bool has_fabric = true) {
    Node& node = *nodes_.emplace_back(std::make_unique<Node>());
    node.context = std::make_shared<NodeContext>();
    node.context->self = {name};
    node.context->clock = world_.clock();
    if (has_fabric) {
      node.context->fabric = join(name);
      node.context->links = std::make_shared<cluster::FabricLinks>(
          node.context->self, std::vector<cluster::FabricOffer>{{node.context->fabric, "test"}}, world_.clock(), Log());
    }
    for (const PoolOptions& pool : pools) {
      node.replicas.push_back(std::make_shared<PoolReplica>(pool, static_cast<std::uint32_t>(node.replicas.size())));
    }
    node.store = std::move(store);
    node.memory_in_use = std::make_shared<const std::vector<std::shared_ptr<PoolReplica>>>(node.replicas);
    start(node);
    return node;
  }
  void start(Node& node) {
    KvShardParts parts{{node.replicas.begin(), node.replicas.end()}, node.store, node.memory_in_use};
    node.shard = world_.system().spawn(kv_shard_actor, node.context, std::move(parts));
  }
  /// Its memory holds `blocks` blocks, as those of PoolReplica are.
  Neighbour& add_neighbour(const std::string& name, std::size_t blocks = 0) {
    const auto neighbour = neighbours_.emplace_back(std::make_shared<Neighbour>());
    neighbour->name = {name};
    neighbour->fabric = join(name);
    neighbour->memory = std::make_shared<std::vector<std::byte>>((blocks + 1) * block_bytes);
    auto region = neighbour->fabric->expose(*neighbour->memory, neighbour->memory);
    TROUPE_CHECK(region.has_value(), "an in-process fabric exposes any memory");
    neighbour->region = *std::move(region);
    start(*neighbour);
    return *neighbour;
  }
  void start(Neighbour& neighbour) {
    neighbour.shard = world_.system().spawn([&neighbour](KvShardActor::pointer self) -> KvShardActor::behavior_type {
      return {
          [&neighbour](const schemas::KvHoldings& holdings) { neighbour.heard.push_back(holdings); },
          [&neighbour, self](const schemas::KvLease& lease) -> caf::result<schemas::KvLeased> {
            neighbour.asked.push_back(lease);
            const auto answer = neighbour.lend ? neighbour.lend(lease) : std::nullopt;
            if (!answer) return self->make_response_promise<schemas::KvLeased>();
            if (!*answer) return to_caf(answer->error());
            return **answer;
          },
          [&neighbour](const schemas::KvRelease& release) { neighbour.released.push_back(release); },
      };
    });
  }
  /// Tells all nodes of all as they are now, and waits until they have told each other what they have.
  void publish() {
    auto cluster = std::make_shared<Cluster>();
    const auto put = [&](const policy::NodeId& name, policy::NodeState state, const KvShardActor& shard,
                         const cluster::Fabric* fabric) {
      Peer& peer = cluster->peers.emplace_back();
      peer.view.id = name;
      peer.view.state = state;
      if (fabric != nullptr) peer.view.transports = {{std::string(fabric->transport()), fabric->address(), "test"}};
      peer.handles.kv = shard;
    };
    for (const auto& node : nodes_) {
      put(node->context->self, node->state, caf::actor_cast<KvShardActor>(node->shard), node->context->fabric.get());
    }
    for (const auto& each : neighbours_) put(each->name, each->state, each->shard, each->fabric.get());
    std::ranges::sort(cluster->peers, {}, [](const Peer& peer) { return peer.view.id; });
    std::vector<policy::NodeView> views;
    for (const Peer& peer : cluster->peers) views.push_back(peer.view);
    for (const auto& node : nodes_) {
      auto seen = std::make_shared<Cluster>(*cluster);
      seen->self = node->context->self;
      node->context->cluster.store(std::move(seen));
    }
    const auto follow = [&] {
      for (const auto& node : nodes_)
        if (node->context->links) node->context->links->follow(views);
    };
    follow();
    pass(cluster::FabricLinks::settle);
    follow();
    pass(milliseconds(500));
  }

  void pass(Duration time) { world_.run_for(time); }
  template <class Handle, class Message>
  void tell(const Handle& shard, Message message) {
    caf::anon_send(shard, std::move(message));
    world_.settle();
  }
  template <class Answer, class Handle, class Message>
  Answered<Answer> ask(const Handle& shard, Message message) {
    auto answer = std::make_shared<std::optional<Result<Answer>>>();
    world_.system().spawn([shard, message, answer](caf::event_based_actor* self) {
      self->request(shard, caf::infinite, message)
          .then([answer](const Answer& reply) { *answer = reply; },
                [answer](const caf::error& error) { *answer = from_caf(error, "asking"); });
    });
    world_.settle();
    return answer;
  }
  Answered<schemas::KvLeased> lease(const Node& of, schemas::KvLease asked) {
    return ask<schemas::KvLeased>(of.shard, std::move(asked));
  }
  Answered<PrefixFetched> begin_fetch(const Node& node, const policy::TokenIds& tokens, std::uint32_t replica = 0) {
    return ask<PrefixFetched>(node.shard, FetchPrefix{replica, tokens});
  }
  /// How many blocks came; none, and a failure, if nobody says so within the time that an engine waits.
  std::size_t fetch(const Node& node, const policy::TokenIds& tokens, std::uint32_t replica = 0) {
    const auto answer = begin_fetch(node, tokens, replica);
    return came(answer);
  }
  std::size_t came(const Answered<PrefixFetched>& answer) {
    const bool in_time = world_.run_until([&] { return answer->has_value(); }, engine_waits);
    EXPECT_TRUE(in_time) << "an engine would have begun without an answer";
    if (!in_time) return 0;
    EXPECT_TRUE(**answer) << (**answer).error().message;
    return **answer ? (***answer).blocks : 0;
  }

  /// Of a neighbour that has a prompt's blocks one behind the other in its memory, and says so rightly.
  schemas::KvLeased lends_all(Neighbour& neighbour, const PoolReplica& like, const schemas::KvLease& asked) {
    const cluster::RemoteRegion remote = neighbour.region->remote();
    schemas::KvLeased leased{77, remote.key, remote.bytes, block_bytes, {}};
    for (std::size_t i = 0; i < asked.chain.size(); ++i) {
      const auto contents = like.contents_of(asked.chain[i]);
      std::ranges::copy(contents, neighbour.memory->begin() + static_cast<std::ptrdiff_t>(i * block_bytes));
      leased.blocks.push_back({i * block_bytes, engine::block_checksum(asked.chain[i], contents)});
    }
    return leased;
  }

  /// As the engine actor does (actors/engine_actor.cpp).
  static constexpr Duration engine_waits = seconds(3);
  static inline const std::size_t block_bytes = small_blocks.block_bytes();

  sim::World world_{1, false, sim::Defect::none};
  /// What goes wrong with each transfer.
  std::function<void(cluster::LocalFault&)> trouble_;

 private:
  std::shared_ptr<cluster::Fabric> join(const std::string& name) {
    auto fabric = hub_.join({name});
    TROUPE_CHECK(fabric.has_value(), "names are given once");
    return *std::move(fabric);
  }

  cluster::LocalFault fault_of(const cluster::LocalOperation& operation) const {
    cluster::LocalFault fault;
    if (operation.kind != cluster::LocalOperation::Kind::message && trouble_) trouble_(fault);
    return fault;
  }

  cluster::LocalHub hub_{{[this](Duration after, std::function<void()> work) { world_.schedule(after, std::move(work)); },
                          world_.clock().get(),
                          [this](const cluster::LocalOperation& operation) { return fault_of(operation); }}};
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::shared_ptr<Neighbour>> neighbours_;
};

}  // namespace troupe::actors
