#include "actors/node.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <future>
#include <thread>
#include <utility>

#include "actors/caf_network.hpp"
#include "actors/node_actor.hpp"
#include "actors/reader_actor.hpp"
#include "cluster/ucx_fabric.hpp"
#include "storage/data_folder.hpp"
#include "storage/group_commit.hpp"
#include "storage/node_address.hpp"
#include "storage/rocks_block_disk.hpp"
#include "storage/rocks_store.hpp"

namespace troupe::actors {

namespace {

constexpr auto join_again_after = std::chrono::milliseconds(500);

/// An address to listen on. While this exists, nobody is given its port who asks for any: not even this node, which opens
/// others before it listens there.
class HeldAddress {
 public:
  HeldAddress(HeldAddress&& other) noexcept : text_(std::move(other.text_)), socket_(std::exchange(other.socket_, -1)) {}
  HeldAddress& operator=(HeldAddress&&) = delete;
  ~HeldAddress() {
    if (socket_ >= 0) ::close(socket_);
  }
  /// `text`, with a port that is free if it asks for any. Nobody is told of an address that is somebody else's.
  static Result<HeldAddress> hold(const std::string& text) {
    TROUPE_TRY(const Address address, parse_address(text));
    if (!address.host.starts_with("127.") && address.host != "localhost") {
      return Error{ErrorCode::unsupported,
                   "nodes listen on this machine only (127.0.0.1, localhost) until there are credentials, and " + text +
                       " is elsewhere"};
    }
    HeldAddress held;
    const int reuse = 1;  // as who listens there later: what has just ended, and this, do not count
    sockaddr_in there{};
    there.sin_family = AF_INET;
    there.sin_port = htons(address.port);
    if (::inet_pton(AF_INET, address.host.c_str(), &there.sin_addr) != 1) there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(there);
    const bool found = held.socket_ >= 0 && ::setsockopt(held.socket_, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)) == 0 &&
                       ::bind(held.socket_, reinterpret_cast<sockaddr*>(&there), size) == 0 &&
                       ::getsockname(held.socket_, reinterpret_cast<sockaddr*>(&there), &size) == 0;
    if (!found) {
      return Error{ErrorCode::io,
                   "cannot listen for other nodes on " + text +
                       ": the port is taken, or this machine has no such address; --cluster chooses another one"};
    }
    held.text_ = address.host + ":" + std::to_string(ntohs(there.sin_port));
    return held;
  }
  const std::string& text() const { return text_; }

 private:
  HeldAddress() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}

  std::string text_;
  int socket_;
};

/// The seeds but for the node's own address, which a list for all nodes of a cluster may have; there must be another one.
Result<std::vector<std::string>> without_own(std::vector<std::string> seeds, const std::string& own) {
  const auto named = [](const std::string& text) -> std::optional<std::pair<std::string, std::uint16_t>> {
    const auto address = parse_address(text);
    if (!address || address->port == 0) return std::nullopt;  // 0: any free port
    return std::pair(address->host == "localhost" ? "127.0.0.1" : address->host, address->port);
  };
  const auto here = named(own);
  const bool had_some = !seeds.empty();
  std::erase_if(seeds, [&](const std::string& seed) { return here && named(seed) == here; });
  if (had_some && seeds.empty()) {
    return Error{ErrorCode::invalid_argument, "--join names this node's own --cluster, " + own +
                                                  "; name another node's, or leave it out if this is the first node"};
  }
  return seeds;
}

Result<void> open_fabric(NodeContext& context, const std::string& transports) {
  cluster::UcxOptions options;
  options.transports = transports;
  TROUPE_TRY(context.fabric, cluster::open_ucx_fabric(context.self, {}, options));
  context.links = std::make_shared<cluster::FabricLinks>(context.self, std::vector<cluster::FabricOffer>{{context.fabric, {}}},
                                                         context.clock, context.log);
  return {};
}

/// Which cluster the nodes at `seeds` are, once one of them answers.
Result<policy::ClusterId> ask_for_cluster(Network& network, const NodeOptions& options, const std::string& address) {
  schemas::Hello hello;
  hello.node.id = policy::NodeId{options.name};
  hello.node.cluster_address = address;  // it tells a node that was just killed from another one of the same name
  for (;;) {
    std::string why;
    for (const std::string& seed : options.join) {
      std::promise<Result<Connected>> promise;
      auto answer = promise.get_future();
      network.connect(seed, hello, [&](Result<Connected> connected) { promise.set_value(std::move(connected)); });
      auto connected = answer.get();
      if (connected) return connected->welcome.cluster;
      if (connected.error().code != ErrorCode::unavailable) return connected.error();
      why = connected.error().message;
    }
    if (options.waiting) options.waiting(why);
    std::this_thread::sleep_for(join_again_after);
  }
}

