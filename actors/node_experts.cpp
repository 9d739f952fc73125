#include "actors/node_experts.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "kernels/cpu_device.hpp"
#include "kernels/numeric_class.hpp"

namespace troupe::actors {

namespace {

/// How long an engine waits for experts before its sequences fail as `unavailable`, and are tried again by whoever asked.
constexpr Duration trouble_max = std::chrono::seconds(10);

/// Slices with the device that they lie on.
struct SlicesOnDevice {
  std::unique_ptr<kernels::Device> device;
  std::unique_ptr<const model::ExpertSlices> slices;
};

cluster::Schedule schedule_on(const std::shared_ptr<cluster::WorkThread>& thread) {
  return [thread](Duration after, std::function<void()> work) { thread->run(after, std::move(work)); };
}

}  // namespace

struct NodeExperts::Asked {
  std::mutex mutex;
  std::shared_ptr<const cluster::ExpertHolders> holders = std::make_shared<const cluster::ExpertHolders>();
  policy::ExpertSelection missing;
  std::vector<std::weak_ptr<cluster::ExpertDispatch>> dispatches;
};

NodeExperts::NodeExperts(NodeExpertsOptions options) : options_(std::move(options)) {
  for (std::size_t i = 0; i < options_.models.size(); ++i) asked_.push_back(std::make_shared<Asked>());
}

Result<std::shared_ptr<NodeExperts>> NodeExperts::create(NodeExpertsOptions options) {
  TROUPE_CHECK(options.fabric != nullptr && options.links != nullptr, "experts of several nodes have a fabric");
  for (const ExpertModel& model : options.models) {
    const auto bytes = static_cast<std::size_t>(model.placement.of(options.self).count()) * model.shape.expert_bytes;
    if (bytes <= options.bytes_max) continue;
    return Error{ErrorCode::too_large, "the placement puts " + std::to_string(bytes) + " bytes of experts of " + model.name +
                                           " on node " + options.self.value + ", which has room for " +
                                           std::to_string(options.bytes_max)};
  }
  std::shared_ptr<NodeExperts> made(new NodeExperts(std::move(options)));
  const NodeExpertsOptions& own = made->options_;
  TROUPE_TRY(auto device, own.open_device());
  TROUPE_TRY(made->server_,
             cluster::ExpertServer::create(*own.fabric, *own.clock, schedule_on(made->computing_), std::move(device)));
  made->port_ = std::make_shared<cluster::ExpertPort>(*own.fabric, *own.clock, schedule_on(made->waiting_),
                                                      cluster::ExpertPortOptions{own.self, own.first_number});
  made->port_->serve_here(*made->server_);
  made->told_of_losses_ =
      own.links->on_lost(*own.fabric, [weak = std::weak_ptr(made->port_)](const policy::NodeId& peer, const Error& why) {
        if (const auto port = weak.lock()) port->peer_lost(peer, why);
      });
  return made;
}

NodeExperts::~NodeExperts() {
  loading_.stop();
  waiting_->stop();
  computing_->stop();
}

const ExpertModel* NodeExperts::find(const std::filesystem::path& folder) const {
  const auto same = [&](const ExpertModel& model) {
    std::error_code failed;
    return std::filesystem::equivalent(model.folder, folder, failed) && !failed;
  };
  const auto found = std::find_if(options_.models.begin(), options_.models.end(), same);
  return found == options_.models.end() ? nullptr : &*found;
}

const ExpertModel* NodeExperts::find(const policy::ModelClass& model) const {
  const auto found =
      std::find_if(options_.models.begin(), options_.models.end(), [&](const auto& each) { return each.model == model; });
  return found == options_.models.end() ? nullptr : &*found;
}

std::shared_ptr<NodeExperts::Asked> NodeExperts::asked(const policy::ModelClass& model) const {
  const ExpertModel* const found = find(model);
  return found == nullptr ? nullptr : asked_[static_cast<std::size_t>(found - options_.models.data())];
}

// For engines.

Result<std::shared_ptr<cluster::ExpertDispatch>> NodeExperts::dispatch(const model::Model& model, kernels::Device& device,
                                                                       std::int32_t rows_max) {
  const policy::ModelClass name{model::to_hex(model.fingerprint), std::string(kernels::numeric_class(device.kind()))};
  const auto known = asked(name);
  if (known == nullptr) {
    return Error{ErrorCode::invalid_argument, "the experts of model " + name.fingerprint + " (" + name.numeric_class +
                                                  ") are not placed; its folder has changed since the node started"};
  }
  cluster::ExpertDispatchOptions options;
  options.holders = [known] {
    const std::scoped_lock lock(known->mutex);
    return known->holders;
  };
  options.on_missing = [known](const policy::ExpertSelection& missing) {
    const std::scoped_lock lock(known->mutex);
    known->missing = known->missing | missing;
  };
  options.trouble_max = trouble_max;
  options.homes = [placement = find(name)->placement](const policy::ExpertSelection& missing) {
    std::string names;
    for (const policy::NodeId& node : placement.homes_of(missing)) names += (names.empty() ? "" : ", ") + node.value;
    return names;
  };
  TROUPE_TRY(std::shared_ptr<cluster::ExpertDispatch> made,
             cluster::ExpertDispatch::create(model, device, *port_, *options_.clock, schedule_on(waiting_), std::move(options),
                                             rows_max));
  const std::scoped_lock lock(known->mutex);
  known->dispatches.push_back(made);
  return made;
}

Result<void> NodeExperts::add_engine(std::shared_ptr<const model::Model> model) {
  Slab slab;
  slab.source = cluster::source_of(std::move(model), kernels::DeviceKind::cpu);
  slab.model = find(slab.source.model);
  slab.of_engine = true;
  TROUPE_CHECK(slab.model != nullptr, "an engine with a dispatch has a model that is placed");
  slab.bytes = static_cast<std::size_t>(slab.source.weights->experts().count()) * slab.model->shape.expert_bytes;
  if (slab.source.weights->experts().empty()) return {};
  TROUPE_TRY_DO(serve(slab));
  const std::scoped_lock lock(mutex_);
  slabs_.push_back(std::move(slab));
  return {};
}

void NodeExperts::set_holders(const policy::ModelClass& model, cluster::ExpertHolders holders) {
  const auto known = asked(model);
  if (known == nullptr) return;
  std::vector<std::shared_ptr<cluster::ExpertDispatch>> dispatches;
  {
    const std::scoped_lock lock(known->mutex);
    if (*known->holders == holders) return;
    known->holders = std::make_shared<const cluster::ExpertHolders>(std::move(holders));
    for (const auto& weak : known->dispatches) {
      if (auto dispatch = weak.lock()) dispatches.push_back(std::move(dispatch));
    }
  }
  for (const auto& dispatch : dispatches) dispatch->holders_changed();
}

std::vector<std::pair<const ExpertModel*, policy::ExpertSelection>> NodeExperts::take_missing() {
  std::vector<std::pair<const ExpertModel*, policy::ExpertSelection>> all;
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    const std::scoped_lock lock(asked_[i]->mutex);
    if (asked_[i]->missing.empty()) continue;
    all.emplace_back(&options_.models[i], std::exchange(asked_[i]->missing, {}));
  }
  return all;
}

