#include "tests/support/block_transfer.hpp"

namespace troupe::tests {

PinnedPrefix::PinnedPrefix(engine::KvCache& cache, std::span<const engine::TokenId> tokens, std::string_view salt)
    : cache_(cache), blocks_(cache.pin(engine::chain_of(cache.scope(salt), tokens))) {}

PinnedPrefix::~PinnedPrefix() {
  std::vector<engine::BlockIndex> held;
  for (const engine::PinnedBlock& block : blocks_) held.push_back(block.index);
  cache_.unpin(held);
}

std::span<const std::byte> PinnedPrefix::payload(std::size_t block) const { return cache_.readable(blocks_[block].index); }

Transferred transfer(const PinnedPrefix& source, engine::KvCache& target, bool damaged) {
  std::vector<engine::BlockId> chain;
  for (const engine::PinnedBlock& block : source.blocks()) chain.push_back(block.id);
  const engine::BlockImport import = target.begin_import(chain);
  std::vector<std::uint64_t> checksums;
  std::vector<std::vector<std::byte>> payloads;  // as long as they may be on their way
  for (std::size_t i = 0; i < import.incoming.size(); ++i) {
    const std::size_t place = import.present.size() + i;
    const auto payload = source.payload(place);
    auto& written = payloads.emplace_back(payload.begin(), payload.end());
    if (damaged && i + 1 == import.incoming.size()) written[5] ^= std::byte{0x10};
    target.write(import.incoming[i].index, written);
    checksums.push_back(source.blocks()[place].checksum);
  }
  const engine::BlocksImported imported = target.finish_import(import, checksums);
  return {.offered = import.incoming.size(), .wrong = imported.wrong, .usable = imported.usable};
}

}  // namespace troupe::tests