Result<void> write_all(storage::Store& store, const std::vector<storage::WriteBatch>& batches) {
  for (const auto& written : store.write(batches)) TROUPE_TRY_DO(written);
  return {};
}

/// Of the documents that `troupe corpus add` has put there: those have the hashes of their files.
void log_replaced(const Log& log, const storage::CataloguedCorpus& stored) {
  constexpr std::size_t named_max = 8;
  std::string names;
  std::size_t added = 0;
  for (const policy::DocumentEntry& document : stored.documents) {
    if (document.content_hash.empty()) continue;
    if (added++ < named_max) names += (names.empty() ? "" : ", ") + document.name;
  }
  if (added == 0) return;
  log(LogLevel::warning, "the corpus that the node is started with replaces documents that were added to the one before",
      {{"documents", std::to_string(added)}, {"names", names}});
}

/// The corpus that the node shall have from now on, kept in its store; null if it has none.
Result<std::shared_ptr<const IndexedCorpus>> corpus_of(storage::Store& store, NodeOptions& options) {
  auto loaded = storage::load_catalogued(store);
  const bool replaces_damaged = !loaded && loaded.error().code == ErrorCode::corrupt && options.corpus;
  if (!loaded && !replaces_damaged) return loaded.error();
  auto stored = loaded ? *std::move(loaded) : std::nullopt;
  if (options.corpus || !stored) {
    TROUPE_TRY(auto given, storage::make_corpus(std::move(options.corpus ? *options.corpus : options.first_corpus)));
    if (!stored || stored->corpus.version != given.version) {
      if (stored) log_replaced(options.log, *stored);
      TROUPE_TRY_DO(write_all(store, storage::put_corpus(given)));
      stored = storage::catalogued_by_keys(std::move(given));
    }
  }
  // What was replaced, and what a crash has left of a change.
  TROUPE_TRY(const auto forgotten, storage::forget_other_corpora(store));
  TROUPE_TRY_DO(write_all(store, forgotten));
  if (stored->corpus.sections.empty()) return std::shared_ptr<const IndexedCorpus>();
  auto indexed = std::make_shared<const IndexedCorpus>(*std::move(stored), std::move(options.find_sections));
  log_left_out(options.log, *indexed);
  return indexed;
}

/// Null if there shall be none.
Result<std::shared_ptr<storage::BlockStore>> block_store_of(const NodeOptions& options) {
  if (options.kv_host_bytes == 0 && options.kv_disk_bytes == 0) return std::shared_ptr<storage::BlockStore>();
  storage::BlockStoreLimits limits;
  limits.host_bytes = options.kv_host_bytes;
  limits.disk_bytes = options.kv_disk_bytes;
  std::unique_ptr<storage::BlockDisk> disk;
  if (options.kv_disk_bytes > 0) {
    TROUPE_TRY(disk, storage::RocksBlockDisk::open(options.data / "kv", options.kv_disk_bytes));
  }
  return std::make_shared<storage::BlockStore>(limits, std::move(disk));
}

Result<std::shared_ptr<NodeExperts>> open_experts(const NodeContext& context, NodeOptions& options) {
  if (!context.fabric) {
    return Error{ErrorCode::invalid_argument,
                 "experts of other nodes are reached over the fabric, and this node was told to have none "
                 "(--fabric-transports none); let it have one, or start it without a placement"};
  }
  NodeExpertsOptions experts;
  experts.self = context.self;
  experts.fabric = context.fabric;
  experts.links = context.links;
  experts.clock = context.clock;
  experts.first_number = context.incarnation << 32;
  experts.models = std::move(options.expert_models);
  experts.bytes_max = options.expert_bytes_max;
  experts.open_device = options.open_device;
  experts.log = context.log;
  return NodeExperts::create(std::move(experts));
}

}  // namespace

class Node::Parts {
 public:
  caf::actor_system_config config;
  std::unique_ptr<storage::RocksStore> store;
  std::shared_ptr<storage::GroupCommit> journal;
  std::unique_ptr<caf::actor_system> system;
  std::shared_ptr<Network> network;
  NodeContextPtr context;
  NodeActorImpl node;
  std::shared_ptr<Front> front;
  std::string cluster_address;
  std::filesystem::path data;

  std::weak_ptr<const void> memory_in_use;