// What is loaded.

Result<void> NodeExperts::serve(Slab& slab) {
  if (slab.served) return {};
  TROUPE_TRY_DO(server_->serve(slab.source));
  slab.served = true;
  return {};
}

void NodeExperts::load(const policy::ModelClass& model, const policy::ExpertSelection& experts,
                       std::function<void(Result<void>)> done) {
  loading_.run(Duration::zero(), [this, model, experts, done = std::move(done)] {
    const ExpertModel* const known = find(model);
    if (known != nullptr) return done(load_now(*known, experts));
    done(Error{ErrorCode::not_found, "no model of class " + model.fingerprint + " (" + model.numeric_class +
                                         ") is in the placement of node " + options_.self.value});
  });
}

Result<void> NodeExperts::load_now(const ExpertModel& model, const policy::ExpertSelection& experts) {
  TROUPE_TRY_DO(check(experts, model.shape));
  policy::ExpertSelection there;
  {
    const std::scoped_lock lock(mutex_);
    for (Slab& slab : slabs_) {
      if (slab.model != &model) continue;
      TROUPE_TRY_DO(serve(slab));
      there = there | slab.source.weights->experts();
    }
  }
  const policy::ExpertSelection missing = experts - there;
  if (missing.empty()) return {};
  const auto bytes = static_cast<std::size_t>(missing.count()) * model.shape.expert_bytes;
  if (bytes > bytes_free()) {
    return Error{ErrorCode::too_large, "node " + options_.self.value + " has room for " + std::to_string(bytes_free()) +
                                           " bytes of experts, and " + std::to_string(missing.count()) + " of " + model.name +
                                           " take " + std::to_string(bytes)};
  }
  TROUPE_TRY(auto slices, read_slices(model, missing));
  Slab slab;
  slab.model = &model;
  slab.bytes = bytes;
  slab.source = cluster::source_of(std::move(slices), kernels::DeviceKind::cpu);
  if (slab.source.model != model.model) {
    return Error{ErrorCode::corrupt, model.folder.string() + " has changed since the node started: it is model " +
                                         slab.source.model.fingerprint + ", expected " + model.model.fingerprint};
  }
  TROUPE_TRY_DO(serve(slab));
  const std::scoped_lock lock(mutex_);
  slabs_.push_back(std::move(slab));
  return {};
}

