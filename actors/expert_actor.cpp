#include "actors/expert_actor.hpp"

#include <algorithm>
#include <utility>

#include "actors/generation.hpp"
#include "policy/expert_duty.hpp"

namespace troupe::actors {

using policy::ExpertSelection;

ExpertActor::behavior_type ExpertState::start(NodeContextPtr context, std::shared_ptr<NodeExperts> experts) {
  context_ = std::move(context);
  experts_ = std::move(experts);
  install_defaults(self_);
  tick();
  return {
      [this](const schemas::ExpertLoad& load) { return on_load(load); },
      [](const Continuation& next) { next.run(); },
  };
}

caf::result<schemas::ExpertLoaded> ExpertState::on_load(const schemas::ExpertLoad& load) {
  const ExpertModel* const model = experts_->find(load.model);
  if (model == nullptr) {
    return to_caf({ErrorCode::not_found, "node " + context_->self.value + " has no placement for the experts of model " +
                                             load.model.fingerprint + " (" + load.model.numeric_class + ")"});
  }
  if (context_->leaving || context_->draining) {
    return to_caf({ErrorCode::unavailable, "node " + context_->self.value + " is leaving, and loads no experts"});
  }
  if (loads_ >= loads_max) {
    return to_caf({ErrorCode::overloaded,
                   "node " + context_->self.value + " is loading experts for " + std::to_string(loads_) + " requests"});
  }
  auto promise = self_->make_response_promise<schemas::ExpertLoaded>();
  load_here(*model, load.experts, [promise, load](const Result<void>& loaded) mutable {
    if (loaded) {
      promise.deliver(schemas::ExpertLoaded{load.model, load.experts});
    } else {
      promise.deliver(to_caf(loaded.error()));
    }
  });
  return promise;
}

void ExpertState::load_here(const ExpertModel& model, const ExpertSelection& experts,
                            std::function<void(const Result<void>&)> then) {
  ++loads_;
  const TimePoint began = context_->clock->now();
  experts_->load(
      model.model, experts,
      resume(
          self_, std::function<void(Result<void>)>([this, model = &model, experts, began,
                                                    then = std::move(then)](const Result<void>& loaded) {
            --loads_;
            const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(context_->clock->now() - began);
            if (loaded) {
              context_->log(
                  LogLevel::info, "experts loaded",
                  {{"model", model->name}, {"count", std::to_string(experts.count())}, {"ms", std::to_string(took.count())}});
            } else {
              context_->log(LogLevel::error, "experts not loaded", {{"model", model->name}, {"why", loaded.error().message}});
            }
            then(loaded);
          })));
}

void ExpertState::tick() {
  const auto nodes = views_of(*context_->cluster.load());
  std::int64_t alone = 0;
  for (const ExpertModel& model : experts_->models()) {
    look_after(model, nodes);
    alone += policy::only_here(nodes, context_->self, model.model).count();
  }
  for (const auto& [model, missing] : experts_->take_missing()) rescue(*model, missing, nodes);
  if (context_->leaving) {
    alone = leave(alone);
  } else {
    handed_over_.reset();
    give_up_extra(nodes);
  }
  context_->experts_alone = alone;
  after(self_, tick_every, [this] { tick(); });
}

void ExpertState::look_after(const ExpertModel& model, const std::vector<policy::NodeView>& nodes) {
  const auto views = experts_->views();
  const auto own = std::find_if(views.begin(), views.end(), [&](const auto& view) { return view.model == model.model; });
  auto holders = policy::holders_of(nodes, context_->self, model.model);
  // Of this node more is known than the cluster's picture says.
  std::erase_if(holders, [&](const auto& holder) { return holder.node == context_->self; });
  if (!own->experts.empty()) holders.push_back({context_->self, own->experts, own->load});
  experts_->set_holders(model.model, std::move(holders));
  warn_of_other_placements(model, nodes);
  if (!context_->leaving) return hold_what_is_placed(model, own->experts);
  have_loaded(model, policy::only_here(nodes, context_->self, model.model), nodes);
}

void ExpertState::warn_of_other_placements(const ExpertModel& model, const std::vector<policy::NodeView>& nodes) {
  auto others = policy::placed_otherwise(nodes, context_->self, model.model);
  auto& said = others_placed_[&model];
  if (others == said) return;
  for (const policy::NodeId& other : others) {
    if (std::find(said.begin(), said.end(), other) != said.end()) continue;
    context_->log(LogLevel::warning, "a node was started with another placement of experts; give all nodes the same",
                  {{"model", model.name}, {"node", other.value}});
  }
  said = std::move(others);
}

void ExpertState::hold_what_is_placed(const ExpertModel& model, const ExpertSelection& held) {
  const ExpertSelection placed = experts_->placed(model);
  const TimePoint now = context_->clock->now();
  TimePoint& again = own_again_[&model];
  if ((placed - held).empty() || now < again) return;
  again = TimePoint::max();
  load_here(model, placed, [this, model = &model](const Result<void>& /*loaded*/) {
    own_again_[model] = context_->clock->now() + again_after;
  });
}

ExpertSelection ExpertState::under_way(const ExpertModel& model, const std::vector<policy::NodeView>& nodes) {
  const TimePoint now = context_->clock->now();
  const auto gone = [&](const policy::NodeId& id) {
    const auto node = std::find_if(nodes.begin(), nodes.end(), [&](const auto& each) { return each.id == id; });
    return node != nodes.end() && node->state == policy::NodeState::gone;
  };
  Loads& loads = asked_for_[&model];
  std::erase_if(loads, [&](const Load& load) { return load.until <= now || gone(load.node); });
  ExpertSelection all;
  for (const Load& load : loads) all = all | load.experts;
  return all;
}

void ExpertState::have_loaded(const ExpertModel& model, ExpertSelection missing, const std::vector<policy::NodeView>& nodes) {
  missing = missing - under_way(model, nodes);
  if (missing.empty()) return;
  auto rescuers = policy::rescuers_of(nodes, context_->self, model.model);
  if (context_->leaving) std::erase_if(rescuers, [&](const auto& each) { return each.node == context_->self; });
  const policy::ExpertRescue rescue = policy::rescue(missing, model.shape.expert_bytes, std::move(rescuers));
  for (const auto& [node, experts] : rescue.loads) ask(model, node, experts);
  if (rescue.left.empty()) return;
  context_->log(LogLevel::warning, "nobody has room for experts", {{"model", model.name}, {"experts", to_string(rescue.left)}});
  asked_for_[&model].push_back({{}, rescue.left, context_->clock->now() + again_after});
}

void ExpertState::rescue(const ExpertModel& model, const ExpertSelection& missing, const std::vector<policy::NodeView>& nodes) {
  ExpertSelection held;
  for (const auto& holder : policy::holders_of(nodes, context_->self, model.model)) held = held | holder.experts;
  if ((missing - held).empty()) return;
  const TimePoint now = context_->clock->now();
  Missed& missed = missed_[&model];
  if (now - missed.last > rescue_after) missed.since = now;
  missed.last = now;
  if (now - missed.since < rescue_after) return;
  // Whoever lacks one will lack the others that nobody holds, in a layer or two.
  have_loaded(model, ExpertSelection::all(model.shape) - held, nodes);
}

void ExpertState::ask(const ExpertModel& model, const policy::NodeId& node, const ExpertSelection& experts) {
  context_->log(LogLevel::info, "experts are to be loaded",
                {{"model", model.name}, {"on", node.value}, {"experts", to_string(experts)}});
  // What has been loaded is seen in the next views, and until then not asked for again.
  const TimePoint now = context_->clock->now();
  asked_for_[&model].push_back({node, experts, now + load_timeout});
  const auto ended = [this, model = &model, node, experts](const Result<void>& loaded) {
    Loads& loads = asked_for_[model];
    const auto mine = std::find_if(loads.begin(), loads.end(),
                                   [&](const Load& load) { return load.node == node && load.experts == experts; });
    if (mine != loads.end()) mine->until = context_->clock->now() + again_after;
    if (!loaded)
      context_->log(LogLevel::warning, "experts were not loaded", {{"model", model->name}, {"why", loaded.error().message}});
  };
  if (node == context_->self) return load_here(model, experts, ended);
  const auto cluster = context_->cluster.load();
  const Peer* const peer = cluster->find(node);
  if (peer == nullptr || !peer->handles.node) {
    return ended(Error{ErrorCode::unavailable, "node " + node.value + " cannot be reached"});
  }
  self_->request(peer->handles.node, load_timeout, schemas::ExpertLoad{model.model, experts})
      .then([ended](const schemas::ExpertLoaded& /*loaded*/) { ended({}); },
            [ended, node](caf::error& error) { ended(from_caf(error, "having node " + node.value + " load experts")); });
}

std::int64_t ExpertState::leave(std::int64_t alone) {
  std::int64_t held = 0;
  for (const policy::ExpertsView& view : experts_->views()) held += view.experts.count();
  if (alone > 0 || held == 0) {
    handed_over_.reset();
    return alone;
  }
  const TimePoint now = context_->clock->now();
  if (!handed_over_) handed_over_ = now;
  if (now - *handed_over_ < handed_over_after) return held;
  experts_->withdraw_all();
  return 0;
}

void ExpertState::give_up_extra(const std::vector<policy::NodeView>& nodes) {
  const TimePoint now = context_->clock->now();
  const auto before = std::exchange(extras_, {});
  experts_->withdraw_extra([&](const ExpertModel& model, const ExpertSelection& experts) {
    if (!policy::are_at_home(nodes, context_->self, model.model, experts, model.placement)) return false;
    const auto known =
        std::ranges::find_if(before, [&](const Extra& each) { return each.model == &model && each.experts == experts; });
    const TimePoint since = known == before.end() ? now : known->since;
    if (now - since < extra_kept) {
      extras_.push_back({&model, experts, since});
      return false;
    }
    context_->log(LogLevel::info, "experts are at home again, and given up here",
                  {{"model", model.name}, {"experts", to_string(experts)}});
    return true;
  });
}

ExpertActor::behavior_type expert_actor(ExpertActor::stateful_pointer<ExpertState> self, NodeContextPtr context,
                                        std::shared_ptr<NodeExperts> experts) {
  return self->state.start(std::move(context), std::move(experts));
}

}  // namespace troupe::actors
