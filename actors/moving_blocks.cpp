#include "actors/moving_blocks.hpp"

#include <utility>

namespace troupe::actors {

void PinnedBlocks::pin(const std::shared_ptr<ReplicaBlocks>& blocks, std::vector<policy::BlockId> chain, Done done) {
  blocks->post([blocks, chain = std::move(chain), done = std::move(done)](engine::KvCache& cache) {
    done(std::make_shared<PinnedBlocks>(blocks, cache.pin(chain)));
  });
}

PinnedBlocks::PinnedBlocks(std::shared_ptr<ReplicaBlocks> blocks, std::vector<engine::PinnedBlock> pinned)
    : blocks_(std::move(blocks)), pinned_(std::move(pinned)) {}

PinnedBlocks::~PinnedBlocks() {
  std::vector<engine::BlockIndex> indexes;
  indexes.reserve(pinned_.size());
  for (const engine::PinnedBlock& block : pinned_) indexes.push_back(block.index);
  if (!indexes.empty()) blocks_->post([indexes = std::move(indexes)](engine::KvCache& cache) { cache.unpin(indexes); });
}

void IncomingBlocks::make(const std::shared_ptr<ReplicaBlocks>& blocks, std::vector<policy::BlockId> chain, Made made) {
  blocks->post([blocks, chain = std::move(chain), made = std::move(made)](engine::KvCache& cache) {
    made(std::make_shared<IncomingBlocks>(blocks, cache.begin_import(chain)));
  });
}

IncomingBlocks::IncomingBlocks(std::shared_ptr<ReplicaBlocks> blocks, engine::BlockImport import)
    : blocks_(std::move(blocks)), import_(std::move(import)) {}

IncomingBlocks::~IncomingBlocks() {
  if (finished_) return;
  blocks_->post([import = std::move(import_)](engine::KvCache& cache) { cache.abandon_import(import); });
}

std::size_t IncomingBlocks::offset(std::size_t place) const {
  return static_cast<std::size_t>(import_.incoming[place].index) * blocks_->block_bytes();
}

void IncomingBlocks::finish(std::vector<std::uint64_t> checksums, Finished finished) {
  finished_ = true;
  blocks_->post([import = import_, checksums = std::move(checksums), finished = std::move(finished)](engine::KvCache& cache) {
    finished(cache.finish_import(import, checksums));
  });
}

}  // namespace troupe::actors
