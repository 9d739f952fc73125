#include "cluster/local_core.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/check.hpp"

namespace troupe::cluster {

namespace {

std::optional<std::uint64_t> number_of(std::string_view text) {
  constexpr std::string_view prefix = "local:";
  if (!text.starts_with(prefix)) return std::nullopt;
  text.remove_prefix(prefix.size());
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Error gone(const NodeId& peer) { return {ErrorCode::unavailable, "node " + peer.value + " is gone"}; }

/// The bytes of a message, at its receiver: gives its part of the window back when it is let go.
struct HeldMessage {
  Payload bytes;
  std::weak_ptr<LocalCore> core;
  NodeId sender;
  NodeId receiver;
  std::uint64_t serial = 0;
  std::size_t cost = 0;

  ~HeldMessage() {
    if (const auto there = core.lock()) there->give_back(sender, receiver, serial, cost);
  }
};

}  // namespace

void LocalCore::turn(const std::function<void(Calls&)>& work) {
  std::unique_lock lock(mutex_);
  TROUPE_CHECK(!busy_ || by_ != std::this_thread::get_id(),
               "what a fabric calls does not end fabrics, and schedules run later");
  free_.wait(lock, [this] { return !busy_; });
  busy_ = true;
  by_ = std::this_thread::get_id();
  Calls calls;
  work(calls);
  lock.unlock();
  for (auto& call : calls) {
    call();
    call = nullptr;
  }
  lock.lock();
  busy_ = false;
  lock.unlock();
  free_.notify_one();
}

void LocalCore::later(Duration after, std::function<void(Calls&)> work) {
  schedule_(after, [self = weak_from_this(), work = std::move(work)] {
    if (const auto core = self.lock()) core->turn(work);
  });
}

void LocalCore::later(Duration after, const NodeId& node, std::uint64_t incarnation,
                      std::function<void(LocalNode&, Calls&)> work) {
  later(after, [this, node, incarnation, work = std::move(work)](Calls& calls) {
    if (LocalNode* const there = find(node, incarnation)) work(*there, calls);
  });
}

LocalNode* LocalCore::find(const NodeId& name, std::uint64_t incarnation) {
  const auto place = nodes_.find(name);
  return place != nodes_.end() && place->second.incarnation == incarnation ? &place->second : nullptr;
}

Result<LocalNode*> LocalCore::join(const NodeId& name, const FabricLimits& limits) {
  const std::scoped_lock lock(mutex_);
  const auto [place, fresh] = nodes_.try_emplace(name);
  if (!fresh) return Error{ErrorCode::invalid_argument, "a fabric of node " + name.value + " is there already"};
  place->second.name = name;
  place->second.incarnation = ++drawn_;
  place->second.limits = limits;
  return &place->second;
}

void LocalCore::leave(LocalNode& node) {
  const NodeId name = node.name;
  const std::uint64_t incarnation = node.incarnation;
  // What is called here may ask for more, which ends at once.
  for (bool more = true; more;) {
    turn([&](Calls& calls) {
      node.ended = true;
      more = !node.transfers.empty();
      while (!node.transfers.empty()) {
        const auto transfer = node.transfers.begin()->second;
        end(node, transfer, Error{ErrorCode::cancelled, "the fabric of node " + name.value + " ends"}, calls);
      }
    });
  }
  LocalNode last;  // what it was given to call goes outside of the mutex
  turn([&](Calls& /*calls*/) {
    last = std::move(node);
    nodes_.erase(name);
    std::erase_if(regions_, [&](const auto& region) { return region.second.first == name; });
    for (const auto& [other, there] : nodes_) {
      later(Duration::zero(), other, there.incarnation, [this, name, incarnation](LocalNode& left, Calls& calls) {
        const auto link = left.links.find(name);
        if (link != left.links.end() && link->second.incarnation == incarnation) lose(left, name, gone(name), calls);
      });
    }
  });
}

void LocalCore::part(const NodeId& one, const NodeId& other) {
  const std::scoped_lock lock(mutex_);
  for (const auto& [name, peer] : {std::pair(one, other), std::pair(other, one)}) {
    const auto place = nodes_.find(name);
    if (place == nodes_.end()) continue;
    const Error why{ErrorCode::unavailable, "the connection to node " + peer.value + " broke"};
    later(Duration::zero(), name, place->second.incarnation, [this, far = peer, why](LocalNode& node, Calls& calls) {
      if (node.links.contains(far)) lose(node, far, why, calls);
    });
  }
}

bool LocalCore::empty() {
  const std::scoped_lock lock(mutex_);
  return nodes_.empty();
}

Result<void> LocalCore::connect(LocalNode& node, const NodeId& peer, const std::string& address) {
  const auto incarnation = number_of(address);
  if (!incarnation) {
    return Error{ErrorCode::invalid_argument,
                 "an address of " + std::to_string(address.size()) + " bytes that no in-process fabric has made"};
  }
  if (peer == node.name) return Error{ErrorCode::invalid_argument, "node " + peer.value + " does not connect to itself"};
  const std::scoped_lock lock(mutex_);
  const auto place = node.links.find(peer);
  if (place != node.links.end() && place->second.incarnation == *incarnation) return {};
  if (place == node.links.end() && node.links.size() >= node.limits.peers_max) {
    return Error{ErrorCode::overloaded, "there are " + std::to_string(node.limits.peers_max) + " peers, which is the limit"};
  }
  if (place != node.links.end()) drop(node, peer, {ErrorCode::unavailable, "node " + peer.value + " has another address now"});
  node.links[peer] = {++drawn_, *incarnation, {}, {}, 0, 0};
  return {};
}

void LocalCore::disconnect(LocalNode& node, const NodeId& peer) {
  const std::scoped_lock lock(mutex_);
  drop(node, peer, {ErrorCode::unavailable, "node " + peer.value + " was disconnected"});
}

void LocalCore::drop(LocalNode& node, const NodeId& peer, const Error& why) {
  node.links.erase(peer);
  std::vector<TransferId> former;
  for (const auto& [id, transfer] : node.transfers) {
    if (transfer->what.to == peer) former.push_back(id);
  }
  if (former.empty()) return;
  later(Duration::zero(), node.name, node.incarnation, [this, former, why](LocalNode& self, Calls& calls) {
    for (const TransferId id : former) {
      const auto found = self.transfers.find(id);
      if (found != self.transfers.end()) end(self, found->second, why, calls);
    }
  });
}

void LocalCore::set_lost(LocalNode& node, OnPeerLost lost) {
  const std::scoped_lock lock(mutex_);
  std::swap(node.lost, lost);
}

void LocalCore::set_receiver(LocalNode& node, Channel channel, OnMessage on_message) {
  const std::scoped_lock lock(mutex_);
  std::swap(node.receivers.at(static_cast<std::size_t>(channel)), on_message);
}

Result<RegionPtr> LocalCore::expose(LocalNode& node, std::span<std::byte> memory, std::shared_ptr<const void> owner) {
  const std::scoped_lock lock(mutex_);
  std::erase_if(regions_, [](const auto& region) { return region.second.second.expired(); });
  const std::uint64_t id = ++drawn_;
  auto region = std::make_shared<LocalRegion>(id, memory, std::move(owner));
  regions_[id] = {node.name, region};
  return region;
}

Result<void> LocalCore::check(const LocalNode& node, LocalTransfer& transfer) const {
  if (node.ended) return Error{ErrorCode::cancelled, "the fabric of node " + node.name.value + " ends"};
  if (transfer.what.kind == LocalOperation::Kind::message) {
    transfer.what.bytes = transfer.message.bytes.size();
    if (transfer.what.bytes > node.limits.message_bytes_max) {
      return Error{ErrorCode::too_large, "a message of " + std::to_string(transfer.what.bytes) + " bytes, expected at most " +
                                             std::to_string(node.limits.message_bytes_max)};
    }
  } else {
    TROUPE_CHECK(transfer.local != nullptr, "a transfer has a region of ours");
    TROUPE_TRY(transfer.what.bytes,
               check_pieces(transfer.pieces, transfer.local->memory().size(), transfer.remote.bytes, node.limits));
    if (!number_of(transfer.remote.key)) {
      return Error{ErrorCode::invalid_argument,
                   "a key of " + std::to_string(transfer.remote.key.size()) + " bytes that no in-process fabric has made"};
    }
  }
  const auto link = node.links.find(transfer.what.to);
  if (link == node.links.end()) {
    return Error{ErrorCode::unavailable, "node " + transfer.what.to.value + " is not connected; connect it first"};
  }
  if (link->second.waiting.size() >= node.limits.waiting_max) {
    return Error{ErrorCode::overloaded, std::to_string(node.limits.waiting_max) + " transfers to node " +
                                            transfer.what.to.value + " wait already, which is the limit; try again later"};
  }
  return {};
}

TransferId LocalCore::submit(LocalNode& node, LocalTransferPtr transfer) {
  const std::scoped_lock lock(mutex_);
  const TransferId id{++drawn_};
  transfer->id = id;
  transfer->what.from = node.name;
  if (const auto fine = check(node, *transfer); !fine) {
    transfer->outcome = fine.error();
  } else {
    LocalLink& link = node.links.at(transfer->what.to);
    transfer->link = link.serial;
    link.waiting.push_back(transfer);
    if (transfer->deadline != TimePoint::max()) {
      node.deadlines.emplace(transfer->deadline, id);
      watch_deadlines(node);
    }
  }
  node.transfers[id] = std::move(transfer);
  later(Duration::zero(), node.name, node.incarnation, [this, id](LocalNode& self, Calls& calls) { start(self, id, calls); });
  return id;
}

void LocalCore::start(LocalNode& node, TransferId id, Calls& calls) {
  const auto place = node.transfers.find(id);
  if (place == node.transfers.end()) return;
  const auto transfer = place->second;
  if (transfer->outcome && !transfer->begun) return end(node, transfer, *transfer->outcome, calls);
  pump(node, transfer->what.to, calls);
}

void LocalCore::pump(LocalNode& node, const NodeId& peer, Calls& calls) {
  for (auto place = node.links.find(peer); place != node.links.end(); place = node.links.find(peer)) {
    LocalLink& link = place->second;
    if (link.waiting.empty()) return;
    const auto transfer = link.waiting.front();
    std::size_t& used = transfer->what.kind == LocalOperation::Kind::message ? link.message_bytes : link.transfer_bytes;
    if (used > 0 && used + transfer->cost() > node.limits.window_bytes) return;
    link.waiting.pop_front();
    used += transfer->cost();
    begin(node, link, transfer, calls);
  }
}

void LocalCore::begin(LocalNode& node, LocalLink& link, const LocalTransferPtr& transfer, Calls& calls) {
  const NodeId peer = transfer->what.to;
  transfer->begun = true;
  if (faults_) transfer->fault = faults_(transfer->what);
  if (!find(peer, link.incarnation)) return lose(node, peer, gone(peer), calls);
  if (transfer->fault.part) {
    const Error why{ErrorCode::unavailable, "the connection broke"};
    lose(*find(peer, link.incarnation), node.name, why, calls);
    return lose(node, peer, why, calls);
  }
  if (transfer->what.kind == LocalOperation::Kind::message) {
    link.order.at(static_cast<std::size_t>(transfer->what.channel)).push_back(transfer);
  }
  later(transfer->fault.delay, node.name, node.incarnation,
        [this, id = transfer->id](LocalNode& self, Calls& due) { on_due(self, id, due); });
}

void LocalCore::on_due(LocalNode& node, TransferId id, Calls& calls) {
  const auto place = node.transfers.find(id);
  if (place == node.transfers.end()) return;
  const auto transfer = place->second;
  transfer->due = true;
  if (transfer->what.kind != LocalOperation::Kind::message) return move_bytes(node, transfer, calls);
  const auto link = node.links.find(transfer->what.to);
  if (link != node.links.end()) deliver(node, link->second, transfer->what.channel, calls);
}

void LocalCore::deliver(LocalNode& node, LocalLink& link, Channel channel, Calls& calls) {
  const NodeId peer = link.order.at(static_cast<std::size_t>(channel)).empty()
                          ? NodeId{}
                          : link.order.at(static_cast<std::size_t>(channel)).front()->what.to;
  auto& order = link.order.at(static_cast<std::size_t>(channel));
  while (!order.empty() && order.front()->due) {
    const auto transfer = order.front();
    order.pop_front();
    hand_over(node, link, transfer, calls);
  }
  if (!peer.value.empty()) pump(node, peer, calls);
}

void LocalCore::hand_over(LocalNode& node, LocalLink& link, const LocalTransferPtr& transfer, Calls& calls) {
  LocalNode* const receiver = find(transfer->what.to, link.incarnation);
  const OnMessage listener =
      receiver != nullptr ? receiver->receivers.at(static_cast<std::size_t>(transfer->what.channel)) : OnMessage();
  const bool arrives = listener && !transfer->fault.lost && !transfer->fault.fails && !transfer->outcome;
  const std::size_t cost = transfer->cost();
  if (arrives) {
    // The copy outlives the sender's payload, and takes the message's part of the window with it.
    const auto held = std::make_shared<HeldMessage>();
    held->core = weak_from_this();
    held->sender = node.name;
    held->receiver = transfer->what.to;
    held->serial = link.serial;
    held->cost = cost;
    calls.push_back([transfer, listener, held] {
      held->bytes = payload_of(transfer->message.bytes);
      for (int times = transfer->fault.duplicate ? 2 : 1; times > 0; --times) {
        listener(transfer->what.from, Payload{held, held->bytes.bytes});
      }
    });
    // end() takes the cost of what it ends; this one is given back when the receiver lets go of it.
    link.message_bytes += cost;
  }
  Result<void> result;
  if (transfer->outcome) {
    result = *transfer->outcome;
  } else if (transfer->fault.fails) {
    result = *transfer->fault.fails;
  }
  end(node, transfer, std::move(result), calls);
}

void LocalCore::move_bytes(LocalNode& node, const LocalTransferPtr& transfer, Calls& calls) {
  Result<void> result;
  const auto place = regions_.find(*number_of(transfer->remote.key));
  const auto remote =
      place != regions_.end() && place->second.first == transfer->what.to ? place->second.second.lock() : nullptr;
  if (!remote) {
    result =
        Error{ErrorCode::not_found, "node " + transfer->what.to.value + " does not expose that region; ask it for another"};
  } else if (auto fine = check_pieces(transfer->pieces, transfer->local->memory().size(), remote->memory().size(), node.limits);
             !fine) {
    result = fine.error();
  } else {
    calls.push_back([transfer, remote, local = transfer->local] {
      std::uint64_t left = transfer->fault.torn_after.value_or(transfer->what.bytes);
      for (const Piece& piece : transfer->pieces) {
        const std::uint64_t bytes = std::min(left, piece.bytes);
        std::byte* const here = local->memory().data() + piece.local_offset;
        std::byte* const there = remote->memory().data() + piece.remote_offset;
        const bool get = transfer->what.kind == LocalOperation::Kind::get;
        if (bytes > 0) std::memmove(get ? here : there, get ? there : here, bytes);
        left -= bytes;
      }
    });
    if (transfer->fault.fails) result = *transfer->fault.fails;
  }
  if (transfer->outcome) result = *transfer->outcome;
  end(node, transfer, std::move(result), calls);
}

void LocalCore::cancel(LocalNode& node, TransferId id) {
  const std::scoped_lock lock(mutex_);
  later(Duration::zero(), node.name, node.incarnation, [this, id](LocalNode& self, Calls& calls) {
    stop(self, id, Error{ErrorCode::cancelled, "the transfer was cancelled"}, calls);
  });
}

void LocalCore::stop(LocalNode& node, TransferId id, const Error& why, Calls& calls) {
  const auto place = node.transfers.find(id);
  if (place == node.transfers.end() || place->second->outcome) return;
  const auto transfer = place->second;
  if (!transfer->begun) return end(node, transfer, why, calls);
  transfer->outcome = why;
  later(fabric_grace, node.name, node.incarnation, [this, id](LocalNode& self, Calls& late) {
    const auto still = self.transfers.find(id);
    if (still != self.transfers.end()) end(self, still->second, *still->second->outcome, late);
  });
}

void LocalCore::end(LocalNode& node, const LocalTransferPtr& transfer, Result<void> result, Calls& calls) {
  const LocalTransferPtr held = transfer;
  node.transfers.erase(held->id);
  node.deadlines.erase({held->deadline, held->id});
  const NodeId peer = held->what.to;
  if (const auto place = node.links.find(peer); place != node.links.end() && place->second.serial == held->link) {
    LocalLink& link = place->second;
    std::erase(link.waiting, held);
    if (held->what.kind == LocalOperation::Kind::message) {
      std::erase(link.order.at(static_cast<std::size_t>(held->what.channel)), held);
      if (held->begun) link.message_bytes -= std::min(held->cost(), link.message_bytes);
    } else if (held->begun) {
      link.transfer_bytes -= std::min(held->cost(), link.transfer_bytes);
    }
    // Whatever waited behind it goes on.
    later(Duration::zero(), node.name, node.incarnation, [this, peer](LocalNode& self, Calls& next) {
      const auto there = self.links.find(peer);
      if (there == self.links.end()) return;
      for (std::size_t channel = 0; channel < channels; ++channel) {
        if (self.links.contains(peer)) deliver(self, self.links.at(peer), static_cast<Channel>(channel), next);
      }
      pump(self, peer, next);
    });
  }
  calls.push_back([held, result = std::move(result)] {
    const TransferDone done = std::move(held->done);
    held->message = {};
    held->local = nullptr;
    if (done) done(result);
  });
}

void LocalCore::forget(LocalNode& node, const NodeId& peer, const Error& why, Calls& calls) {
  node.links.erase(peer);
  std::vector<LocalTransferPtr> ends;
  for (const auto& [id, transfer] : node.transfers) {
    if (transfer->what.to == peer) ends.push_back(transfer);
  }
  for (const auto& transfer : ends) end(node, transfer, why, calls);
}

void LocalCore::lose(LocalNode& node, const NodeId& peer, const Error& why, Calls& calls) {
  if (!node.links.contains(peer)) return;
  forget(node, peer, why, calls);
  if (node.lost) calls.push_back([lost = node.lost, peer, why] { lost(peer, why); });
}

void LocalCore::give_back(const NodeId& sender, const NodeId& receiver, std::uint64_t serial, std::size_t bytes) {
  // Whoever lets go of a message may hold any lock, so this only asks for it.
  later(Duration::zero(), [this, sender, receiver, serial, bytes](Calls& calls) {
    const auto place = nodes_.find(sender);
    if (place == nodes_.end()) return;
    const auto link = place->second.links.find(receiver);
    if (link == place->second.links.end() || link->second.serial != serial) return;
    link->second.message_bytes -= std::min(bytes, link->second.message_bytes);
    pump(place->second, receiver, calls);
  });
}

void LocalCore::watch_deadlines(LocalNode& node) {
  // One look for each that becomes the first; looks that come too early find nothing.
  const TimePoint first = node.deadlines.begin()->first;
  if (node.deadlines.size() > 1 && node.watched <= first && node.watched > clock_.now()) return;
  node.watched = first;
  later(std::max(Duration::zero(), first - clock_.now()), node.name, node.incarnation, [this](LocalNode& self, Calls& calls) {
    self.watched = TimePoint::min();
    const TimePoint now = clock_.now();
    while (!self.deadlines.empty() && self.deadlines.begin()->first <= now) {
      const TransferId id = self.deadlines.begin()->second;
      self.deadlines.erase(self.deadlines.begin());
      stop(self, id, Error{ErrorCode::deadline_exceeded, "the transfer's deadline has passed"}, calls);
    }
    if (!self.deadlines.empty()) watch_deadlines(self);
  });
}

}  // namespace troupe::cluster
