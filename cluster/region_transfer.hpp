// What fabrics share that move bytes between regions by the ids of those.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cluster/fabric.hpp"
#include "cluster/frames.hpp"

namespace troupe::cluster {

class ExposedRegion : public Region {
 public:
  /// `key`: what others reach it by.
  ExposedRegion(std::string key, std::span<std::byte> memory, std::shared_ptr<const void> owner)
      : key_(std::move(key)), memory_(memory), owner_(std::move(owner)) {}
  std::span<std::byte> memory() const override { return memory_; }
  RemoteRegion remote() const override { return {key_, memory_.size()}; }

 private:
  std::string key_;
  std::span<std::byte> memory_;
  std::shared_ptr<const void> owner_;
};

/// Says what a transfer moves, or, in its outcome, why it cannot. `id`: what the key of `remote` says.
template <class Transfer>
void describe(Transfer& transfer, RegionPtr local, const RemoteRegion& remote, const Result<RegionId>& id,
              std::vector<Piece> pieces, const FabricLimits& limits) {
  const auto bytes = check_pieces(pieces, local->memory().size(), remote.bytes, limits);
  if (!id || !bytes) {
    transfer.outcome = bytes ? id.error() : bytes.error();
  } else {
    transfer.remote = *id;
    transfer.bytes = *bytes;
  }
  transfer.local = std::move(local);
  transfer.pieces = std::move(pieces);
}

}  // namespace troupe::cluster
