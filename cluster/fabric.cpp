#include "cluster/fabric.hpp"

#include <algorithm>
#include <limits>

namespace troupe::cluster {

Payload payload_of(std::span<const std::byte> bytes) {
  if (bytes.empty()) return {};
  const auto words = (bytes.size() + sizeof(std::uint64_t) - 1) / sizeof(std::uint64_t);
  const std::shared_ptr<std::uint64_t[]> memory(new std::uint64_t[words]);
  auto* const begin = reinterpret_cast<std::byte*>(memory.get());
  std::copy(bytes.begin(), bytes.end(), begin);
  return {memory, {begin, bytes.size()}};
}

Result<std::uint64_t> check_pieces(std::span<const Piece> pieces, std::uint64_t local_bytes, std::uint64_t remote_bytes,
                                   const FabricLimits& limits) {
  if (pieces.size() > limits.pieces_max) {
    return Error{ErrorCode::too_large, "a transfer of " + std::to_string(pieces.size()) + " pieces, expected at most " +
                                           std::to_string(limits.pieces_max) + "; split it"};
  }
  std::uint64_t sum = 0;
  for (const Piece& piece : pieces) {
    const auto outside = [&](std::uint64_t offset, std::uint64_t bytes) {
      return offset > bytes || piece.bytes > bytes - offset;
    };
    const bool local = outside(piece.local_offset, local_bytes);
    if (local || outside(piece.remote_offset, remote_bytes)) {
      return Error{ErrorCode::invalid_argument, "a piece of " + std::to_string(piece.bytes) + " bytes at " +
                                                    std::to_string(local ? piece.local_offset : piece.remote_offset) +
                                                    " lies outside of the " + (local ? "local" : "remote") + " region of " +
                                                    std::to_string(local ? local_bytes : remote_bytes) + " bytes"};
    }
    if (piece.bytes > std::numeric_limits<std::uint64_t>::max() - sum) {
      return Error{ErrorCode::too_large, "the pieces of a transfer add up to more than 2^64 bytes; split it"};
    }
    sum += piece.bytes;
  }
  return sum;
}

}  // namespace troupe::cluster
