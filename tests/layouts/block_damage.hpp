// What a block may have become where it is kept, or while it is read.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "tests/layouts/block_places.hpp"

namespace troupe::tests::layouts {

/// One to three bits, which may be the same.
void flip_some_bits(Random& random, std::span<std::byte> payload);

/// A block as somebody has left it in memory or on a disk.
struct KeptBlock {
  std::string_view kind;
  std::uint64_t checksum = 0;
  Bytes payload;
};
/// A block of a chain: as it should be, or in one of the ways in which it should not.
KeptBlock keep_somehow(BlockPlaces& places, const BlockChain& chain, std::size_t block, Random& random);

}  // namespace troupe::tests::layouts
