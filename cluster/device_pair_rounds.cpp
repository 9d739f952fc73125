// What both sides of a pair do together: grant what is asked for, move it in rounds, and break a link off that is no good.
#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "cluster/device_pair.hpp"

namespace troupe::cluster {

namespace {

// Links are polled: soon after something happened, then less often. Short enough for the rate, rare enough for the processor.
constexpr Duration moving_pause_min = std::chrono::microseconds(50);
constexpr Duration moving_pause_max = std::chrono::microseconds(200);
constexpr Duration other_pause = std::chrono::milliseconds(1);  ///< while links are made or die

constexpr Duration idle_pause = std::chrono::milliseconds(250);

}  // namespace

void DevicePair::on_frame(std::span<const std::byte> bytes) {
  const auto frame = decode_device_frame(bytes);
  if (!frame) return accuse("said what no fabric says: " + frame.error().message);
  if (frame->yours != 0 && frame->yours != own_) {
    // Meant for an earlier life of ours, whose end the peer does not know of.
    if (frame->kind != DeviceFrameKind::hello) say(DeviceFrameKind::hello, 0);
    return;
  }
  if (theirs_ != frame->own || frame->epoch > epoch_) {
    // Both may find this out at the same time, each by what the other said: the higher epoch is the one that both take.
    const std::uint64_t epoch = std::max(epoch_, frame->epoch);
    if (theirs_ != 0 || frame->epoch > epoch_) {
      lose({ErrorCode::unavailable, "node " + peer_.value + " has begun anew"});
      epoch_ = epoch;
    }
    theirs_ = frame->own;
  }
  if (frame->epoch < epoch_) {
    // Said before it knew that the link broke; or it never learns, and would wait.
    if (frame->kind == DeviceFrameKind::ask) say(DeviceFrameKind::hello, 0);
    return;
  }
  switch (frame->kind) {
    case DeviceFrameKind::hello: return;
    case DeviceFrameKind::ask: return on_ask(*frame);
    case DeviceFrameKind::ready: return on_ready(*frame);
    case DeviceFrameKind::refuse: return on_refuse(*frame);
    case DeviceFrameKind::drop: return on_drop(*frame);
    case DeviceFrameKind::link: return on_link(*frame);
    case DeviceFrameKind::round: return on_round(*frame);
    case DeviceFrameKind::done: return on_done(*frame);
    case DeviceFrameKind::broken:
      return break_off({ErrorCode::unavailable, "node " + peer_.value + " broke the link off: " + frame->text}, false);
  }
}

Result<RegionPtr> DevicePair::look_up(const Extents& extents) const {
  TROUPE_TRY(auto region, world_.find_region(extents.region));
  const std::uint64_t bytes = region->memory().size();
  for (const Extent& extent : extents.list) {
    if (extent.offset > bytes || extent.bytes > bytes - extent.offset) {
      return Error{ErrorCode::invalid_argument, "an extent lies outside of its region"};
    }
  }
  return region;
}

void DevicePair::on_ask(const DeviceFrame& frame) {
  if (serving_.contains(frame.id)) return accuse("asks for two things under one number");
  if (serving_.size() >= serving_max) return say(DeviceFrameKind::refuse, frame.id, status_of(ErrorCode::overloaded));
  const auto region = look_up(frame.extents);
  if (!region) return say(DeviceFrameKind::refuse, frame.id, status_of(region.error().code));
  serving_[frame.id] = {*region, frame.extents, frame.gets, false, world_.clock->now()};
  if (!leads_) return say(DeviceFrameKind::ready, frame.id);
  ready_.push_back({false, frame.id});
  open_link();
  lead();
}

void DevicePair::on_drop(const DeviceFrame& frame) {
  const auto place = serving_.find(frame.id);
  if (place == serving_.end() || place->second.moving) return;  // its round is on its way, and all of it takes part
  serving_.erase(place);
  if (!leads_) return;
  std::erase(ready_, DeviceEntry{false, frame.id});
  say(DeviceFrameKind::refuse, frame.id, status_of(ErrorCode::cancelled));
}

void DevicePair::open_link() {
  const TimePoint now = world_.clock->now();
  if (link_ || now < retry_at_) return;
  auto id = world_.links->draw_link_id();
  if (!id) return break_off(id.error(), true);
  auto link = world_.links->open(*id, 0);
  if (!link) return break_off(link.error(), true);
  TROUPE_CHECK(id->size() <= DeviceLinks::link_id_bytes_max, "a link's id is short");
  link_ = Link{std::move(*link), false, 0, now};
  DeviceFrame frame;
  frame.kind = DeviceFrameKind::link;
  frame.text = std::move(*id);
  say(std::move(frame));
}

void DevicePair::on_link(const DeviceFrame& frame) {
  if (leads_ || link_) return accuse("opens a link that it must not");
  auto link = world_.links->open(frame.text, 1);
  if (!link) return break_off(link.error(), true);
  link_ = Link{std::move(*link), false, 0, world_.clock->now()};
}

void DevicePair::lead() {
  while (link_ && link_->ready && under_way_.size() < rounds_max && !ready_.empty()) {
    Round round;
    round.number = ++rounds_;
    round.since = world_.clock->now();
    std::uint64_t bytes = 0;
    while (!ready_.empty() && round.entries.size() < DeviceFrame::entries_max) {
      const DeviceEntry entry = ready_.front();
      const std::uint64_t more = ours(entry) ? asked_.at(entry.id).bytes : serving_.at(entry.id).extents.bytes();
      if (!round.entries.empty() && bytes + more > round_bytes_max) break;
      bytes += more;
      ready_.pop_front();
      round.entries.push_back(entry);
      if (ours(entry)) {
        asked_.at(entry.id).state = Chunk::State::moving;
      } else {
        serving_.at(entry.id).moving = true;
      }
    }
    DeviceFrame frame;
    frame.kind = DeviceFrameKind::round;
    frame.id = round.number;
    frame.entries = round.entries;
    under_way_.push_back(std::move(round));
    say(std::move(frame));
    hand_over();
  }
}

void DevicePair::on_round(const DeviceFrame& frame) {
  if (leads_ || !link_ || frame.id != rounds_ + 1 || under_way_.size() >= 2 * rounds_max) {
    return accuse("begins round " + std::to_string(frame.id) + " out of turn");
  }
  for (const DeviceEntry& entry : frame.entries) {
    if (ours(entry)) {
      const auto place = asked_.find(entry.id);
      if (place == asked_.end() || place->second.state == Chunk::State::moving || place->second.state == Chunk::State::stored) {
        return accuse("moves what it was not asked for");
      }
      place->second.state = Chunk::State::moving;
    } else {
      const auto place = serving_.find(entry.id);
      if (place == serving_.end() || place->second.moving) return accuse("moves what was not ready");
      place->second.moving = true;
    }
  }
  rounds_ = frame.id;
  under_way_.push_back({frame.id, frame.entries, false, false, false, world_.clock->now()});
  hand_over();
}

void DevicePair::hand_over() {
  if (!link_ || !link_->ready) return;
  for (Round& round : under_way_) {
    if (!std::exchange(round.handed_over, true)) link_->link->enqueue(moves_of(round));
  }
}

std::vector<DeviceMove> DevicePair::moves_of(const Round& round) {
  std::vector<DeviceMove> moves;
  for (const DeviceEntry& entry : round.entries) {
    if (ours(entry)) {
      const Chunk& chunk = asked_.at(entry.id);
      std::byte* const memory = chunk.transfer->local->memory().data();
      for (const Piece& piece : chunk.pieces)
        moves.push_back({!chunk.transfer->gets, memory + piece.local_offset, piece.bytes});
    } else {
      const Served& served = serving_.at(entry.id);
      std::byte* const memory = served.region->memory().data();
      for (const Extent& extent : served.extents.list) moves.push_back({served.gets, memory + extent.offset, extent.bytes});
    }
  }
  return moves;
}

void DevicePair::end_here(Round& round) {
  round.ended_here = true;
  say(DeviceFrameKind::done, round.number);
  for (const DeviceEntry& entry : round.entries) {
    if (!ours(entry)) {
      serving_.erase(entry.id);
      continue;
    }
    Chunk& chunk = asked_.at(entry.id);
    // What was put is there when the other side says so.
    if (chunk.transfer->gets || round.ended_there || chunk.transfer->outcome) {
      finish_chunk(entry.id);
    } else {
      chunk.state = Chunk::State::stored;
    }
  }
}

void DevicePair::on_done(const DeviceFrame& frame) {
  const auto round =
      std::find_if(under_way_.begin(), under_way_.end(), [&](const Round& each) { return each.number == frame.id; });
  if (round == under_way_.end() || round->ended_there) return accuse("ends round " + std::to_string(frame.id) + " twice");
  round->ended_there = true;
  for (const DeviceEntry& entry : round->entries) {
    if (!ours(entry)) continue;
    const auto place = asked_.find(entry.id);
    if (place != asked_.end() && place->second.state == Chunk::State::stored) finish_chunk(entry.id);
  }
  forget_rounds();
}

void DevicePair::forget_rounds() {
  while (!under_way_.empty() && under_way_.front().ended_here && under_way_.front().ended_there) under_way_.pop_front();
  pump();
  if (leads_) lead();
}

TimePoint DevicePair::poll() {
  const std::size_t before = under_way_.size() + dying_.size();
  const bool was_ready = link_ && link_->ready;
  const std::uint64_t ended = link_ ? link_->ended : 0;
  poll_link();
  poll_dying();
  while (poll_times()) {
  }
  if (leads_ && (!asked_.empty() || !serving_.empty())) open_link();
  const bool moved = before != under_way_.size() + dying_.size() || was_ready != (link_ && link_->ready) ||
                     ended != (link_ ? link_->ended : 0);
  return next_poll(moved);
}

void DevicePair::poll_link() {
  if (!link_) return;
  const auto progress = link_->link->poll();
  if (!progress) return break_off(progress.error(), true);
  if (progress->ready && !std::exchange(link_->ready, true)) {
    failures_ = 0;
    hand_over();
    if (leads_) lead();
  }
  if (progress->ended == link_->ended) return;
  for (Round& round : under_way_) {
    if (link_->ended == progress->ended) break;
    if (round.ended_here) continue;
    ++link_->ended;
    end_here(round);
  }
  TROUPE_CHECK(link_->ended == progress->ended, "a link ends only what it was given");
  forget_rounds();
}

void DevicePair::poll_dying() {
  for (std::size_t i = 0; i < dying_.size();) {
    if (!dying_[i].link->quiet()) {
      ++i;
      continue;
    }
    const DyingLink quiet = std::move(dying_[i]);
    dying_.erase(dying_.begin() + static_cast<std::ptrdiff_t>(i));
    for (const DeviceTransferPtr& transfer : quiet.transfers) {
      --transfer->chunks;
      try_end(transfer);
    }
  }
}

bool DevicePair::poll_times() {
  const TimePoint now = world_.clock->now();
  if (!watched_.empty() && watched_.begin()->first <= now) {
    const DeviceTransferPtr transfer = transfers_.at(watched_.begin()->second);
    watch(transfer, TimePoint::max());
    // What a dying link holds is let go of when that is quiet; nothing makes it quicker.
    const bool asked = std::any_of(asked_.begin(), asked_.end(), [&](const auto& c) { return c.second.transfer == transfer; });
    if (!transfer->outcome) {
      stop(transfer, {ErrorCode::deadline_exceeded, "the transfer's deadline has passed"});
    } else if (asked) {
      break_off({ErrorCode::unavailable, "node " + peer_.value + " did not let go of a transfer that was over"}, true);
    }
    return true;
  }
  if (link_ && !link_->ready && now - link_->opened > connect_time_max) {
    break_off({ErrorCode::unavailable, "node " + peer_.value + " did not come to the link"}, true);
    return true;
  }
  const bool slow = !under_way_.empty() && now - under_way_.front().since > round_time_max;
  const bool idle = std::any_of(serving_.begin(), serving_.end(), [&](const auto& served) {
    return !served.second.moving && now - served.second.since > connect_time_max + round_time_max;
  });
  if (slow || idle) break_off({ErrorCode::unavailable, "node " + peer_.value + " does not get on with what was asked"}, true);
  return slow || idle;
}

TimePoint DevicePair::next_poll(bool moved) {
  const TimePoint now = world_.clock->now();
  TimePoint next = watched_.empty() ? TimePoint::max() : watched_.begin()->first;
  const bool moving = link_ && link_->ready && !under_way_.empty();
  pause_ = moved || !moving ? moving_pause_min : std::min<Duration>(2 * pause_, moving_pause_max);
  if (moving) next = std::min(next, now + pause_);
  if ((link_ && !link_->ready) || !dying_.empty()) next = std::min(next, now + other_pause);
  // A link that is idle may break as well, and asks may wait for a round in vain.
  if (link_ || !serving_.empty()) next = std::min(next, now + idle_pause);
  if (!link_ && leads_ && !(asked_.empty() && serving_.empty())) next = std::min(next, std::max(retry_at_, now));
  return next;
}

void DevicePair::accuse(const std::string& what) { break_off({ErrorCode::corrupt, "node " + peer_.value + " " + what}, true); }

void DevicePair::break_off(const Error& why, bool tell) {
  Error end = why;
  end.code = why.code == ErrorCode::cancelled ? why.code : ErrorCode::unavailable;
  if (tell) {
    DeviceFrame frame;
    frame.kind = DeviceFrameKind::broken;
    frame.text = why.message;
    say(std::move(frame));
  }
  ++epoch_;
  const bool never_ready = !link_ || !link_->ready;
  DyingLink dying;
  if (link_) {
    dying.link = std::move(link_->link);
    link_.reset();
    dying.link->abort();
  }
  const auto chunks = std::exchange(asked_, {});
  const auto served = std::exchange(serving_, {});
  asked_bytes_ = 0;
  ready_.clear();
  under_way_.clear();
  rounds_ = 0;
  for (const auto& [id, one] : served) {
    if (one.moving) dying.regions.push_back(one.region);
  }
  for (const auto& [id, chunk] : chunks) {
    if (chunk.state == Chunk::State::moving) {
      dying.transfers.push_back(chunk.transfer);
    } else {
      --chunk.transfer->chunks;
    }
  }
  if (dying.link) dying_.push_back(std::move(dying));
  for (const auto& [id, chunk] : chunks) {
    stop(chunk.transfer, end);
    try_end(chunk.transfer);
  }
  if (!never_ready) return pump();
  // Where no link can be made nothing that waits for one gets any further.
  retry_at_ = world_.clock->now() + std::min<Duration>(retry_first * (1 << std::min(failures_, 6)), retry_max);
  ++failures_;
  const auto waiting = waiting_;
  for (const DeviceTransferPtr& transfer : waiting) stop(transfer, end);
}

}  // namespace troupe::cluster
