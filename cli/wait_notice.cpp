#include "cli/wait_notice.hpp"

#include <algorithm>
#include <iostream>
#include <utility>

#include "policy/placement.hpp"

namespace troupe::cli {

namespace {
TimePoint now() { return std::chrono::steady_clock::now(); }
}  // namespace

std::string who_is_gone(const policy::ClusterView& cluster) {
  std::string gone;
  for (const policy::NodeView& node : cluster.nodes) {
    if (node.state != policy::NodeState::gone) continue;
    gone += (gone.empty() ? "; gone: " : ", ") + node.id.value + (node.leases ? " (which grants the leases)" : "");
  }
  return gone.empty() ? gone : gone + ", and what needs that waits until it is back";
}

std::string why_it_waits(const policy::ClusterView& cluster) {
  const std::string lost = who_is_gone(cluster);
  const auto served = policy::served_tiers(cluster.nodes);
  std::int32_t running = 0;
  std::int32_t waiting = 0;
  for (const policy::NodeView& node : cluster.nodes) {
    if (node.state == policy::NodeState::gone) continue;
    for (const policy::ReplicaView& replica : node.replicas) {
      running += replica.running;
      waiting += replica.waiting;
    }
  }
  const std::string work =
      "the models have " + std::to_string(running) + " answers under way and " + std::to_string(waiting) + " waiting";
  std::string names;
  std::string options;
  for (const policy::Tier tier : policy::tiers) {
    if (std::find(served.begin(), served.end(), tier) != served.end()) continue;
    const std::string name(to_string(tier));
    names += (names.empty() ? "" : " or ") + name;
    options += " --tier " + name;
  }
  if (!names.empty()) {
    std::string text = (running + waiting > 0 ? work + "; " : "") + "no node serves " + names +
                       " now; if the routing policy wants it, the question waits" + lost;
    for (const policy::NodeView& node : cluster.nodes) {
      if (node.id == cluster.self) text += " (\"troupe node" + options + " --join " + node.cluster_address + "\" starts one)";
    }
    return text;
  }
  if (running == 0 && waiting == 0)
    return "no model has anything to do; perhaps for an earlier question of the conversation" + lost;
  return work + lost;
}

WaitNotice::WaitNotice(clients::Client client) : client_(std::move(client)), heard_(now()), thread_([this] { watch(); }) {}

WaitNotice::~WaitNotice() {
  {
    const std::scoped_lock lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void WaitNotice::take(const policy::TurnEvent& event) {
  const std::scoped_lock lock(mutex_);
  heard_ = now();
  ended_ = ended_ || std::holds_alternative<policy::TokensEvent>(event.what);
}

void WaitNotice::watch() {
  std::unique_lock lock(mutex_);
  while (!ended_ && now() - heard_ < patience) changed_.wait_until(lock, heard_ + patience);
  if (ended_) return;
  lock.unlock();
  const auto cluster = client_.status();
  lock.lock();
  if (ended_) return;
  std::cerr << "waiting: " << (cluster ? why_it_waits(*cluster) : cluster.error().message) << "\n";
}

}  // namespace troupe::cli
