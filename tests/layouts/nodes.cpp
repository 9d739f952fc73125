#include "tests/layouts/nodes.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"

namespace troupe::tests::layouts {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr auto late_by = milliseconds(60);       // later than anybody waits
constexpr std::uint64_t events_max = 4'000'000;  // of a layout

}  // namespace

Nodes::Nodes(const Layout& layout, Prompts& prompts, Defect defect, std::map<std::string_view, std::uint64_t>& happened)
    : layout_(layout),
      happened_(happened),
      shape_(model::expert_shape(prompts.universe(layout.model).model().config)),
      random_(layout.seed, 2),
      hub_({.schedule = loop_.schedule(),
            .clock = &loop_.clock(),
            .faults = [this](const cluster::LocalOperation& operation) { return fault_of(operation); }}),
      nodes_(layout.nodes.size()) {
  if (defect == Defect::arrival_order) arrivals_.emplace();
  world_.loop = &loop_;
  world_.hub = &hub_;
  world_.tiny = &prompts.tiny(layout.model);
  world_.has_experts = prompts.has_experts(layout.model);
  world_.arrivals = arrivals_ ? &*arrivals_ : nullptr;
  world_.on_missing = [this](const ExpertSelection& /*missing*/) { on_missing(); };
  world_.on_lost = [this](const NodeId& node, const NodeId& lost) { on_lost(node, lost); };
  world_.shards.tell = [this](const NodeId& node, std::function<void(Shard&)> work) { tell(node, std::move(work)); };
  world_.shards.schedule = loop_.schedule();
  world_.shards.clock = &loop_.clock();
  world_.shards.random = &random_;
  world_.shards.troubles = layout.troubles;
  world_.shards.seconds_per_token = layout.seconds_per_token;
  world_.shards.verifies = defect != Defect::unverified_block;
  for (std::size_t i = 0; i < nodes_.size(); ++i) start(i);
}

Nodes::~Nodes() {
  for (std::size_t i = 0; i < nodes_.size(); ++i) end(i);
}

void Nodes::start(std::size_t place) {
  nodes_[place] = std::make_unique<Node>(layout_.nodes[place], ++lives_, world_);
  for (auto& other : nodes_) {
    if (other && other != nodes_[place]) other->meet(*nodes_[place]);
  }
  tell_holders();
}

void Nodes::end(std::size_t place) {
  if (!nodes_[place]) return;
  const Node& node = *nodes_[place];
  const auto dispatched = node.dispatched();
  happened_["messages to experts elsewhere"] += dispatched.messages;
  happened_["messages to experts that failed"] += dispatched.failures;
  happened_["layers that waited for a holder"] += dispatched.waits;
  happened_["answers of experts that nobody waited for"] += node.messages_dropped();
  if (node.engine) {
    happened_["prompt tokens found in a cache"] += node.engine->counters().tokens_reused;
    happened_["blocks evicted"] += node.engine->counters().blocks_evicted;
  }
  nodes_[place].reset();
}

Node* Nodes::find(const NodeId& id) {
  const auto found = std::ranges::find_if(nodes_, [&](const auto& node) { return node && node->id() == id; });
  return found == nodes_.end() ? nullptr : found->get();
}

Node* Nodes::elsewhere(const Node* than) {
  std::vector<Node*> candidates;
  for (const auto& node : nodes_) {
    if (node && node.get() != than && node->engine && !node->draining) candidates.push_back(node.get());
  }
  return candidates.empty() ? nullptr : candidates[random_.below(candidates.size())];
}

bool Nodes::step() {
  bool progressed = false;
  for (const auto& node : nodes_) {
    if (node && node->engine && !node->engine->idle()) progressed |= node->engine->step().progressed;
  }
  return progressed;
}

bool Nodes::idle() const {
  return std::ranges::all_of(nodes_, [](const auto& node) { return !node || !node->engine || node->engine->idle(); });
}

bool Nodes::run_next() {
  const bool ran = ++events_ < events_max && loop_.run_next();
  if (arrivals_) arrivals_->look();
  return ran;
}

