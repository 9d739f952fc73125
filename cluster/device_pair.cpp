// What a node asks of the other for its own transfers. device_pair_rounds.cpp has what both do together.
#include "cluster/device_pair.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace troupe::cluster {

DevicePair::DevicePair(NodeId peer, std::uint64_t own, bool leads, const FabricLimits& limits, DevicePairWorld world)
    : peer_(std::move(peer)), own_(own), leads_(leads), limits_(limits), world_(std::move(world)) {
  TROUPE_CHECK(own_ != 0, "a life of a pair has a number");
}

DevicePair::~DevicePair() { TROUPE_CHECK(!link_ && dying_.empty(), "a pair ends when its links are quiet"); }

void DevicePair::say(DeviceFrame frame) {
  frame.own = own_;
  frame.yours = frame.kind == DeviceFrameKind::hello ? 0 : theirs_;
  frame.epoch = epoch_;
  world_.say(encode(frame));
}

void DevicePair::say(DeviceFrameKind kind, std::uint64_t id, std::uint16_t status) {
  DeviceFrame frame;
  frame.kind = kind;
  frame.id = id;
  frame.status = status;
  say(std::move(frame));
}

void DevicePair::submit(const DeviceTransferPtr& transfer) {
  TROUPE_CHECK(transfer->bytes > 0 && !transfer->outcome, "what is given to a pair is to be moved");
  transfers_[transfer->id] = transfer;
  if (waiting_.size() >= limits_.waiting_max) {
    transfer->outcome = Error{ErrorCode::overloaded, std::to_string(limits_.waiting_max) + " transfers to node " + peer_.value +
                                                         " wait already, which is the limit; try again later"};
    return try_end(transfer);
  }
  waiting_.push_back(transfer);
  watch(transfer, transfer->deadline);
  pump();
}

void DevicePair::cancel(TransferId id) {
  const auto place = transfers_.find(id);
  if (place != transfers_.end()) stop(DeviceTransferPtr(place->second), {ErrorCode::cancelled, "the transfer was cancelled"});
}

void DevicePair::pump() {
  while (!waiting_.empty() && asked_.size() < asks_max) {
    const DeviceTransferPtr transfer = waiting_.front();
    if (asked_bytes_ > 0 && asked_bytes_ + std::min(transfer->bytes, DeviceFrame::ask_bytes_max) > limits_.window_bytes) break;
    const std::uint64_t id = ++drawn_;
    const Chunk& chunk = asked_[id] = next_chunk(*transfer);
    TROUPE_CHECK(chunk.bytes > 0, "an ask moves something");
    ++transfer->chunks;
    asked_bytes_ += chunk.bytes;
    if (transfer->piece == transfer->pieces.size()) waiting_.pop_front();
    DeviceFrame frame;
    frame.kind = DeviceFrameKind::ask;
    frame.gets = transfer->gets;
    frame.id = id;
    frame.extents.region = transfer->remote;
    for (const Piece& piece : chunk.pieces) frame.extents.list.push_back({piece.remote_offset, piece.bytes});
    say(std::move(frame));
  }
  if (leads_ && !asked_.empty()) open_link();
}

DevicePair::Chunk DevicePair::next_chunk(DeviceTransfer& transfer) {
  Chunk chunk;
  chunk.transfer = transfers_.at(transfer.id);
  const auto skip_empty = [&] {
    while (transfer.piece < transfer.pieces.size() && transfer.pieces[transfer.piece].bytes == 0) ++transfer.piece;
  };
  skip_empty();
  while (transfer.piece < transfer.pieces.size() && chunk.pieces.size() < DeviceFrame::extents_max &&
         chunk.bytes < DeviceFrame::ask_bytes_max) {
    const Piece& piece = transfer.pieces[transfer.piece];
    const std::uint64_t bytes = std::min(piece.bytes - transfer.offset, DeviceFrame::ask_bytes_max - chunk.bytes);
    chunk.pieces.push_back({piece.remote_offset + transfer.offset, piece.local_offset + transfer.offset, bytes});
    chunk.bytes += bytes;
    transfer.offset += bytes;
    if (transfer.offset < piece.bytes) continue;
    ++transfer.piece;
    transfer.offset = 0;
    skip_empty();
  }
  return chunk;
}

void DevicePair::on_ready(const DeviceFrame& frame) {
  if (!leads_) return accuse("tells who does not lead what is ready");
  const auto place = asked_.find(frame.id);
  if (place == asked_.end()) return;  // dropped meanwhile
  if (place->second.state != Chunk::State::asked) return accuse("has made ready what is on its way already");
  place->second.state = Chunk::State::ready;
  ready_.push_back({true, frame.id});
  lead();
}

void DevicePair::on_refuse(const DeviceFrame& frame) {
  const auto place = asked_.find(frame.id);
  if (place == asked_.end()) return;
  if (place->second.state != Chunk::State::asked && place->second.state != Chunk::State::dropped) {
    return accuse("refuses what it has taken part in");
  }
  const DeviceTransferPtr transfer = place->second.transfer;
  const auto why = error_of_status(frame.status, peer_);
  ++transfer->chunks;  // it ends with the refusal, not before
  finish_chunk(frame.id);
  stop(transfer, why ? *why : Error{ErrorCode::unavailable, "node " + peer_.value + " refused without a reason"});
  --transfer->chunks;
  try_end(transfer);
  pump();
}

void DevicePair::finish_chunk(std::uint64_t id) {
  const auto place = asked_.find(id);
  const DeviceTransferPtr transfer = place->second.transfer;
  asked_bytes_ -= place->second.bytes;
  asked_.erase(place);
  --transfer->chunks;
  try_end(transfer);
}

void DevicePair::stop(const DeviceTransferPtr& transfer, const Error& why) {
  if (transfer->outcome || !transfers_.contains(transfer->id)) return;
  transfer->outcome = why;
  std::erase(waiting_, transfer);
  std::vector<std::uint64_t> over;
  for (auto& [id, chunk] : asked_) {
    if (chunk.transfer != transfer || chunk.state == Chunk::State::moving) continue;
    if (chunk.state == Chunk::State::asked || chunk.state == Chunk::State::ready) say(DeviceFrameKind::drop, id);
    // The leader alone decides what goes into a round, so who does not lead waits for its word.
    if (leads_ || chunk.state == Chunk::State::stored) {
      over.push_back(id);
    } else {
      chunk.state = Chunk::State::dropped;
    }
  }
  for (const std::uint64_t id : over) {
    std::erase(ready_, DeviceEntry{true, id});
    finish_chunk(id);
  }
  if (!transfers_.contains(transfer->id)) return;
  watch(transfer, world_.clock->now() + fabric_grace);
  try_end(transfer);
}

void DevicePair::try_end(const DeviceTransferPtr& transfer) {
  const bool all = transfer->outcome || transfer->piece == transfer->pieces.size();
  if (transfer->chunks > 0 || !all || transfers_.erase(transfer->id) == 0) return;
  watched_.erase({transfer->watched, transfer->id});
  transfer->local = nullptr;
  world_.ended(transfer);
}

void DevicePair::watch(const DeviceTransferPtr& transfer, TimePoint when) {
  watched_.erase({transfer->watched, transfer->id});
  transfer->watched = when;
  if (when != TimePoint::max()) watched_.insert({when, transfer->id});
}

void DevicePair::lose(const Error& why) {
  waiting_.clear();
  break_off(why, false);
  const auto all = transfers_;
  for (const auto& [id, transfer] : all) stop(transfer, why);
}

}  // namespace troupe::cluster
