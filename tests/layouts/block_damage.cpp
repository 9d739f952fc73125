#include "tests/layouts/block_damage.hpp"

#include <algorithm>
#include <utility>

#include "tests/support/block_transfer.hpp"

namespace troupe::tests::layouts {

namespace {

/// Its end is that of another one, which was there before.
KeptBlock torn(const BlockChain& chain, KeptBlock kept, Random& random) {
  const Bytes& below = chain.truth[random.below(chain.truth.size())];
  const auto whole = static_cast<std::ptrdiff_t>(random.below(kept.payload.size()));
  std::copy(below.begin() + whole, below.end(), kept.payload.begin() + whole);
  return kept;
}

/// Another block of the same prompt, with its own checksum or not.
KeptBlock stale(const BlockChain& chain, KeptBlock kept, Random& random) {
  const std::size_t other = random.below(chain.truth.size());
  kept.payload = chain.truth[other];
  if (random.chance(0.5F)) kept.checksum = engine::block_checksum(chain.ids[other], kept.payload);
  return kept;
}

/// What another model computes for the same tokens.
KeptBlock foreign(BlockPlaces& places, const BlockChain& chain, std::size_t block) {
  const auto& prompt = places.universe.spec(chain.spec).prompt;
  places.foreign.have_blocks_of(places.universe.spec(chain.spec), {});
  const PinnedPrefix theirs(places.foreign.cache(), prompt, {});
  const auto payload = theirs.payload(block);
  return {{}, theirs.blocks()[block].checksum, {payload.begin(), payload.end()}};
}

}  // namespace

void flip_some_bits(Random& random, std::span<std::byte> payload) {
  for (std::int64_t bits = random.between(1, 3); bits > 0; --bits)
    payload[random.below(payload.size())] ^= std::byte{1} << random.below(8);
}

KeptBlock keep_somehow(BlockPlaces& places, const BlockChain& chain, std::size_t block, Random& random) {
  KeptBlock kept{"right", engine::block_checksum(chain.ids[block], chain.truth[block]), chain.truth[block]};
  switch (random.below(8)) {
    case 0:
    case 1:
      kept.kind = "flipped";
      flip_some_bits(random, kept.payload);
      break;
    case 2:
      kept = torn(chain, std::move(kept), random);
      kept.kind = "torn";
      break;
    case 3:
      kept = stale(chain, std::move(kept), random);
      kept.kind = "stale";
      break;
    case 4:
      kept = foreign(places, chain, block);
      kept.kind = "foreign";
      break;
    case 5: {
      kept.kind = "of another tenant";
      const auto theirs =
          engine::chain_of(places.asker.cache().scope("another tenant"), places.universe.spec(chain.spec).prompt);
      kept.checksum = engine::block_checksum(theirs[block], kept.payload);
      break;
    }
    case 6:
      kept.kind = "of another length";
      kept.payload.resize(random.below(kept.payload.size()) + 1);
      break;
    default: break;
  }
  return kept;
}

}  // namespace troupe::tests::layouts
