#include "bench/experts.hpp"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

#include "base/check.hpp"
#include "base/random.hpp"
#include "cluster/expert_dispatch.hpp"
#include "cluster/expert_port.hpp"
#include "cluster/expert_server.hpp"
#include "cluster/local_fabric.hpp"
#include "cluster/ucx_fabric.hpp"
#include "kernels/cpu_device.hpp"
#include "model/experts.hpp"
#include "model/model.hpp"

namespace troupe::bench {

namespace {

using policy::ExpertSelection;
using policy::NodeId;

constexpr std::uint64_t seed = 1;

Duration median(std::vector<Duration> values, double share = 0.5) {
  const auto place = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + place, values.end());
  return values[static_cast<std::size_t>(place)];
}

/// Fabrics of one kind for nodes of this process.
class Network {
 public:
  explicit Network(bool local) : local_(local) {}
  Result<std::unique_ptr<cluster::Fabric>> join(const NodeId& name) {
    return local_ ? hub_.join(name) : cluster::open_ucx_fabric(name);
  }

 private:
  bool local_;
  cluster::LocalHub hub_;
};

cluster::Schedule by(cluster::WorkThread& thread) {
  return [&thread](Duration after, std::function<void()> work) { thread.run(after, std::move(work)); };
}

/// A node that answers for some experts. What stands first ends last.
struct Server {
  cluster::WorkThread thread;
  std::unique_ptr<cluster::Fabric> fabric;
  std::unique_ptr<cluster::ExpertServer> server;
};

Result<std::unique_ptr<Server>> start_server(Network& network, cluster::Fabric& asker, const Clock& clock, const NodeId& name,
                                             const model::ModelConfig& config, const ExpertSelection& experts) {
  auto made = std::make_unique<Server>();
  TROUPE_TRY(made->fabric, network.join(name));
  TROUPE_TRY_DO(made->fabric->connect({"engine"}, asker.address()));
  TROUPE_TRY_DO(asker.connect(name, made->fabric->address()));
  TROUPE_TRY(auto device, kernels::CpuDevice::create({.threads = 1}));
  TROUPE_TRY(auto loaded, model::ExpertSlices::random(config, seed, experts, *device));
  auto slices = std::make_shared<const model::ExpertSlices>(std::move(loaded));
  TROUPE_TRY(made->server, cluster::ExpertServer::create(*made->fabric, clock, by(made->thread), std::move(device)));
  TROUPE_TRY_DO(made->server->serve(cluster::source_of(std::move(slices), kernels::DeviceKind::cpu)));
  return made;
}

/// Rows of a layer, and whom a router might have chosen for them: another choice for each layer that is asked for.
class Layer {
 public:
  Layer(const model::ModelConfig& config, std::int32_t layer, std::int32_t rows)
      : config_(config), layer_(layer), rows_(rows), random_(seed, 5) {
    input_.resize(static_cast<std::size_t>(rows) * static_cast<std::size_t>(config.hidden));
    for (float& value : input_) value = 2 * random_.uniform() - 1;
    expert_.resize(static_cast<std::size_t>(rows) * static_cast<std::size_t>(config.moe->experts_per_token));
    output_.resize(expert_.size() * static_cast<std::size_t>(config.hidden));
  }
  model::ExpertWork next() {
    const std::int32_t chosen = config_.moe->experts_per_token;
    for (std::size_t slot = 0; slot < expert_.size();) {
      std::int32_t left = chosen;
      for (std::int32_t id = 0; left > 0; ++id) {
        if (random_.below(static_cast<std::uint64_t>(config_.moe->experts - id)) >= static_cast<std::uint64_t>(left)) continue;
        expert_[slot++] = id;
        --left;
      }
    }
    return {layer_, rows_, chosen, input_.data(), expert_.data(), output_.data()};
  }

 private:
  const model::ModelConfig& config_;
  std::int32_t layer_;
  std::int32_t rows_;
  Random random_;
  std::vector<float> input_;
  std::vector<std::int32_t> expert_;
  std::vector<float> output_;
};

/// Waits for a layer's experts as an engine's thread does.
class Bell {
 public:
  void ring(Result<void> result) {
    const std::scoped_lock lock(mutex_);
    result_ = std::move(result);
    rung_ = true;
    changed_.notify_one();
  }
  Result<void> wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return rung_; });
    rung_ = false;
    return std::move(result_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool rung_ = false;
  Result<void> result_;
};

/// How long each of the layers took, from asking to having heard of the answer.
Result<std::vector<Duration>> time_layers(model::Experts& experts, Layer& layer, int layers, const Clock& clock) {
  std::vector<Duration> times;
  Bell bell;
  for (int i = 0; i < layers; ++i) {
    const model::ExpertWork work = layer.next();
    const TimePoint begin = clock.now();
    experts.compute(work, [&bell](Result<void> result) { bell.ring(std::move(result)); });
    TROUPE_TRY_DO(bell.wait());
    times.push_back(clock.now() - begin);
  }
  return times;
}

