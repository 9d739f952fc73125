#include "actors/generation.hpp"

#include <algorithm>
#include <utility>

#include "engine/block_id.hpp"

namespace troupe::actors {

namespace {
constexpr Duration quiet_max = std::chrono::seconds(1);       ///< then the engine is asked what became of the attempt
constexpr Duration in_touch_every = std::chrono::seconds(3);  ///< so that the engine knows that somebody waits
constexpr Duration again_after = std::chrono::milliseconds(100);
constexpr Duration silence_max = std::chrono::seconds(10);  ///< then it is worth telling
}  // namespace

EngineActor engine_at(const Cluster& cluster, const policy::ReplicaPlace& place) {
  const Peer* peer = cluster.find(place.node);
  if (peer == nullptr || peer->view.state == policy::NodeState::gone || place.index >= peer->handles.engines.size()) return {};
  return peer->handles.engines[place.index];
}

std::vector<policy::NodeView> views_of(const Cluster& cluster) {
  std::vector<policy::NodeView> views;
  views.reserve(cluster.peers.size());
  for (const Peer& peer : cluster.peers) views.push_back(peer.view);
  return views;
}

std::optional<policy::ReplicaPlace> place_for(const NodeContext& context, const Cluster& cluster, policy::Tier tier,
                                              const std::optional<policy::ReplicaPlace>& before) {
  const auto views = views_of(cluster);
  const auto places = context.place_trouble.without_failed(policy::places_of(views, tier), context.clock->now());
  return policy::choose_place(views, places, before, context.self);
}

Generation::Generation(NodeContextPtr context, EngineLink link, Job job, std::optional<policy::ReplicaPlace> before)
    : context_(std::move(context)), link_(std::move(link)), job_(std::move(job)), before_(std::move(before)) {}

Generation::~Generation() { leave(); }

void Generation::leave() {
  if (!place_) return;
  const auto cluster = context_->cluster.load();
  if (const EngineActor engine = engine_at(*cluster, *place_)) link_.release(engine, {job_.key, job_.epoch});
  before_ = std::exchange(place_, std::nullopt);
}

void Generation::send(const EngineActor& engine, bool anew) {
  const std::int64_t left = job_.deadline_ms - context_->wall->now_ms();
  schemas::EngineGenerate generate{
      job_.key, job_.epoch, context_->self, job_.model, next_index_, std::max<std::int64_t>(left, 1), job_.request, {}};
  if (anew) generate.known = emissions_;
  generate.only_known = remote() && !anew;
  link_.generate(engine, std::move(generate));
  sent_ = context_->clock->now();
  if (!begun_) begun_ = sent_;
}

std::vector<policy::ReplicaPlace> Generation::places(const Cluster& cluster, const std::vector<policy::NodeView>& views) const {
  auto places = policy::places_of(views, job_.model);
  std::erase_if(places, [&](const policy::ReplicaPlace& place) { return !engine_at(cluster, place); });
  return places;
}

policy::ExpectedReuse Generation::expected_reuse(const std::vector<policy::NodeView>& views) const {
  policy::ExpectedReuse reuse;
  reuse.prompt_tokens = static_cast<std::int32_t>(job_.request.prompt.size());
  for (const policy::NodeView& view : views) {
    for (const policy::ReplicaView& replica : view.replicas) {
      if (replica.model != job_.model || replica.block_root.empty()) continue;
      // All that run the model give its blocks the same names.
      const auto chain = engine::chain_of(replica.block_root, job_.request.prompt);
      for (const cluster::BlockHolder& holder : context_->block_holders.holders(chain)) {
        reuse.held_tokens[holder.node] = static_cast<std::int32_t>(holder.blocks) * engine::kv_block_positions;
      }
      return reuse;
    }
  }
  return reuse;
}

void Generation::lose(std::string why) {
  ended_ = true;
  lost_ = Error{ErrorCode::unavailable, std::move(why)};
}

bool Generation::should_move(const Cluster& cluster) const {
  if (remote()) return false;
  const Peer* peer = cluster.find(place_->node);
  if (peer == nullptr || peer->view.state != policy::NodeState::draining) return false;
  const auto better = places(cluster, views_of(cluster));
  return !better.empty() && std::find(better.begin(), better.end(), *place_) == better.end();
}

void Generation::drive() {
  const TimePoint now = context_->clock->now();
  if (ended_ || now < not_before_) return;
  const auto cluster = context_->cluster.load();
  if (place_ && !engine_at(*cluster, *place_)) {
    if (remote()) return lose("node " + place_->node.value + " was lost while it spoke to the remote model");
    before_ = std::exchange(place_, std::nullopt);  // its node is gone; there is nobody to release it
  }
  if (place_ && should_move(*cluster)) leave();
  if (!place_) {
    const auto views = views_of(*cluster);
    const auto good = context_->place_trouble.without_failed(places(*cluster, views), now);
    place_ = policy::choose_place(views, good, before_, context_->self, expected_reuse(views));
    if (!place_) {
      trouble_ =
          Error{ErrorCode::unavailable, "no node runs the model that the answer began with (" + job_.model.fingerprint + ")"};
      return;
    }
    heard_ = now;
    return send(engine_at(*cluster, *place_), /*anew=*/true);
  }
  if (now - heard_ >= silence_max) {
    trouble_ = Error{ErrorCode::unavailable, "node " + place_->node.value + " says nothing about the answer"};
  }
  if (now - std::max(heard_, sent_) >= quiet_max || now - sent_ >= in_touch_every) send(engine_at(*cluster, *place_));
}

void Generation::tell_late() const {
  if (place_) context_->place_trouble.failed(*place_, context_->clock->now());
}

policy::AttemptResult Generation::cut_short(const policy::AttemptPlan& plan, std::string_view finish_reason) const {
  policy::AttemptResult result = policy::cut_short(plan, emissions_, finish_reason);
  if (!begun_) {  // nobody has read anything
    result.prompt_tokens = 0;
    result.cost = 0;
    return result;
  }
  result.seconds = std::chrono::duration<double>(context_->clock->now() - *begun_).count();
  const policy::ReplicaPlace ran = place_ ? *place_ : before_.value_or(policy::ReplicaPlace{});
  result.node = ran.node.value;
  const auto cluster = context_->cluster.load();
  const Peer* peer = cluster->find(ran.node);
  if (peer == nullptr) return result;
  for (const policy::ReplicaView& replica : peer->view.replicas) {
    if (replica.index == ran.index && replica.model == job_.model) result.active_parameters = replica.active_parameters;
  }
  return result;
}

std::vector<policy::Emission> Generation::take(const schemas::EngineEmissions& emissions) {
  std::vector<policy::Emission> next;
  if (ended_ || emissions.key != job_.key) return next;
  heard_ = context_->clock->now();
  bool missing = false;
  for (const policy::Emission& emission : emissions.emissions) {
    missing = missing || emission.first_index > next_index_;
    // Text that is left over at the end may come without tokens of its own.
    const bool tail = emission.ids.empty();
    if (emission.first_index != next_index_ || (tail && tail_taken_)) continue;
    tail_taken_ = tail_taken_ || tail;
    next_index_ += static_cast<std::int32_t>(emission.ids.size());
    emissions_.push_back(emission);
    next.push_back(emission);
  }
  if (missing && place_ && heard_ - sent_ >= again_after) {
    const auto cluster = context_->cluster.load();
    if (const EngineActor engine = engine_at(*cluster, *place_)) send(engine);
  }
  return next;
}

std::optional<Generation::End> Generation::take(const schemas::EngineFinished& finished) {
  if (ended_ || finished.key != job_.key) return std::nullopt;
  heard_ = context_->clock->now();
  if (finished.error && remote() && *finished.error == ErrorCode::not_found) {
    lose(finished.message);
    return std::nullopt;
  }
  // What comes late from where it ran before says nothing of where it runs now.
  const bool of_place = place_ && (finished.result.node.empty() || finished.result.node == place_->node.value);
  if (of_place && finished.error && policy::tells_of_place(*finished.error)) context_->place_trouble.failed(*place_, heard_);
  if (finished.error) {
    // The replica of a remote model that has begun has tried as often as it may.
    const bool begun = remote() && !finished.result.finish_reason.empty();
    switch (begun ? ErrorCode::corrupt : *finished.error) {
      case ErrorCode::overloaded:
      case ErrorCode::unavailable:
      case ErrorCode::unsupported:  // the node has come back with another model
      case ErrorCode::cancelled:    // not by us: whoever waits here has not given up
        trouble_ = Error{*finished.error, finished.message};
        leave();
        not_before_ = heard_ + again_after;
        return std::nullopt;
      default: break;
    }
    ended_ = true;
    if (finished.result.finish_reason.empty() || *finished.error == ErrorCode::deadline_exceeded) {
      return Error{*finished.error, finished.message + (trouble_ ? "; before, " + trouble_->message : "")};
    }
  } else if (finished.emissions != static_cast<std::int32_t>(emissions_.size())) {
    const auto cluster = context_->cluster.load();
    if (const EngineActor engine = place_ ? engine_at(*cluster, *place_) : EngineActor{}) send(engine);
    return std::nullopt;
  }
  if (of_place && !finished.error) context_->place_trouble.answered(*place_);
  ended_ = true;
  policy::AttemptResult result = finished.result;
  result.emissions = emissions_;
  return result;
}

}  // namespace troupe::actors
