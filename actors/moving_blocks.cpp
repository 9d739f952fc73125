#include "actors/moving_blocks.hpp"

#include <algorithm>
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

std::vector<std::span<std::byte>> IncomingBlocks::targets() {
  const std::size_t bytes = blocks_->block_bytes();
  std::vector<std::span<std::byte>> targets;
  if (blocks_->host_readable()) {
    for (std::size_t place = 0; place < import_.incoming.size(); ++place) {
      targets.push_back(blocks_->memory().subspan(offset(place), bytes));
    }
    return targets;
  }
  const std::size_t staged = std::min(import_.incoming.size(), staged_bytes_max / bytes);
  staged_ = std::make_shared<std::vector<std::byte>>(staged * bytes);
  for (std::size_t place = 0; place < staged; ++place) targets.push_back(std::span(*staged_).subspan(place * bytes, bytes));
  return targets;
}

void IncomingBlocks::finish(std::vector<std::uint64_t> checksums, Finished finished) {
  finished_ = true;
  blocks_->post([import = import_, staged = staged_, checksums = std::move(checksums),
                 finished = std::move(finished)](engine::KvCache& cache) {
    const std::size_t bytes = cache.layout().block_bytes();
    for (std::size_t place = 0; staged && place < checksums.size(); ++place) {
      cache.write(import.incoming[place].index, std::span(*staged).subspan(place * bytes, bytes));
    }
    finished(cache.finish_import(import, checksums));
  });
}

}  // namespace troupe::actors
