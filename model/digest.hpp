// SHA-256 (FIPS 180-4), for identities that nobody can forge: of checkpoints, and of KV blocks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace troupe::model {

using Sha256Digest = std::array<std::uint8_t, 32>;

/// Lower-case hexadecimal.
std::string to_hex(std::span<const std::uint8_t> bytes);

/// Hashes what it is fed. Whoever hashes several fields feeds lengths too (`add_text` does), so that no two lists of fields
/// give the same bytes. Used by one thread at a time.
class Sha256 {
 public:
  Sha256();

  void update(std::span<const std::byte> bytes);
  /// Little-endian on every machine.
  void add_u32(std::uint32_t value);
  void add_u64(std::uint64_t value);
  /// The length as 64 bits, then the bytes.
  void add_text(std::string_view text);

  /// The digest of everything since the beginning, or since the last `finish()`: the object can be used again.
  Sha256Digest finish();

 private:
  struct Free {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Free> context_;
};

Sha256Digest sha256(std::span<const std::byte> bytes);

}  // namespace troupe::model
