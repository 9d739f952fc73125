#include "tests/layouts/node.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "kernels/numeric_class.hpp"
#include "tests/support/memory_block_disk.hpp"

namespace troupe::tests::layouts {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto disk_time = microseconds(30);  // of one piece of work

std::unique_ptr<kernels::CpuDevice> open_device(kernels::InstructionSet set, const kernels::CpuOps* operations = nullptr) {
  return kernels::CpuDevice::create({.instruction_set = set, .threads = 1, .operations = operations}).value();
}

/// Weights with the device that they lie on.
struct Loaded {
  std::unique_ptr<kernels::CpuDevice> device;
  model::ExpertSlices slices;
};

}  // namespace

Node::Node(const NodeLayout& layout, std::uint64_t life, NodeWorld& world)
    : layout_(layout), id_{layout.name}, world_(world), fabric_(world.hub->join(id_).value()) {
  EventLoop& loop = *world_.loop;
  fabric_->on_peer_lost([this](const policy::NodeId& peer, const Error& why) { on_lost(peer, why); });
  if (world_.has_experts) {
    server_ =
        cluster::ExpertServer::create(*fabric_, loop.clock(), loop.schedule(), open_device(layout_.instruction_set)).value();
    port_ = std::make_unique<cluster::ExpertPort>(*fabric_, loop.clock(), loop.schedule(),
                                                  cluster::ExpertPortOptions{.self = id_, .first_number = (life << 32) + 1});
    port_->serve_here(*server_);
  }
  if (layout_.runs_sequences) {
    open_engine();
  } else if (!layout_.experts.empty()) {
    load_experts(layout_.experts);
  }
}

void Node::open_engine() {
  EventLoop& loop = *world_.loop;
  const bool broken = world_.arrivals != nullptr;
  // The kernel that adds in the order of arrival knows one instruction set.
  const auto set = broken ? kernels::best_instruction_set() : layout_.instruction_set;
  device_ = open_device(set, broken ? ArrivalOrder::broken_operations() : nullptr);
  const auto config = config_of(*world_.tiny);
  model_ =
      std::make_shared<const model::Model>(model::Model::random(config, world_.tiny->seed, layout_.experts, *device_).value());
  if (world_.has_experts) {
    cluster::ExpertDispatchOptions options;
    options.answer_max = milliseconds(20);
    options.retry_pause = milliseconds(5);
    options.trouble_max = seconds(60);
    options.holders = [this] { return holders_; };
    options.on_missing = [this](const policy::ExpertSelection& missing) { world_.on_missing(missing); };
    dispatch_ = cluster::ExpertDispatch::create(*model_, *device_, *port_, loop.clock(), loop.schedule(), options,
                                                layout_.options.batch.tokens_max)
                    .value();
    watched_ = std::make_unique<WatchedExperts>(*dispatch_, config.hidden);
    watched_->arrivals = world_.arrivals;
    if (!layout_.experts.empty()) {
      TROUPE_CHECK(server_->serve(cluster::source_of(model_, kernels::DeviceKind::cpu)), "there is memory for a tiny model");
      serving_.push_back(model_);
    }
  }
  engine = engine::Engine::create(*model_, *device_, loop.clock(), layout_.options, watched_.get()).value();
  const std::size_t block = engine->blocks().layout().block_bytes();
  auto disk = std::make_unique<MemoryBlockDisk>();
  disk->spoil([&world = world_.shards](const policy::BlockId& /*id*/, std::vector<std::byte>& payload) {
    if (world.random->chance(world.troubles.spoilt)) payload[world.random->below(payload.size())] ^= std::byte{1};
  });
  below = std::make_shared<storage::BlockStore>(
      storage::BlockStoreLimits{.host_bytes = layout_.host_blocks * block, .disk_bytes = layout_.disk_blocks * block},
      std::move(disk), [&loop, alive = std::weak_ptr<const bool>(alive_)](std::function<void()> work) {
        loop.schedule()(disk_time, [alive, work = std::move(work)] {
          if (!alive.expired()) work();
        });
      });
  engine->blocks().keep_evicted(below);
  shard = std::make_shared<Shard>(id_, engine->blocks(), *fabric_, *below, world_.shards);
}

Node::~Node() {
  alive_.reset();
  // Transfers move bytes only when the loop runs, so the pool may go before the fabric ends them.
  if (dispatch_) dispatch_->stop();
  shard.reset();
  engine.reset();
  watched_.reset();
  dispatch_.reset();
  port_.reset();
  server_.reset();
  fabric_.reset();
}

void Node::meet(Node& other) {
  TROUPE_CHECK(fabric_->connect(other.id_, other.fabric_->address()), "a fabric connects");
  TROUPE_CHECK(other.fabric_->connect(id_, fabric_->address()), "a fabric connects");
}

void Node::on_lost(const policy::NodeId& peer, const Error& why) {
  auto holders = *holders_;
  std::erase_if(holders, [&](const policy::ExpertHolder& holder) { return holder.node == peer; });
  holders_ = std::make_shared<const cluster::ExpertHolders>(std::move(holders));
  if (port_) port_->peer_lost(peer, why);
  if (shard) shard->peer_lost(peer);
  world_.on_lost(id_, peer);
}

void Node::hear_of_holders(cluster::ExpertHolders holders) {
  holders_ = std::make_shared<const cluster::ExpertHolders>(std::move(holders));
  if (dispatch_) dispatch_->holders_changed();
}

void Node::load_experts(const policy::ExpertSelection& experts) {
  auto device = open_device(layout_.instruction_set);
  auto slices = model::ExpertSlices::random(config_of(*world_.tiny), world_.tiny->seed, experts, *device).value();
  const auto loaded = std::make_shared<const Loaded>(Loaded{std::move(device), std::move(slices)});
  const std::shared_ptr<const model::ExpertSlices> owner(loaded, &loaded->slices);
  TROUPE_CHECK(server_->serve(cluster::source_of(owner, kernels::DeviceKind::cpu)), "there is memory for a tiny model");
  serving_.push_back(owner);
}

void Node::withdraw_experts() {
  for (const auto& owner : std::exchange(serving_, {})) server_->withdraw(owner);
}

policy::ExpertSelection Node::served() const {
  if (!server_) return {};
  const auto fingerprint = model::fingerprint_random(config_of(*world_.tiny), world_.tiny->seed);
  return server_->served({model::to_hex(fingerprint), std::string(kernels::numeric_class(kernels::DeviceKind::cpu))});
}

cluster::ExpertDispatchCounters Node::dispatched() const {
  return dispatch_ ? dispatch_->counters() : cluster::ExpertDispatchCounters{};
}

}  // namespace troupe::tests::layouts
