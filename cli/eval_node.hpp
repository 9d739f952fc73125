// A node in this process that lives for one evaluation: fresh, with nothing cached, so that what one row of the table has
// computed makes no other row cheaper. Clients reach it as they reach any node; other machines do not reach it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "actors/node.hpp"
#include "base/result.hpp"
#include "bench/recorded_replica.hpp"
#include "cli/command.hpp"
#include "cli/scratch_folder.hpp"
#include "clients/cpp/client.hpp"
#include "gateway/rpc_server.hpp"
#include "policy/routing.hpp"
#include "storage/corpus.hpp"

namespace troupe::cli {

struct EvaluationNodeOptions {
  policy::RoutingPolicy routing;        ///< the node runs all tiers of its portfolio
  policy::PerTier<std::string> models;  ///< a folder or a bundled model's name for each
  std::vector<storage::Section> corpus;
  std::function<std::vector<std::string>(const std::string& question)> find_sections;  ///< of actors::NodeOptions
  DeviceChoice device;
  EngineChoice engine;
  policy::PerTier<std::int64_t> kv_mebibytes{};            ///< of each tier's KV pool; 0: as `engine` says
  std::shared_ptr<const bench::Recording> recording = {};  ///< what is answered by it is not asked of a model; null: nothing is
};

class EvaluationNode {
 public:
  /// Returns when the node serves all its tiers. Ctrl-C ends the wait, and the client's calls later on.
  static Result<std::unique_ptr<EvaluationNode>> start(EvaluationNodeOptions options);
  ~EvaluationNode();
  EvaluationNode(const EvaluationNode&) = delete;
  EvaluationNode& operator=(const EvaluationNode&) = delete;

  const clients::Client& client() const { return *client_; }
  /// What its models compute on: "cpu, avx2, 2 threads".
  const std::string& machine() const { return machine_; }

 private:
  EvaluationNode() = default;
  Result<std::vector<std::shared_ptr<actors::Replica>>> load(const EvaluationNodeOptions& options);
  Result<void> wait_for(const policy::RoutingPolicy& routing) const;

  std::string machine_;
  std::unique_ptr<ScratchFolder> data_;
  std::unique_ptr<actors::Node> node_;
  std::unique_ptr<gateway::Gateway> gateway_;
  std::thread serving_;  // runs the gateway
  std::optional<clients::Client> client_;
};

}  // namespace troupe::cli
