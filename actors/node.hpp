// A whole node in this process: its data folder, its models, its actors, and the front through which everything else in the
// process talks to the troupe. What `troupe node` runs, and benchmarks and tests of several processes build on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/front.hpp"
#include "actors/node_experts.hpp"
#include "actors/replica.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "policy/routing.hpp"
#include "policy/shadow.hpp"
#include "storage/corpus.hpp"

namespace troupe::actors {

struct NodeOptions {
  std::string name;                                ///< unique in the cluster, and the same at every start
  std::filesystem::path data;                      ///< made if it is not there
  std::string cluster_address = "127.0.0.1:7500";  ///< where other nodes connect; port 0: any
  std::vector<std::string> join;                   ///< addresses of other nodes; none: this is the cluster's first
  std::string client_address;                      ///< where clients connect, as other nodes should know it
  /// What bulk bytes may travel by, as in UCX's setting UCX_TLS: "all", "tcp", "rc,tcp"; "none": no fabric, others do without.
  std::string fabric = "all";
  std::string version;  ///< of this program, for operators
  policy::RoutingPolicy routing;
  std::vector<policy::ShadowArm> shadows;  ///< one for each of the policy's experiments
  /// Replaces the corpus of the data folder; empty: there shall be none. Not given: what the folder has stays.
  std::optional<std::vector<storage::Section>> corpus;
  /// Finds the keys of the corpus's sections that belong to a question, the best first, in place of the node's own search: for
  /// questions that come with their sources. Any thread may call it. Empty: the corpus is searched.
  std::function<std::vector<std::string>(const std::string& question)> find_sections;
  std::size_t kv_host_bytes = 0;               ///< of host memory for KV blocks that the replicas evict; 0: none
  std::size_t kv_disk_bytes = 0;               ///< the same on the disk, below the data folder
  std::vector<storage::Section> first_corpus;  ///< of a data folder that was never given one
  /// Of the models whose experts are placed on nodes; none: this node has nothing to do with experts of other nodes.
  std::vector<ExpertModel> expert_models;
  std::size_t expert_bytes_max = 0;                                       ///< of experts on this node
  std::function<Result<std::unique_ptr<kernels::Device>>()> open_device;  ///< for experts; needed if there are such models
  std::vector<std::shared_ptr<Replica>> replicas;                         ///< their index is their place
  /// Makes the replicas if those need the node's experts. Called once, before the node takes part in its cluster; null experts
  /// if there are no such models.
  std::function<Result<std::vector<std::shared_ptr<Replica>>>(const std::shared_ptr<NodeExperts>& experts)> make_replicas;
  Log log;
  /// Told while the node waits for the cluster that it joins: what it waits for. May be empty.
  std::function<void(const std::string&)> waiting;
};

class Node {
 public:
  /// The node is joining when this returns, and serves a moment later. Errors: the data folder is another node's or cluster's,
  /// is in use or damaged; the address is taken; the cluster refuses the node.
  static Result<std::unique_ptr<Node>> start(NodeOptions options);
  /// Stops at once; what was accepted is durable and is taken up at the next start.
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  Front& front();
  /// "host:port" where other nodes connect, with the port that was found.
  const std::string& cluster_address() const;
  /// Takes no new conversations from now on; others know.
  void drain();
  std::size_t corpus_sections() const;
  /// Turns accepted here that have not ended.
  std::int32_t turns() const;

 private:
  class Parts;
  explicit Node(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace troupe::actors
