#include "cli/eval_node.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "cli/ask.hpp"
#include "cli/own_replica.hpp"

namespace troupe::cli {

namespace {

constexpr auto start_patience = std::chrono::seconds(60);
constexpr auto look_again_after = std::chrono::milliseconds(20);
constexpr const char* any_local_port = "127.0.0.1:0";

}  // namespace

Result<std::unique_ptr<EvaluationNode>> EvaluationNode::start(EvaluationNodeOptions options) {
  std::unique_ptr<EvaluationNode> self(new EvaluationNode);
  TROUPE_TRY(self->data_, ScratchFolder::make());
  actors::NodeOptions node;
  node.name = "eval";
  node.data = self->data_->path() / "data";
  node.cluster_address = any_local_port;
  node.fabric = "none";
  node.version = TROUPE_VERSION;
  node.routing = options.routing;
  node.corpus = options.corpus;
  node.find_sections = options.find_sections;
  node.log = Log::to_stderr(LogLevel::warning);
  TROUPE_TRY(node.replicas, self->load(options));
  std::vector<gateway::Listener> listeners;
  TROUPE_TRY(auto listener, gateway::Listener::open(any_local_port));
  node.client_address = listener.address();
  listeners.push_back(std::move(listener));
  TROUPE_TRY(self->node_, actors::Node::start(std::move(node)));
  self->gateway_ = gateway::Gateway::open(self->node_->front(), std::move(listeners));
  self->serving_ = std::thread([gateway = self->gateway_.get()] { gateway->run(); });
  TROUPE_TRY(auto client, ConnectChoice{.addresses = self->gateway_->addresses()}.open());
  self->client_ = std::move(client);
  TROUPE_TRY_DO(self->wait_for(options.routing));
  return self;
}

EvaluationNode::~EvaluationNode() {
  client_.reset();
  if (!serving_.joinable()) return;
  gateway_->stop();
  serving_.join();
}

Result<std::vector<std::shared_ptr<actors::Replica>>> EvaluationNode::load(const EvaluationNodeOptions& options) {
  std::vector<std::shared_ptr<actors::Replica>> replicas;
  const auto& portfolio = options.routing.portfolio;
  for (const policy::Tier tier : portfolio) {
    EngineChoice engine = options.engine;
    if (const std::int64_t own = options.kv_mebibytes[policy::place_of(tier)]; own > 0) engine.kv_mebibytes = own;
    TROUPE_TRY(auto own,
               load_own_replica(options.models[policy::place_of(tier)], tier, static_cast<std::uint32_t>(replicas.size()),
                                portfolio.size() - replicas.size(), options.device, engine, nullptr));
    machine_ = std::move(own.device);
    std::shared_ptr<actors::Replica> replica = std::move(own.replica);
    if (options.recording) replica = std::make_shared<bench::RecordedReplica>(std::move(replica), options.recording);
    replicas.push_back(std::move(replica));
  }
  return replicas;
}

Result<void> EvaluationNode::wait_for(const policy::RoutingPolicy& routing) const {
  const auto until = std::chrono::steady_clock::now() + start_patience;
  for (;;) {
    TROUPE_TRY(const auto models, client_->models());
    const bool all = std::ranges::all_of(routing.portfolio, [&](policy::Tier tier) {
      return std::ranges::any_of(models, [&](const clients::ServedModel& model) { return model.tier == tier; });
    });
    if (all) return {};
    if (interrupted()) return Error{ErrorCode::cancelled, "interrupted while the node started"};
    if (std::chrono::steady_clock::now() > until) {
      return Error{ErrorCode::unavailable, "the node of this process does not serve all its models after " +
                                               std::to_string(start_patience.count()) + " s"};
    }
    std::this_thread::sleep_for(look_again_after);
  }
}

}  // namespace troupe::cli
