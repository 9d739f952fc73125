#include "storage/fence.hpp"

#include "storage/big_endian.hpp"

namespace troupe::storage {

std::string encode_epoch(std::uint64_t epoch) {
  std::string bytes;
  append_big_endian(bytes, epoch);
  return bytes;
}

Result<std::uint64_t> decode_epoch(std::string_view bytes) {
  if (const auto epoch = read_big_endian<std::uint64_t>(bytes)) return *epoch;
  return Error{ErrorCode::corrupt, "an epoch of " + std::to_string(bytes.size()) + " bytes, expected 8; the record is damaged"};
}

Result<std::optional<Put>> Fences::admit(const Fence& fence) {
  const auto place = std::pair(fence.column, fence.key);
  auto known = admitted_.find(place);
  if (known == admitted_.end()) {
    TROUPE_TRY(const auto stored, read_(fence.column, fence.key));
    if (!stored) {
      admitted_[place] = fence.epoch;
      return Put{.column = fence.column, .key = fence.key, .value = encode_epoch(fence.epoch)};
    }
    TROUPE_TRY(const std::uint64_t epoch, decode_epoch(*stored));
    known = admitted_.emplace(place, epoch).first;
  }
  if (fence.epoch < known->second) {
    return Error{ErrorCode::unavailable, "a write under epoch " + std::to_string(fence.epoch) + ", but epoch " +
                                             std::to_string(known->second) +
                                             " has begun: another node is home by now; look it up and ask there"};
  }
  if (fence.epoch == known->second) return std::nullopt;
  known->second = fence.epoch;
  return Put{.column = fence.column, .key = fence.key, .value = encode_epoch(fence.epoch)};
}

}  // namespace troupe::storage