Duration Nodes::some_delay() { return microseconds(random_.between(0, layout_.troubles.delay_us_max)); }

void Nodes::tell(const NodeId& id, std::function<void(Shard&)> work) {
  if (random_.chance(layout_.troubles.lost)) return;
  later([this, id, work = std::move(work)] {
    if (Node* const node = find(id); node != nullptr && node->shard) work(*node->shard);
  });
}

void Nodes::tell_holders() {
  if (!world_.has_experts) return;
  for (const auto& node : nodes_) {
    if (!node) continue;
    later([this, id = node->id()] {
      if (Node* const hears = find(id)) hears->hear_of_holders(holders());
    });
  }
}

cluster::ExpertHolders Nodes::holders() {
  cluster::ExpertHolders all;
  for (const auto& node : nodes_) {
    if (!node) continue;
    if (auto experts = node->served(); !experts.empty()) all.push_back({node->id(), std::move(experts), random_.between(0, 3)});
  }
  return all;
}

void Nodes::publish() {
  for (const auto& node : nodes_) {
    if (!node || !node->shard) continue;
    std::vector<NodeId> peers;
    for (const auto& peer : nodes_) {
      if (peer && peer != node) peers.push_back(peer->id());
    }
    node->shard->publish(peers);
  }
}

cluster::LocalFault Nodes::fault_of(const cluster::LocalOperation& operation) {
  const Troubles& troubles = layout_.troubles;
  cluster::LocalFault fault;
  fault.delay = some_delay();
  if (random_.chance(troubles.late)) fault.delay = late_by;
  if (operation.kind == cluster::LocalOperation::Kind::message) {
    fault.duplicate = random_.chance(troubles.repeated);
    fault.lost = random_.chance(troubles.lost);
  } else {
    if (random_.chance(troubles.torn)) fault.torn_after = random_.below(operation.bytes);
    if (random_.chance(troubles.fails)) fault.fails = Error{ErrorCode::unavailable, "the transfer failed"};
  }
  fault.part = random_.chance(troubles.broken);
  return fault;
}

void Nodes::on_lost(const NodeId& here, const NodeId& lost) {
  ++happened_["connections lost"];
  loop_.schedule()(milliseconds(1), [this, here, lost] {
    Node* const one = find(here);
    Node* const other = find(lost);
    if (one == nullptr || other == nullptr) return;
    one->meet(*other);
    tell_holders();
  });
}

void Nodes::on_missing() {
  if (std::exchange(rescuing_, true)) return;
  loop_.schedule()(milliseconds(random_.between(1, 30)), [this] {
    rescuing_ = false;
    rescue(nullptr);
    tell_holders();
  });
}

void Nodes::rescue(const Node* leaving) {
  ExpertSelection missing = ExpertSelection::all(shape_);
  const std::size_t all = static_cast<std::size_t>(shape_.count()) * shape_.expert_bytes;
  std::vector<policy::ExpertRescuer> rescuers;
  for (const auto& node : nodes_) {
    if (!node || node.get() == leaving) continue;
    missing = missing - node->served();
    if (!node->draining) rescuers.push_back({node->id(), all * (1 + random_.below(2)), true});
  }
  if (missing.empty()) return;
  const auto plan = policy::rescue(missing, shape_.expert_bytes, rescuers);
  TROUPE_CHECK(plan.left.empty(), "each node has room for all experts");
  for (const auto& [id, experts] : plan.loads) {
    find(id)->load_experts(experts);
    ++happened_["rescues of experts"];
  }
}

void Nodes::take_experts_from(Node& node) {
  if (!world_.has_experts) return;
  rescue(&node);
  tell_holders();
  later([this, id = node.id()] {
    Node* const drained = find(id);
    if (drained == nullptr || !drained->draining) return;
    drained->withdraw_experts();
    tell_holders();
  });
}

void Nodes::withdraw_experts_of(Node& node) {
  if (node.served().empty()) return;
  ++happened_["experts withdrawn without a word"];
  node.withdraw_experts();
  tell_holders();
}

}  // namespace troupe::tests::layouts
