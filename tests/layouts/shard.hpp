// One node's KV blocks in a layout: what it lends to peers, and how it gets the missing beginning of a prompt: from the levels
// below its pool, or over the fabric from a peer that has it, whichever policy finds cheaper. What comes is verified by the
// cache; whatever goes wrong, the engine computes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "cluster/block_directory.hpp"
#include "cluster/fabric.hpp"
#include "cluster/work_thread.hpp"
#include "engine/kv_cache.hpp"
#include "policy/kv_fetch.hpp"
#include "storage/block_store.hpp"
#include "tests/layouts/layout.hpp"

namespace troupe::tests::layouts {

struct ShardCounters {
  std::uint64_t fetched = 0;  ///< blocks that came from peers and were taken
  std::uint64_t read = 0;     ///< blocks that came from the levels below and were taken
  std::uint64_t refused = 0;  ///< blocks that came and were not what they should be
  std::uint64_t failed = 0;   ///< fetches that ended without blocks
};

class Shard;

/// What shards share. Everything here outlives them.
struct ShardWorld {
  /// Has something done at a node's shard after a while, as a message would; or never.
  std::function<void(const policy::NodeId& node, std::function<void(Shard&)> work)> tell;
  cluster::Schedule schedule;
  const Clock* clock = nullptr;
  Random* random = nullptr;
  Troubles troubles;
  double seconds_per_token = 0;
  bool verifies = true;  ///< false: plants the defect that whatever comes is taken
  ShardCounters counters;
};

/// Used by one thread, which also drives the engine.
class Shard : public std::enable_shared_from_this<Shard> {
 public:
  /// All of these outlive it. The cache's memory is exposed to peers while it lives.
  Shard(policy::NodeId self, engine::KvCache& cache, cluster::Fabric& fabric, storage::BlockStore& below, ShardWorld& world);

  /// Gets what it can of the blocks of these tokens, then calls `done`, unless the shard ends before.
  void obtain(const std::vector<engine::TokenId>& tokens, const std::string& salt, std::function<void()> done);
  /// Tells others which blocks have come and gone here.
  void publish(const std::vector<policy::NodeId>& peers);
  /// What was lent to it is let go, and what it had is forgotten.
  void peer_lost(const policy::NodeId& peer);

 private:
  using Chain = std::vector<policy::BlockId>;
  struct Wanted;
  using WantedPtr = std::shared_ptr<Wanted>;
  /// Blocks that a peer may read until it says that it has, or too long has passed.
  struct Loan {
    std::uint64_t number = 0;
    std::vector<engine::PinnedBlock> blocks;
    cluster::RemoteRegion region;
  };

  void look(const WantedPtr& wanted);
  void read_below(const WantedPtr& wanted, std::size_t blocks);
  void ask(const WantedPtr& wanted, const policy::NodeId& peer, std::size_t blocks);
  /// At the owner.
  Loan lend(const policy::NodeId& to, const Chain& chain);
  void let_go(std::uint64_t loan);
  void get(const WantedPtr& wanted, const policy::NodeId& peer, std::size_t from, const Loan& loan);
  /// `checksums` of as many of the incoming blocks as came.
  void take(engine::BlockImport import, std::vector<std::uint64_t> checksums, std::uint64_t& taken, bool from_below);

  policy::NodeId self_;
  engine::KvCache& cache_;
  cluster::Fabric& fabric_;
  storage::BlockStore& below_;
  ShardWorld& world_;
  cluster::RegionPtr region_;
  cluster::BlockDirectory directory_;
  std::uint64_t loans_given_ = 0;
  std::map<std::uint64_t, std::pair<policy::NodeId, std::vector<engine::BlockIndex>>> loans_;
};

}  // namespace troupe::tests::layouts
