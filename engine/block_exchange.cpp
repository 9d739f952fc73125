#include "engine/block_exchange.hpp"

#include <xxhash.h>

#include <bit>
#include <cstring>

namespace troupe::engine {

static_assert(std::endian::native == std::endian::little,
              "blocks hold little-endian numbers; swap them where they leave or come");

std::uint64_t block_checksum(const BlockId& id, std::span<const std::byte> payload) {
  std::uint64_t seed = 0;
  std::memcpy(&seed, id.bytes.data(), sizeof seed);
  return XXH3_64bits_withSeed(payload.data(), payload.size_bytes(), seed);
}

}  // namespace troupe::engine
