// The rule of fences, as every Store applies it: who may still write, within one call that holds several batches.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "storage/store.hpp"

namespace troupe::storage {

/// An epoch as it is stored at a fence's key: eight bytes, big-endian.
std::string encode_epoch(std::uint64_t epoch);
/// `corrupt` if it is anything else.
Result<std::uint64_t> decode_epoch(std::string_view bytes);

/// The fences of one call of Store::write, which see each other. A fence's key is written by fences alone.
class Fences {
 public:
  using Read = std::function<Result<std::optional<std::string>>(Column, std::string_view)>;
  /// `read` says what is stored; nobody else writes meanwhile.
  explicit Fences(Read read) : read_(std::move(read)) {}

  /// `unavailable` if a newer epoch has been stored or admitted. Otherwise what is to be written with the batch: the epoch, if
  /// it is newer than what is there.
  Result<std::optional<Put>> admit(const Fence& fence);

 private:
  Read read_;
  std::map<std::pair<Column, std::string>, std::uint64_t> admitted_;
};

}  // namespace troupe::storage