Result<std::shared_ptr<const model::ExpertSlices>> NodeExperts::read_slices(const ExpertModel& model,
                                                                            const policy::ExpertSelection& experts) const {
  auto owner = std::make_shared<SlicesOnDevice>();
  // A device of their own, so that they may be freed on whatever thread lets go of them.
  TROUPE_TRY(owner->device, kernels::CpuDevice::create({.threads = 1}));
  auto said = options_.clock->now();
  const auto progress = [&](double done) {
    if (options_.clock->now() - said < std::chrono::seconds(2)) return;
    said = options_.clock->now();
    options_.log(LogLevel::info, "loading experts",
                 {{"model", model.name}, {"percent", std::to_string(static_cast<int>(100 * done))}});
  };
  TROUPE_TRY(auto slices, model::ExpertSlices::load(model.folder, experts, *owner->device, progress));
  owner->slices = std::make_unique<const model::ExpertSlices>(std::move(slices));
  const auto* const loaded = owner->slices.get();
  return std::shared_ptr<const model::ExpertSlices>(std::move(owner), loaded);
}

void NodeExperts::withdraw(const std::function<bool(const Slab&)>& which) {
  std::vector<Slab> freed;  // outside of the mutex
  const std::scoped_lock lock(mutex_);
  for (Slab& slab : slabs_) {
    if (!slab.served || !which(slab)) continue;
    server_->withdraw(slab.source.owner);
    slab.served = false;
    if (!slab.of_engine) freed.push_back(std::move(slab));
  }
  std::erase_if(slabs_, [](const Slab& slab) { return slab.source.owner == nullptr; });
}

void NodeExperts::withdraw_all() {
  withdraw([](const Slab&) { return true; });
}

void NodeExperts::withdraw_extra(const std::function<bool(const ExpertModel&, const policy::ExpertSelection&)>& may_go) {
  withdraw([&](const Slab& slab) {
    const auto& experts = slab.source.weights->experts();
    if (slab.of_engine || !(experts & placed(*slab.model)).empty()) return false;
    return may_go(*slab.model, experts);
  });
}

std::vector<policy::ExpertsView> NodeExperts::views() const {
  std::vector<policy::ExpertsView> all;
  for (const ExpertModel& model : options_.models) {
    all.push_back({model.name, model.model, server_->served(model.model), model.shape.count(), model.shape.expert_bytes,
                   server_->load()});
  }
  return all;
}

std::uint64_t NodeExperts::bytes_free() const {
  const std::scoped_lock lock(mutex_);
  std::uint64_t used = 0;
  for (const Slab& slab : slabs_) used += slab.bytes;
  return options_.bytes_max - std::min<std::uint64_t>(used, options_.bytes_max);
}

}  // namespace troupe::actors