  /// All actors have ended before anything that they use goes.
  ~Parts() {
    if (!system) return;
    if (node) caf::anon_send_exit(node, caf::exit_reason::user_shutdown);
    node = nullptr;
    front.reset();
    system->await_all_actors_done();
    // What may touch the replicas' memory has been cancelled, and ends within the fabric's grace.
    while (!memory_in_use.expired()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    network.reset();
    context.reset();
    system.reset();
    storage::forget_address(data);
  }
};

Result<std::unique_ptr<Node>> Node::start(NodeOptions options) {
  auto parts = std::make_unique<Parts>();
  TROUPE_TRY(options.join, without_own(std::move(options.join), options.cluster_address));
  TROUPE_TRY(const HeldAddress address, HeldAddress::hold(options.cluster_address));
  parts->cluster_address = address.text();
  TROUPE_TRY(parts->store, storage::RocksStore::open(options.data));
  parts->data = options.data;
  storage::forget_address(options.data);  // an earlier life's
  configure(parts->config);
  parts->system = std::make_unique<caf::actor_system>(parts->config);
  parts->network = make_caf_network(*parts->system);

  auto entropy = std::make_shared<SystemEntropy>();
  std::optional<policy::ClusterId> cluster;
  if (!options.join.empty()) {
    if (auto part = storage::check_part(*parts->store, /*joins=*/true); !part)
      return std::move(part).error().within(options.data.string());
    TROUPE_TRY(cluster, ask_for_cluster(*parts->network, options, parts->cluster_address));
  }
  const auto seconds = static_cast<std::uint64_t>(std::max<std::int64_t>(SystemWallClock().now_ms() / 1000, 1));
  auto identity = storage::claim(*parts->store, cluster, options.name, entropy->draw_name<policy::ClusterId>().bytes, seconds);
  if (!identity) return std::move(identity).error().within(options.data.string());
  TROUPE_TRY(auto corpus, corpus_of(*parts->store, options));

  parts->journal = std::make_shared<storage::GroupCommit>(*parts->store);
  parts->context = std::make_shared<NodeContext>();
  NodeContext& context = *parts->context;
  context.self = identity->node;
  context.incarnation = identity->incarnation;
  context.clock = std::make_shared<SystemClock>();
  context.wall = std::make_shared<SystemWallClock>();
  context.entropy = std::move(entropy);
  context.journal = parts->journal;
  context.routing = std::make_shared<const policy::RoutingPolicy>(options.routing);
  context.shadows = std::move(options.shadows);
  context.log = options.log;
  if (options.fabric != "none") {
    TROUPE_TRY_DO(open_fabric(context, options.fabric));
  }
  if (!options.expert_models.empty()) {
    TROUPE_TRY(context.experts, open_experts(context, options));
  }
  if (options.make_replicas) {
    TROUPE_TRY(options.replicas, options.make_replicas(context.experts));
  }

  NodeParts node;
  node.cluster = identity->cluster;
  node.grants_leases = options.join.empty();
  node.drained = identity->drained;
  node.seeds = std::move(options.join);
  node.cluster_address = parts->cluster_address;
  node.client_address = options.client_address;
  node.version = options.version;
  node.replicas = std::move(options.replicas);
  context.corpus.store(std::move(corpus));
  TROUPE_TRY(node.block_store, block_store_of(options));
  node.memory_in_use = std::make_shared<const int>(0);
  parts->memory_in_use = node.memory_in_use;
  node.network = parts->network;
  node.announce_handles = [system = parts->system.get()](const PeerHandles& handles) { register_handles(*system, handles); };
  parts->node = parts->system->spawn(node_actor, parts->context, std::move(node));
  TROUPE_TRY_DO(publish_node(*parts->system, caf::actor_cast<NodeActor>(parts->node), parts->cluster_address));
  parts->front = make_front(parts->context);
  if (!options.client_address.empty()) {
    const auto written = storage::write_address(options.data, {identity->node, options.client_address});
    if (!written) parts->context->log(LogLevel::warning, "cannot leave its address", {{"why", written.error().message}});
  }
  return std::unique_ptr<Node>(new Node(std::move(parts)));
}

Node::Node(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Node::~Node() = default;
Front& Node::front() { return *parts_->front; }
const std::string& Node::cluster_address() const { return parts_->cluster_address; }
void Node::drain() { caf::anon_send(parts_->node, BeginDraining{}); }
std::size_t Node::corpus_sections() const {
  const auto corpus = parts_->context->corpus.load();
  return corpus ? corpus->corpus.sections.size() : 0;
}
std::int32_t Node::turns() const { return parts_->context->turns.load(); }

}  // namespace troupe::actors
