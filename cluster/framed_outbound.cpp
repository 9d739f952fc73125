// What a framed fabric's node asks of others: transfers wait, go out in chunks, and end.
#include <algorithm>
#include <cstring>

#include "base/check.hpp"
#include "cluster/framed_core.hpp"

namespace troupe::cluster {

namespace {

bool is_message(const FramedTransfer& transfer) { return transfer.kind == FramedTransfer::Kind::message; }
std::size_t cost_of(const FramedTransfer& transfer) { return transfer.bytes + message_overhead_bytes; }

}  // namespace

Result<void> FramedCore::check(FramedTransfer& transfer) {
  if (transfer.outcome) return Error(*transfer.outcome);
  if (is_message(transfer) && transfer.bytes > limits_.message_bytes_max) {
    return Error{ErrorCode::too_large, "a message of " + std::to_string(transfer.bytes) + " bytes, expected at most " +
                                           std::to_string(limits_.message_bytes_max)};
  }
  FramedPeer* const peer = find(transfer.to);
  if (peer == nullptr) {
    return Error{ErrorCode::unavailable, "node " + transfer.to.value + " is not connected; connect it first"};
  }
  if (peer->messages.size() + peer->moves.size() >= limits_.waiting_max) {
    return Error{ErrorCode::overloaded, std::to_string(limits_.waiting_max) + " transfers to node " + transfer.to.value +
                                            " wait already, which is the limit; try again later"};
  }
  transfer.peer = peer->serial;
  return {};
}

void FramedCore::start(const FramedTransferPtr& transfer) {
  transfers_[transfer->id] = transfer;
  if (const auto fine = check(*transfer); !fine) {
    transfer->outcome = fine.error();
    return try_end(transfer);
  }
  FramedPeer& peer = *find(transfer->peer);
  (is_message(*transfer) ? peer.messages : peer.moves).push_back(transfer);
  if (transfer->deadline != TimePoint::max()) {
    transfer->timer = at(transfer->deadline, [this, transfer] {
      transfer->timer.reset();
      stop(transfer, {ErrorCode::deadline_exceeded, "the transfer's deadline has passed"});
    });
  }
  pump(peer);
}

void FramedCore::pump(FramedPeer& peer) {
  if (!peer.welcome) return;
  while (!peer.messages.empty()) {
    const auto transfer = peer.messages.front();
    if (peer.message_bytes > 0 && peer.message_bytes + cost_of(*transfer) > limits_.window_bytes) break;
    peer.messages.pop_front();
    send_message(peer, transfer);
  }
  while (!peer.moves.empty() && peer.chunks < chunks_max) {
    const auto transfer = peer.moves.front();
    if (peer.chunk_bytes > 0 && peer.chunk_bytes + std::min(transfer->bytes, Extents::bytes_max) > limits_.window_bytes) break;
    if (transfer->bytes > 0) issue_chunk(peer, transfer);
    if (transfer->bytes > 0 && !transfer->issued) continue;
    transfer->issued = true;
    if (!peer.moves.empty() && peer.moves.front() == transfer) peer.moves.pop_front();
    try_end(transfer);
  }
}

void FramedCore::send_message(FramedPeer& peer, const FramedTransferPtr& transfer) {
  peer.message_bytes += cost_of(*transfer);
  FrameHead head;
  head.kind = FrameKind::message;
  head.channel = static_cast<std::uint8_t>(transfer->channel);
  head.session = peer.session;
  head.id = peer.next_out.at(head.channel)++;
  transfer->issued = true;
  transfer->sending = true;
  wire_->send(peer.link, encode(head), transfer->message.bytes, [this, transfer](const Result<void>& sent) {
    transfer->sending = false;
    if (!sent && !transfer->outcome) {
      transfer->outcome = Error{ErrorCode::unavailable, "node " + transfer->to.value + ": " + sent.error().message};
    }
    try_end(transfer);
  });
}

FramedChunk FramedCore::next_chunk(const FramedTransferPtr& transfer) {
  FramedChunk chunk;
  chunk.transfer = transfer;
  while (transfer->piece < transfer->pieces.size() && chunk.pieces.size() < Extents::count_max) {
    const Piece& piece = transfer->pieces[transfer->piece];
    const std::uint64_t left = piece.bytes - transfer->offset;
    const bool gathers = left < gathered_piece_max && chunk.bytes + left <= gathered_bytes_max;
    if (!gathers && !chunk.pieces.empty()) break;
    const std::uint64_t bytes = std::min(left, Extents::bytes_max);
    if (bytes > 0) {
      chunk.pieces.push_back({piece.remote_offset + transfer->offset, piece.local_offset + transfer->offset, bytes});
      chunk.bytes += bytes;
    }
    transfer->offset += bytes;
    if (transfer->offset == piece.bytes) {
      ++transfer->piece;
      transfer->offset = 0;
    }
    if (!gathers) break;
  }
  // Empty pieces behind it do not make a chunk of their own.
  while (transfer->piece < transfer->pieces.size() && transfer->pieces[transfer->piece].bytes == 0) ++transfer->piece;
  transfer->issued = transfer->piece == transfer->pieces.size();
  return chunk;
}

void FramedCore::issue_chunk(FramedPeer& peer, const FramedTransferPtr& transfer) {
  const std::uint64_t id = ++drawn_;
  FramedChunk& chunk = chunks_[id] = next_chunk(transfer);
  TROUPE_CHECK(chunk.bytes > 0, "a chunk moves something");
  transfer->chunks.insert(id);
  ++peer.chunks;
  peer.chunk_bytes += chunk.bytes;
  const bool is_get = transfer->kind == FramedTransfer::Kind::get;
  FrameHead head;
  head.kind = is_get ? FrameKind::get : FrameKind::put;
  head.session = peer.session;
  head.id = id;
  Extents extents{transfer->remote, {}};
  for (const Piece& piece : chunk.pieces) extents.list.push_back({piece.remote_offset, piece.bytes});
  if (is_get) return wire_->send(peer.link, encode(head, extents), {}, [](const Result<void>& /*sent*/) {});

  const std::span<const std::byte> memory = transfer->local->memory();
  std::span<const std::byte> body = memory.subspan(chunk.pieces.front().local_offset, chunk.pieces.front().bytes);
  if (chunk.pieces.size() > 1) {
    chunk.gathered = buffers_->take(chunk.bytes);
    std::byte* to = chunk.gathered.bytes().data();
    for (const Piece& piece : chunk.pieces) {
      std::memcpy(to, memory.data() + piece.local_offset, piece.bytes);
      to += piece.bytes;
    }
    body = chunk.gathered.bytes();
  }
  chunk.held = true;
  // A send that fails leaves the chunk to the answer, or to the end of the peer.
  wire_->send(peer.link, encode(head, extents), body, [this, id](const Result<void>& /*sent*/) {
    const auto place = chunks_.find(id);
    if (place == chunks_.end()) return;
    place->second.held = false;
    end_chunk(id);
  });
}

void FramedCore::end_chunk(std::uint64_t id) {
  const auto place = chunks_.find(id);
  if (place == chunks_.end() || place->second.held || !(place->second.answered || place->second.transfer->outcome)) return;
  const FramedTransferPtr transfer = place->second.transfer;
  FramedPeer* const peer = find(transfer->peer);
  if (peer != nullptr) {
    --peer->chunks;
    peer->chunk_bytes -= place->second.bytes;
  }
  transfer->chunks.erase(id);
  chunks_.erase(place);
  try_end(transfer);
  if (peer != nullptr) pump(*peer);
}

void FramedCore::on_data(FramedPeer& peer, const FrameHead& head, Arrival& arrival) {
  const auto place = chunks_.find(head.id);
  if (place == chunks_.end()) return;  // its transfer is over
  FramedChunk& chunk = place->second;
  const FramedTransferPtr transfer = chunk.transfer;
  if (transfer->peer != peer.serial || transfer->kind != FramedTransfer::Kind::get || chunk.held) {
    return accuse(peer, "answered what it was not asked");
  }
  if (auto refused = error_of_status(head.status, peer.name)) {
    chunk.answered = true;
    stop(transfer, *refused);
    return;
  }
  if (arrival.bytes() != chunk.bytes) {
    return accuse(peer, "answered with " + std::to_string(arrival.bytes()) + " bytes, expected " + std::to_string(chunk.bytes));
  }
  const bool scattered = chunk.pieces.size() > 1;
  std::span<std::byte> target =
      transfer->local->memory().subspan(chunk.pieces.front().local_offset, chunk.pieces.front().bytes);
  if (scattered) {
    chunk.gathered = buffers_->take(chunk.bytes);
    target = chunk.gathered.bytes();
  }
  chunk.held = true;
  arrival.receive(target, [this, id = head.id, scattered](const Result<void>& received) {
    const auto still = chunks_.find(id);
    if (still == chunks_.end()) return;
    FramedChunk& arrived = still->second;
    arrived.held = false;
    arrived.answered = true;
    const FramedTransferPtr whole = arrived.transfer;
    if (received && scattered && !whole->outcome) {
      const std::byte* from = arrived.gathered.bytes().data();
      for (const Piece& piece : arrived.pieces) {
        std::memcpy(whole->local->memory().data() + piece.local_offset, from, piece.bytes);
        from += piece.bytes;
      }
    }
    if (!received && !whole->outcome) {
      stop(whole, {ErrorCode::unavailable, "node " + whole->to.value + ": " + received.error().message});
    }
    end_chunk(id);
  });
}

void FramedCore::on_stored(FramedPeer& peer, const FrameHead& head) {
  const auto place = chunks_.find(head.id);
  if (place == chunks_.end()) return;
  const FramedTransferPtr transfer = place->second.transfer;
  if (transfer->peer != peer.serial || transfer->kind != FramedTransfer::Kind::put) {
    return accuse(peer, "answered what it was not asked");
  }
  place->second.answered = true;
  if (auto refused = error_of_status(head.status, peer.name)) stop(transfer, *refused);
  end_chunk(head.id);
}

void FramedCore::stop(const FramedTransferPtr& transfer, const Error& why) {
  if (transfer->outcome || !transfers_.contains(transfer->id)) return;
  transfer->outcome = why;
  if (FramedPeer* const peer = find(transfer->peer)) {
    std::erase(peer->messages, transfer);
    std::erase(peer->moves, transfer);
  }
  const auto chunks = transfer->chunks;
  for (const std::uint64_t id : chunks) end_chunk(id);
  if (!transfers_.contains(transfer->id)) return;
  if (transfer->timer) timers_.erase(*std::exchange(transfer->timer, std::nullopt));
  // What still holds the memory has its grace; then the link is broken off, which makes the wire let go.
  transfer->timer = at(clock_.now() + fabric_grace, [this, transfer] {
    transfer->timer.reset();
    FramedPeer* const peer = find(transfer->peer);
    if (peer != nullptr) {
      lose(*peer, {ErrorCode::unavailable, "node " + peer->name.value + " did not let go of a transfer that was over"}, true);
    }
  });
  try_end(transfer);
}

void FramedCore::try_end(const FramedTransferPtr& transfer) {
  if (!transfer->chunks.empty() || transfer->sending || !(transfer->issued || transfer->outcome)) return;
  if (transfers_.erase(transfer->id) == 0) return;
  if (transfer->timer) timers_.erase(*std::exchange(transfer->timer, std::nullopt));
  const TransferDone done = std::move(transfer->done);
  transfer->message = {};
  transfer->local = nullptr;
  if (!done) return;
  if (transfer->outcome) return done(*transfer->outcome);
  done({});
}

}  // namespace troupe::cluster
