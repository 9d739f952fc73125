// What others ask of a framed fabric's node: greetings, messages, and access to its regions. Nothing that arrives is believed.
#include <algorithm>
#include <cstring>

#include "base/check.hpp"
#include "cluster/framed_core.hpp"

namespace troupe::cluster {

namespace {

/// A message at its receiver: its part of the sender's window is given back when it is let go.
struct ReceivedMessage {
  MessageBuffer buffer;
  std::shared_ptr<MessageReturns> returns;
  std::uint64_t peer = 0;
  std::size_t cost = 0;
  ~ReceivedMessage() { (*returns)(peer, cost); }
};

}  // namespace

void FramedCore::on_frame(Arrival& arrival) {
  const auto frame = decode_frame(arrival.head());
  if (!frame) return;  // whose it is nobody can say
  const FrameHead& head = frame->head;
  if (head.kind == FrameKind::hello) return on_hello(head, arrival);
  const auto place = sessions_.find(head.session);
  if (place == sessions_.end()) return;  // from an earlier life
  FramedPeer& peer = *place->second;
  meet(peer, head);  // its hello may be late
  switch (head.kind) {
    case FrameKind::message: return on_message(peer, head, arrival);
    case FrameKind::credit:
      if (head.value > peer.message_bytes) return accuse(peer, "has finished with more than it was sent");
      peer.message_bytes -= head.value;
      return pump(peer);
    case FrameKind::get: return on_get(peer, *frame);
    case FrameKind::data: return on_data(peer, head, arrival);
    case FrameKind::put: return on_put(peer, *frame, arrival);
    case FrameKind::stored: return on_stored(peer, head);
    case FrameKind::bye:
      accused_.emplace_back(peer.serial, Error{ErrorCode::unavailable, "node " + peer.name.value + " has left"});
      return;
    default: return;
  }
}

void FramedCore::on_hello(const FrameHead& head, Arrival& arrival) {
  constexpr std::size_t hello_bytes_max = fabric_address_bytes_max + node_name_bytes_max + 64;
  if (arrival.body() == nullptr || arrival.bytes() > hello_bytes_max || head.id == 0) return;
  const auto hello = decode_hello({arrival.body(), arrival.bytes()});
  if (!hello || hello->yours != token_ || hello->name == name_) return;
  FramedPeer* peer = find(hello->name);
  // Hellos may come late, many at once: after a node stood still, from each time that others tried to reach it. Whoever began
  // anew for each of them would make the other side begin anew as often, for ever.
  if (peer != nullptr && peer->address.token == hello->own && head.id < peer->greeted) return;
  if (head.value != 0 && (peer == nullptr || head.value != peer->greeting)) return;  // answers one that is over
  if (peer != nullptr && (peer->address.token != hello->own || (peer->greeted != 0 && peer->greeted != head.id))) {
    lose(*peer, {ErrorCode::unavailable, "node " + hello->name.value + " has begun anew"}, true);
    peer = nullptr;
  }
  if (peer == nullptr) {
    if (peers_.size() >= 2 * limits_.peers_max) return;  // those that we connected, and as many that connected us
    peer = make_peer(hello->name, {hello->own, hello->address}, head.id);
    if (peer == nullptr) return;
  }
  peer->greeted = head.id;
  meet(*peer, head);
}

void FramedCore::meet(FramedPeer& peer, const FrameHead& head) {
  if (peer.welcome) return;
  peer.welcome = true;
  peer.session = head.own;
  pump(peer);
}

void FramedCore::on_message(FramedPeer& peer, const FrameHead& head, Arrival& arrival) {
  if (head.channel >= channels) return accuse(peer, "sent on channel " + std::to_string(head.channel));
  const std::size_t channel = head.channel;
  const std::size_t cost = arrival.bytes() + message_overhead_bytes;
  if (arrival.bytes() > limits_.message_bytes_max || (peer.held_bytes > 0 && peer.held_bytes + cost > limits_.window_bytes)) {
    return accuse(peer, "sent a message of " + std::to_string(arrival.bytes()) + " bytes, which oversteps its window");
  }
  auto& arriving = peer.arriving.at(channel);
  if (head.id < peer.next_in.at(channel) || arriving.contains(head.id)) return accuse(peer, "repeated a message");
  peer.held_bytes += cost;
  FramedMessage& message = arriving[head.id];
  message.buffer = buffers_->take(arrival.bytes());
  // The transport may write until it says so, also if the peer is gone by then: the buffer waits apart from the peer.
  const auto target = std::make_shared<MessageBuffer>(std::move(message.buffer));
  arrival.receive(target->bytes(), [this, serial = peer.serial, channel, id = head.id, target](const Result<void>& received) {
    FramedPeer* const sender = find(serial);
    if (sender == nullptr) return;
    if (!received) return accuse(*sender, "broke off a message: " + received.error().message);
    FramedMessage& arrived = sender->arriving.at(channel).at(id);
    arrived.buffer = std::move(*target);
    arrived.complete = true;
    deliver(*sender, channel);
  });
}

void FramedCore::deliver(FramedPeer& peer, std::size_t channel) {
  auto& arriving = peer.arriving.at(channel);
  while (!arriving.empty() && arriving.begin()->first == peer.next_in.at(channel) && arriving.begin()->second.complete) {
    const auto held = std::make_shared<ReceivedMessage>();
    held->buffer = std::move(arriving.begin()->second.buffer);
    held->returns = returns_;
    held->peer = peer.serial;
    held->cost = held->buffer.bytes().size() + message_overhead_bytes;
    arriving.erase(arriving.begin());
    ++peer.next_in.at(channel);
    OnMessage listener;
    {
      const std::scoped_lock lock(shared_);
      listener = receivers_.at(channel);
    }
    if (listener) listener(peer.name, Payload{held, held->buffer.bytes()});
  }
}

void FramedCore::finish_message(std::uint64_t serial, std::size_t cost) {
  FramedPeer* const peer = find(serial);
  if (peer == nullptr) return;
  peer->held_bytes -= cost;
  peer->credit += cost;
  if (peer->credit >= limits_.window_bytes / 4) return send_credit(*peer);
  // Many small ones are told of together.
  if (std::exchange(peer->credit_timer, true)) return;
  at(clock_.now() + credit_delay, [this, serial] {
    FramedPeer* const still = find(serial);
    if (still == nullptr) return;
    still->credit_timer = false;
    send_credit(*still);
  });
}

void FramedCore::send_credit(FramedPeer& peer) {
  if (peer.credit == 0) return;
  FrameHead head = head_to(peer, FrameKind::credit, 0);
  head.value = std::exchange(peer.credit, 0);
  wire_->send(peer.link, encode(head), {}, [](const Result<void>& /*sent*/) {});
}

Result<RegionPtr> FramedCore::look_up(const Extents& extents) {
  RegionPtr region;
  {
    const std::scoped_lock lock(shared_);
    const auto place = regions_.find(extents.region);
    if (place != regions_.end()) region = place->second.lock();
  }
  if (!region) return Error{ErrorCode::not_found, "no such region"};
  const std::uint64_t bytes = region->memory().size();
  for (const Extent& extent : extents.list) {
    if (extent.offset > bytes || extent.bytes > bytes - extent.offset) {
      return Error{ErrorCode::invalid_argument, "an extent lies outside of its region"};
    }
  }
  return region;
}

void FramedCore::answer(FramedPeer& peer, FrameKind kind, std::uint64_t id, const Result<void>& result) {
  FrameHead head = head_to(peer, kind, id);
  head.status = result ? std::uint16_t{0} : status_of(result.error().code);
  wire_->send(peer.link, encode(head), {}, [](const Result<void>& /*sent*/) {});
}

void FramedCore::on_get(FramedPeer& peer, const Frame& frame) {
  if (peer.serving >= serving_max) {
    return answer(peer, FrameKind::data, frame.head.id, Error{ErrorCode::overloaded, "too many at a time"});
  }
  const auto region = look_up(frame.extents);
  if (!region) return answer(peer, FrameKind::data, frame.head.id, region.error());
  const auto& extents = frame.extents.list;
  const std::span<const std::byte> memory = (*region)->memory();
  std::span<const std::byte> body = memory.subspan(extents.front().offset, extents.front().bytes);
  auto gathered = std::make_shared<MessageBuffer>();
  if (extents.size() > 1) {
    *gathered = buffers_->take(frame.extents.bytes());
    std::byte* to = gathered->bytes().data();
    for (const Extent& extent : extents) {
      std::memcpy(to, memory.data() + extent.offset, extent.bytes);
      to += extent.bytes;
    }
    body = gathered->bytes();
  }
  const FrameHead head = head_to(peer, FrameKind::data, frame.head.id);
  ++peer.serving;
  const auto overdue = std::make_shared<bool>(false);
  const auto timer = at(clock_.now() + serving_time_max, [this, overdue, serial = peer.serial] {
    *overdue = true;
    FramedPeer* const slow = find(serial);
    if (slow == nullptr) return;
    lose(*slow, {ErrorCode::unavailable, "node " + slow->name.value + " did not take what it asked for"}, true);
  });
  // The region and what was gathered stay until the wire has let go of them.
  wire_->send(peer.link, encode(head), body, [this, gathered, overdue, timer, region = *region, serial = peer.serial](auto&&) {
    if (!*overdue) timers_.erase(timer);
    if (FramedPeer* const still = find(serial)) --still->serving;
  });
}

void FramedCore::on_put(FramedPeer& peer, const Frame& frame, Arrival& arrival) {
  if (arrival.bytes() != frame.extents.bytes()) {
    return accuse(peer,
                  "puts " + std::to_string(arrival.bytes()) + " bytes where it says " + std::to_string(frame.extents.bytes()));
  }
  const std::uint64_t id = frame.head.id;
  if (peer.serving >= serving_max)
    return answer(peer, FrameKind::stored, id, Error{ErrorCode::overloaded, "too many at a time"});
  const auto region = look_up(frame.extents);
  if (!region) return answer(peer, FrameKind::stored, id, region.error());
  const auto& extents = frame.extents.list;
  auto gathered = std::make_shared<MessageBuffer>();
  std::span<std::byte> target = (*region)->memory().subspan(extents.front().offset, extents.front().bytes);
  if (extents.size() > 1) {
    *gathered = buffers_->take(arrival.bytes());
    target = gathered->bytes();
  }
  ++peer.serving;
  arrival.receive(target, [this, gathered, region = *region, extents, id, serial = peer.serial](const Result<void>& received) {
    if (received && extents.size() > 1) {
      const std::byte* from = gathered->bytes().data();
      for (const Extent& extent : extents) {
        std::memcpy(region->memory().data() + extent.offset, from, extent.bytes);
        from += extent.bytes;
      }
    }
    FramedPeer* const writer = find(serial);
    if (writer == nullptr) return;
    --writer->serving;
    answer(*writer, FrameKind::stored, id, received);
  });
}

}  // namespace troupe::cluster