Result<ExpertsMeasurement> measure(const model::ModelConfig& config, const ExpertsBenchOptions& options, std::int32_t rows,
                                   int nodes) {
  const SystemClock clock;
  const policy::ExpertShape shape = model::expert_shape(config);
  const std::int32_t sparse = shape.sparse.front();
  TROUPE_TRY(const auto device, kernels::CpuDevice::create({.threads = 1}));
  Network network(options.local);
  cluster::WorkThread timers;
  TROUPE_TRY(const auto fabric, network.join({"engine"}));
  std::vector<std::unique_ptr<Server>> servers;
  auto holders = std::make_shared<cluster::ExpertHolders>();
  for (int node = 0; node < nodes; ++node) {
    ExpertSelection experts;
    for (std::int32_t expert = node; expert < shape.experts; expert += nodes) experts.add({sparse, expert});
    const NodeId name{"server" + std::to_string(node)};
    TROUPE_TRY(auto server, start_server(network, *fabric, clock, name, config, experts));
    servers.push_back(std::move(server));
    holders->push_back({name, experts, 0});
  }
  cluster::ExpertPort port(*fabric, clock, by(timers), {.self = {"engine"}});
  cluster::ExpertDispatchOptions dispatching;
  dispatching.holders = [holders] { return holders; };
  TROUPE_TRY(const auto trunk, model::Model::random(config, seed, ExpertSelection{}, *device));
  TROUPE_TRY(const auto dispatch, cluster::ExpertDispatch::create(trunk, *device, port, clock, by(timers), dispatching, rows));
  ExpertSelection one_layer;
  for (std::int32_t expert = 0; expert < shape.experts; ++expert) one_layer.add({sparse, expert});
  TROUPE_TRY(const auto whole, model::ExpertSlices::random(config, seed, one_layer, *device));
  TROUPE_TRY(const auto local, model::LocalExperts::create(config, whole.weights, *device, rows));

  Layer layer(config, sparse, rows);
  const int warm = std::max(options.layers / 10, 1);
  TROUPE_TRY_DO(time_layers(*local, layer, warm, clock));
  TROUPE_TRY_DO(time_layers(*dispatch, layer, warm, clock));
  const auto before = dispatch->counters();
  const auto served = [&] {
    cluster::ExpertServerCounters sum;
    for (const auto& server : servers) {
      const auto counters = server->server->counters();
      sum.works += counters.works;
      sum.framing += counters.framing;
      sum.computing += counters.computing;
    }
    return sum;
  };
  const auto served_before = served();
  TROUPE_TRY(const auto here, time_layers(*local, layer, options.layers, clock));
  TROUPE_TRY(const auto away, time_layers(*dispatch, layer, options.layers, clock));
  const auto after = dispatch->counters();
  const auto served_after = served();
  if (after.failures > 0) return Error{ErrorCode::unavailable, std::to_string(after.failures) + " messages had no answer"};

  ExpertsMeasurement measured{
      .rows = rows, .nodes = nodes, .here = median(here), .away = median(away), .away_p99 = median(away, 0.99)};
  const auto messages = static_cast<Duration::rep>(served_after.works - served_before.works);
  measured.encoding = (after.encoding - before.encoding) / options.layers;
  measured.sending = (after.sending - before.sending) / options.layers;
  measured.reading = (after.reading - before.reading) / options.layers;
  measured.framing = (served_after.framing - served_before.framing) / messages;
  measured.computing = (served_after.computing - served_before.computing) / messages;
  Duration sum{};
  for (const Duration each : away) sum += each;
  measured.waiting =
      sum / options.layers - measured.encoding - measured.sending - measured.reading - measured.framing - measured.computing;
  return measured;
}

}  // namespace

Result<std::vector<ExpertsMeasurement>> bench_experts(const model::ModelConfig& config, const ExpertsBenchOptions& options,
                                                      const std::function<void(const std::string&)>& progress) {
  if (!config.moe || model::expert_shape(config).sparse.empty()) {
    return Error{ErrorCode::invalid_argument, "the model has no experts; name one with a mixture of experts, such as heavy"};
  }
  std::vector<ExpertsMeasurement> measured;
  for (const int nodes : options.nodes) {
    for (const std::int32_t rows : options.rows) {
      progress(std::to_string(rows) + " rows, " + std::to_string(nodes) + " nodes");
      TROUPE_TRY(const auto one, measure(config, options, rows, nodes));
      measured.push_back(one);
    }
  }
  return measured;
}

}  // namespace troupe::bench
