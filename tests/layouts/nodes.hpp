// The nodes of a layout, as they come and go, and what goes wrong between them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "tests/layouts/node.hpp"
#include "tests/layouts/run.hpp"

namespace troupe::tests::layouts {

using policy::ExpertSelection;
using policy::NodeId;

/// Everything runs in the thread that uses this, on virtual time.
class Nodes {
 public:
  /// `happened` counts, and outlives this.
  Nodes(const Layout& layout, Prompts& prompts, Defect defect, std::map<std::string_view, std::uint64_t>& happened);
  ~Nodes();
  Nodes(const Nodes&) = delete;
  Nodes& operator=(const Nodes&) = delete;

  void start(std::size_t place);
  /// At once, with all that it had.
  void end(std::size_t place);
  /// Others load the experts that only this node answers for, and some time later it answers for none.
  void take_experts_from(Node& node);
  /// It no longer answers for experts, and nobody was prepared for it.
  void withdraw_experts_of(Node& node);
  /// Each tells the others which blocks have come and gone.
  void publish();

  std::size_t size() const { return nodes_.size(); }
  /// Null if it does not run.
  Node* at(std::size_t place) { return nodes_[place].get(); }
  /// Somewhere that runs sequences and is not drained, other than one; null if there is nowhere.
  Node* elsewhere(const Node* than);
  /// A step of every engine. False if none has anything to do now.
  bool step();
  bool idle() const;
  /// The next event of messages, transfers, disks and timers. False if there is none, or there were too many.
  bool run_next();
  /// Has something done after a while.
  void later(std::function<void()> work) { loop_.schedule()(some_delay(), std::move(work)); }
  Random& random() { return random_; }
  const ShardCounters& shards() const { return world_.shards.counters; }

 private:
  Node* find(const NodeId& id);
  Duration some_delay();
  void tell(const NodeId& id, std::function<void(Shard&)> work);
  /// Each node hears, some time later, who answers for what then.
  void tell_holders();
  cluster::ExpertHolders holders();
  cluster::LocalFault fault_of(const cluster::LocalOperation& operation);
  void on_lost(const NodeId& here, const NodeId& lost);
  void on_missing();
  /// What nobody but one node answers for is loaded by others.
  void rescue(const Node* leaving);

  const Layout& layout_;
  std::map<std::string_view, std::uint64_t>& happened_;
  policy::ExpertShape shape_;
  Random random_;
  EventLoop loop_;
  cluster::LocalHub hub_;
  std::optional<ArrivalOrder> arrivals_;
  NodeWorld world_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::uint64_t lives_ = 0;
  std::uint64_t events_ = 0;
  bool rescuing_ = false;
};

}  // namespace troupe::tests::layouts
