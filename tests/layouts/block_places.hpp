// Where the caches of blocks.hpp find their blocks: for one model, an engine that asks, one that has computed all, one that
// forgets, and one of another model of the same shape, joined by a fabric.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/cluster/expert_cluster.hpp"
#include "tests/layouts/prompts.hpp"

namespace troupe::tests::layouts {

/// Opens a place's fabric, under a name that no other has.
using OpenFabric = std::function<Result<std::unique_ptr<cluster::Fabric>>(const policy::NodeId& name)>;

/// An engine on a fabric of its own.
class BlockPlace {
 public:
  BlockPlace(const std::string& name, const TinyModel& tiny, std::int32_t blocks, const Clock& clock, const OpenFabric& open);
  ~BlockPlace();
  BlockPlace(const BlockPlace&) = delete;
  BlockPlace& operator=(const BlockPlace&) = delete;

  engine::KvCache& cache() { return engine_->blocks(); }
  const policy::NodeId& id() const { return id_; }
  cluster::Fabric& fabric() { return *fabric_; }
  const cluster::RegionPtr& region() const { return region_; }
  void meet(BlockPlace& other);

  /// Answers it, to the end.
  std::vector<bits::HashedToken> answer(const bits::Spec& spec, const std::string& salt);
  /// The names of the prompt's blocks here, all of them computed.
  std::vector<policy::BlockId> have_blocks_of(const bits::Spec& spec, const std::string& salt);

 private:
  policy::NodeId id_;
  std::unique_ptr<kernels::CpuDevice> device_;
  std::unique_ptr<model::Model> model_;
  std::unique_ptr<cluster::Fabric> fabric_;
  std::unique_ptr<engine::Engine> engine_;
  cluster::RegionPtr region_;
};

using Bytes = std::vector<std::byte>;

/// The whole blocks of a prompt: their names for whoever asks, and what they must contain.
struct BlockChain {
  std::size_t spec = 0;
  std::string salt;
  std::vector<policy::BlockId> ids;
  std::vector<Bytes> truth;
};

struct BlockPlaces {
  BlockPlaces(Prompts& prompts, std::size_t model, const Clock& clock, const OpenFabric& open);
  /// Of one of the prompts.
  BlockChain draw_chain(Random& random, const std::string& salt);

  bits::Universe& universe;
  std::vector<std::size_t> specs;  ///< prompts of several whole blocks
  BlockPlace asker;
  BlockPlace owner;
  BlockPlace forgetful;
  BlockPlace foreign;
};

}  // namespace troupe::tests::layouts
