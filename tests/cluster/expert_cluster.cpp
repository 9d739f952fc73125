#include "tests/cluster/expert_cluster.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.hpp"

namespace troupe::tests {

namespace {

ArrivalOrder* current_order = nullptr;  // what the broken kernel looks at: kernels are plain functions

std::unique_ptr<kernels::CpuDevice> open_device(const kernels::CpuOps* operations = nullptr) {
  auto device =
      kernels::CpuDevice::create({.instruction_set = kernels::best_instruction_set(), .threads = 1, .operations = operations});
  TROUPE_CHECK(device.has_value(), "the best instruction set is supported");
  return *std::move(device);
}

}  // namespace

cluster::Schedule EventLoop::schedule() {
  return [this](Duration after, std::function<void()> work) {
    events_.emplace(std::pair(clock_.now() + after, given_++), std::move(work));
  };
}

bool EventLoop::run_next() {
  if (events_.empty()) return false;
  const auto first = events_.begin();
  const TimePoint at = first->first.first;
  auto work = std::move(first->second);
  events_.erase(first);
  if (at > clock_.now()) clock_.advance(at - clock_.now());
  work();
  return true;
}

void combine_by_arrival(const kernels::MoeCombine& arguments, kernels::Range rows) {
  const kernels::CpuOps& right = kernels::operations(kernels::best_instruction_set());
  const auto layer = current_order->layers_.find(const_cast<float*>(arguments.expert_output));
  TROUPE_CHECK(layer != current_order->layers_.end(), "whose arrivals were watched");
  const auto chosen = static_cast<std::size_t>(arguments.chosen);
  const auto dim = static_cast<std::size_t>(arguments.dim);
  for (std::int32_t row = rows.first; row < rows.last; ++row) {
    const auto first = static_cast<std::size_t>(row) * chosen;
    std::vector<std::size_t> order(chosen);
    std::iota(order.begin(), order.end(), first);
    std::ranges::stable_sort(order, {}, [&](std::size_t slot) { return layer->second.arrived[slot]; });
    std::vector<float> weight(chosen);
    std::vector<float> output(chosen * dim);
    for (std::size_t c = 0; c < chosen; ++c) {
      weight[c] = arguments.weight[order[c]];
      std::copy_n(arguments.expert_output + order[c] * dim, dim, &output[c * dim]);
    }
    right.moe_combine({output.data(), weight.data(), arguments.output + static_cast<std::size_t>(row) * dim, 1,
                       arguments.chosen, arguments.dim},
                      kernels::Range{0, 1});
  }
}

ArrivalOrder::ArrivalOrder() {
  TROUPE_CHECK(current_order == nullptr, "one order is watched at a time");
  current_order = this;
}
ArrivalOrder::~ArrivalOrder() { current_order = nullptr; }

const kernels::CpuOps* ArrivalOrder::broken_operations() {
  static const kernels::CpuOps broken = [] {
    kernels::CpuOps operations = kernels::operations(kernels::best_instruction_set());
    operations.moe_combine = combine_by_arrival;
    return operations;
  }();
  return &broken;
}

void ArrivalOrder::begin(const model::ExpertWork& work, std::int32_t hidden) {
  const auto slots = static_cast<std::size_t>(work.rows) * static_cast<std::size_t>(work.chosen);
  std::fill_n(work.output, slots * static_cast<std::size_t>(hidden), std::numeric_limits<float>::quiet_NaN());
  layers_[work.output] = {slots, hidden, std::vector<std::uint64_t>(slots)};
}

void ArrivalOrder::look() {
  ++now_;
  for (auto& [output, layer] : layers_) {
    for (std::size_t slot = 0; slot < layer.slots; ++slot) {
      if (layer.arrived[slot] == 0 && !std::isnan(output[slot * static_cast<std::size_t>(layer.hidden)]))
        layer.arrived[slot] = now_;
    }
  }
}

WatchedExperts::~WatchedExperts() {
  for (float* const output : outputs_) arrivals->forget(output);
}

void WatchedExperts::compute(const model::ExpertWork& work, model::ExpertsDone done) {
  if (arrivals == nullptr) return inner_.compute(work, std::move(done));
  outputs_.insert(work.output);
  arrivals->begin(work, hidden_);
  inner_.compute(work, [this, done = std::move(done)](Result<void> result) {
    arrivals->look();
    done(std::move(result));
  });
  arrivals->look();
}

ExpertCluster::ExpertCluster(ExpertClusterOptions options)
    : options_(std::move(options)),
      hub_({.schedule = loop.schedule(), .clock = &loop.clock(), .faults = options_.faults}),
      device_(open_device(options_.operations)) {
  const TinyModel& tiny = *options_.tiny;
  model_ = std::make_unique<model::Model>(model::Model::random(config_of(tiny), tiny.seed, options_.here, *device_).value());
  fabric_ = join(self.value);
  port = std::make_unique<cluster::ExpertPort>(*fabric_, loop.clock(), loop.schedule(),
                                               cluster::ExpertPortOptions{.self = self, .first_number = 1000});
  fabric_->on_peer_lost([this](const policy::NodeId& peer, const Error& why) {
    tell_holders([&](cluster::ExpertHolders& holders) {
      std::erase_if(holders, [&](const policy::ExpertHolder& holder) { return holder.node == peer; });
    });
    port->peer_lost(peer, why);
  });
  auto dispatching = options_.dispatch;
  dispatching.holders = [this] { return holders_; };
  dispatching.on_missing = [this](const policy::ExpertSelection& experts) {
    missing.push_back(experts);
    if (on_missing) on_missing(experts);
  };
  dispatch = cluster::ExpertDispatch::create(*model_, *device_, *port, loop.clock(), loop.schedule(), dispatching,
                                             options_.engine.batch.tokens_max)
                 .value();
  watched_ = std::make_unique<WatchedExperts>(*dispatch, model_->config.hidden);
  engine = engine::Engine::create(*model_, *device_, loop.clock(), options_.engine, watched_.get()).value();
  engine->on_wake([this] { woken_ = true; });
}

ExpertCluster::~ExpertCluster() {
  dispatch->stop();
  engine.reset();
  dispatch.reset();
  port.reset();
  here_.reset();
  fabric_.reset();
  for (auto& [name, node] : nodes_) node.server.reset();
  nodes_.clear();
}

std::unique_ptr<cluster::Fabric> ExpertCluster::join(const std::string& name) {
  auto fabric = hub_.join({name});
  TROUPE_CHECK(fabric.has_value(), "names of nodes differ");
  return *std::move(fabric);
}

cluster::ExpertServer& ExpertCluster::start(const std::string& name, const policy::ExpertSelection& experts,
                                            const cluster::ExpertServerLimits& limits) {
  Node& node = nodes_[name];
  node.fabric = join(name);
  TROUPE_CHECK(node.fabric->connect(self, fabric_->address()), "a fabric connects");
  TROUPE_CHECK(fabric_->connect({name}, node.fabric->address()), "a fabric connects");
  auto device = open_device();
  auto slices = std::make_shared<const model::ExpertSlices>(
      model::ExpertSlices::random(model_->config, options_.tiny->seed, experts, *device).value());
  node.server = cluster::ExpertServer::create(*node.fabric, loop.clock(), loop.schedule(), std::move(device), limits).value();
  TROUPE_CHECK(node.server->serve(cluster::source_of(slices, kernels::DeviceKind::cpu)), "there is memory for a tiny model");
  tell_holders([&](cluster::ExpertHolders& holders) { holders.push_back({{name}, experts, 0}); });
  return *node.server;
}

void ExpertCluster::mangle(const std::string& name, std::function<void(cluster::Payload, const Send&)> mangled) {
  Node& node = nodes_.at(name);
  node.fabric->receive(cluster::Channel::expert_work, [&node, mangled](const policy::NodeId& from, cluster::Payload work) {
    const Send send = [&node, from](cluster::Payload answer) {
      node.fabric->send(from, cluster::Channel::expert_results, std::move(answer), TimePoint::max(),
                        [](const Result<void>&) {});
    };
    node.server->submit(std::move(work), [mangled, send](cluster::Payload answer) { mangled(std::move(answer), send); });
  });
}

void ExpertCluster::kill(const std::string& name) {
  Node node = std::move(nodes_.at(name));
  nodes_.erase(name);
  node.server.reset();
  node.fabric.reset();
}

void ExpertCluster::tell_holders(std::function<void(cluster::ExpertHolders&)> change) {
  auto holders = *holders_;
  change(holders);
  holders_ = std::make_shared<const cluster::ExpertHolders>(std::move(holders));
  if (dispatch) dispatch->holders_changed();
}

void ExpertCluster::serve_here(const policy::ExpertSelection& experts) {
  auto device = open_device();
  auto slices = std::make_shared<const model::ExpertSlices>(
      model::ExpertSlices::random(model_->config, options_.tiny->seed, experts, *device).value());
  here_ = cluster::ExpertServer::create(*fabric_, loop.clock(), loop.schedule(), std::move(device)).value();
  TROUPE_CHECK(here_->serve(cluster::source_of(slices, kernels::DeviceKind::cpu)), "there is memory for a tiny model");
  port->serve_here(*here_);
  tell_holders([&](cluster::ExpertHolders& holders) { holders.push_back({self, experts, 0}); });
}

bool ExpertCluster::run_next() {
  if (before_event) before_event();
  const bool ran = loop.run_next();
  if (arrivals != nullptr) arrivals->look();
  return ran;
}

bool ExpertCluster::answer(const std::vector<std::pair<engine::GenerateRequest, engine::Listener*>>& requests) {
  watched_->arrivals = arrivals;
  for (const auto& [request, listener] : requests) TROUPE_CHECK(engine->submit(request, *listener), "a request is valid");
  while (!engine->idle()) {
    if (engine->step().progressed) continue;
    while (!std::exchange(woken_, false)) {
      if (!run_next()) return false;
    }
  }
  return true;
}

}  // namespace troupe::tests
