// Device links between two fabrics of one process, over memory of the host. Like NCCL's, a link moves nothing until both sides
// have handed over what matches, waits forever for what does not come, and writes to its memory until it is quiet. What each
// poll gets done is drawn from a seed.
#pragma once

#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <set>

#include "base/random.hpp"
#include "cluster/device_link.hpp"

namespace troupe::cluster {

struct TwinOptions {
  std::uint64_t seed = 1;
  float gets_on = 1;      ///< how likely a poll is to get a step further
  float eager = 0.5F;     ///< how likely a group of few bytes, all of them sent, ends before the other side has its half
  int quiet_after = 3;    ///< looks after an abort
  float fails = 0;        ///< how likely a poll finds the link broken
  float never_opens = 0;  ///< how likely a link is never ready
};

class TwinHub {
 public:
  explicit TwinHub(const TwinOptions& options = {}) : options_(options), random_(options.seed) {}

  std::string draw_id() {
    const std::scoped_lock lock(mutex_);
    return "twin:" + std::to_string(++drawn_);
  }
  /// What no two fabrics may do: hand over what does not match.
  std::vector<std::string> violations() {
    const std::scoped_lock lock(mutex_);
    return violations_;
  }
  /// All memory is the device's but what begins here.
  void mark_host(const std::byte* begin) {
    const std::scoped_lock lock(mutex_);
    host_.insert(begin);
  }
  bool is_host(const std::byte* begin) {
    const std::scoped_lock lock(mutex_);
    return host_.contains(begin);
  }
  std::size_t links() {
    const std::scoped_lock lock(mutex_);
    return drawn_;
  }
  void set_options(const TwinOptions& options) {
    const std::scoped_lock lock(mutex_);
    options_ = options;
  }

 private:
  friend class TwinLink;
  struct Group {
    std::vector<DeviceMove> moves;
    std::vector<std::vector<std::byte>> sent;  ///< once it is on its way
    bool on_its_way = false;
    bool received = false;
    bool ended = false;
  };
  struct End {
    bool open = false;
    bool aborted = false;
    std::deque<Group> groups;  ///< all that there were
    std::uint64_t ended = 0;
    int looks = 0;
  };
  struct Wire {
    std::array<End, 2> ends;
    bool broken = false;
    bool opens = true;
  };

  bool drawn(float probability) { return random_.chance(probability); }
  static void send(Group& group) {
    if (std::exchange(group.on_its_way, true)) return;
    for (const DeviceMove& move : group.moves) {
      if (move.sends) group.sent.emplace_back(move.memory, move.memory + move.bytes);
    }
  }
  /// Gives one side of a group what the other has sent.
  void receive(Group& group, const Group& from) {
    std::size_t next = 0;
    for (const DeviceMove& move : group.moves) {
      if (move.sends) continue;
      if (next == from.sent.size() || from.sent[next].size() != move.bytes) {
        violations_.push_back("a receive of " + std::to_string(move.bytes) + " bytes has no send that matches it");
        return;
      }
      std::memcpy(move.memory, from.sent[next++].data(), move.bytes);
    }
    if (next != from.sent.size()) violations_.push_back("a send has no receive that matches it");
    group.received = true;
  }

  std::mutex mutex_;
  TwinOptions options_;
  Random random_;
  std::size_t drawn_ = 0;
  std::map<std::string, std::shared_ptr<Wire>, std::less<>> wires_;
  std::vector<std::string> violations_;
  std::set<const std::byte*> host_;
};

class TwinLink final : public DeviceLink {
 public:
  TwinLink(TwinHub& hub, std::string_view id, int rank) : hub_(hub), rank_(static_cast<std::size_t>(rank)) {
    const std::scoped_lock lock(hub_.mutex_);
    auto& wire = hub_.wires_[std::string(id)];
    if (!wire) {
      wire = std::make_shared<TwinHub::Wire>();
      wire->opens = !hub_.drawn(hub_.options_.never_opens);
    }
    wire_ = wire;
    wire_->ends[rank_].open = true;
  }
  Result<Progress> poll() override {
    const std::scoped_lock lock(hub_.mutex_);
    TwinHub::End& own = wire_->ends[rank_];
    TwinHub::End& other = wire_->ends[1 - rank_];
    if (own.aborted) return Error{ErrorCode::unavailable, "polled after its abort"};
    if (hub_.drawn(hub_.options_.fails)) wire_->broken = true;
    if (wire_->broken) return Error{ErrorCode::unavailable, "the link broke"};
    const bool ready = own.open && other.open && wire_->opens;
    while (own.ended < own.groups.size() && hub_.drawn(hub_.options_.gets_on)) {
      TwinHub::Group& group = own.groups[own.ended];
      const bool both = own.ended < other.groups.size() && !other.aborted;
      std::size_t bytes = 0;
      bool all_sent = true;
      for (const DeviceMove& move : group.moves) {
        bytes += move.bytes;
        all_sent = all_sent && move.sends;
      }
      const bool eager = all_sent && bytes <= 65536 && hub_.drawn(hub_.options_.eager);
      if (!both && !eager && !group.on_its_way) break;
      TwinHub::send(group);
      if (all_sent) {
        ++own.ended;
        continue;
      }
      if (!both) break;
      TwinHub::Group& from = other.groups[own.ended];
      TwinHub::send(from);
      hub_.receive(group, from);
      if (!group.received) break;
      ++own.ended;
    }
    return Progress{ready, own.ended};
  }
  void enqueue(std::vector<DeviceMove> group) override {
    const std::scoped_lock lock(hub_.mutex_);
    wire_->ends[rank_].groups.push_back({std::move(group), {}, false, false, false});
  }
  void abort() override {
    const std::scoped_lock lock(hub_.mutex_);
    TwinHub::End& own = wire_->ends[rank_];
    // What the other side still receives has been sent, or never will be.
    own.aborted = true;
    own.looks = hub_.options_.quiet_after;
  }
  bool quiet() override {
    const std::scoped_lock lock(hub_.mutex_);
    TwinHub::End& own = wire_->ends[rank_];
    if (--own.looks < 0) return true;
    for (std::size_t i = own.ended; i < own.groups.size(); ++i) {
      for (const DeviceMove& move : own.groups[i].moves) {
        if (!move.sends) std::memset(move.memory, 0xEE, move.bytes);
      }
    }
    return false;
  }

 private:
  TwinHub& hub_;
  std::size_t rank_;
  std::shared_ptr<TwinHub::Wire> wire_;
};

/// The hub outlives it.
class TwinLinks final : public DeviceLinks {
 public:
  explicit TwinLinks(TwinHub& hub) : hub_(hub) {}
  Result<bool> is_device_memory(std::span<const std::byte> memory) const override { return !hub_.is_host(memory.data()); }
  Result<std::string> draw_link_id() override { return hub_.draw_id(); }
  Result<std::unique_ptr<DeviceLink>> open(std::string_view link_id, int rank) override {
    if (!link_id.starts_with("twin:")) return Error{ErrorCode::invalid_argument, "that is no link's id"};
    return std::unique_ptr<DeviceLink>(std::make_unique<TwinLink>(hub_, link_id, rank));
  }

 private:
  TwinHub& hub_;
};

}  // namespace troupe::cluster
