// The shape of a KV block: keys and values of 16 consecutive positions of one sequence, by [layer][k,v][kv_head]. Each layer is
// contiguous, so that it can move alone. Within a head, a CPU has [position][dim] in float32, and a GPU bf16 in an order of its
// own (cuda/kv_tiles.hpp). Above the kernels a block is a number of bytes that nobody looks into.
#pragma once

#include <cstddef>
#include <cstdint>

namespace troupe::kernels {

inline constexpr int kv_block_positions = 16;
/// Grows when the bytes of a block change their meaning; part of every block's identity.
inline constexpr std::uint32_t kv_layout_version = 1;

enum class KeyOrValue : std::uint8_t { key, value };

struct KvLayout {
  std::int32_t layers = 0;
  std::int32_t kv_heads = 0;
  std::int32_t head_dim = 0;
  std::int32_t element_bytes = 4;  ///< of one number; kv_element_bytes (numeric_class.hpp) of the device
  friend bool operator==(const KvLayout&, const KvLayout&) = default;

  /// Numbers of one head's keys (or values) in one layer.
  std::size_t head_elements() const { return std::size_t{kv_block_positions} * static_cast<std::size_t>(head_dim); }
  std::size_t layer_elements() const { return 2 * static_cast<std::size_t>(kv_heads) * head_elements(); }
  std::size_t block_elements() const { return static_cast<std::size_t>(layers) * layer_elements(); }
  std::size_t block_bytes() const { return block_elements() * static_cast<std::size_t>(element_bytes); }

  /// Where [layer][which][kv_head] begins, in numbers from the start of its block.
  std::size_t offset(int layer, KeyOrValue which, int kv_head) const {
    const auto half = static_cast<std::size_t>(layer) * 2 + static_cast<std::size_t>(which);
    return (half * static_cast<std::size_t>(kv_heads) + static_cast<std::size_t>(kv_head)) * head_elements();
  }
};

/// Rows of one sequence in a batch: consecutive rows at consecutive positions, and where the sequence's blocks are.
struct SequenceRows {
  std::int32_t first_row = 0;
  std::int32_t rows = 0;
  std::int32_t first_position = 0;
  /// Pool indices of the blocks of positions 0..15, 16..31, ...; as long as the last row's position needs. Host memory.
  const std::int32_t* blocks = nullptr;
};

}  // namespace troupe::kernels
