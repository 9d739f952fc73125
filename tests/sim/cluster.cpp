#include "tests/sim/cluster.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "actors/faulty_replica.hpp"
#include "actors/reader_actor.hpp"
#include "base/check.hpp"
#include "cluster/lease_table.hpp"
#include "storage/conversations.hpp"
#include "storage/copies.hpp"
#include "storage/data_folder.hpp"
#include "tests/sim/faulty_search.hpp"
#include "tests/support/memory_block_disk.hpp"

namespace troupe::sim {

namespace {

using policy::Tier;
using std::chrono::microseconds;
using std::chrono::milliseconds;

std::string address_of(const std::string& name) { return name + ":1"; }

}  // namespace

policy::RoutingPolicy routing_policy(const Drill* drill) {
  policy::RoutingPolicy routing;
  routing.prompt_tokens = {40, 48, prompt_tokens_max};
  routing.recent_tokens = 60;
  routing.passages_max = 3;
  policy::RouteRule streamed;
  streamed.name = "streamed";
  streamed.when.assurance = {policy::Assurance::draft};
  streamed.confidence_min = {0.5, 0.5, 0.5};
  policy::RouteRule checked;
  checked.name = "checked";
  checked.escalate = {Tier::medium, Tier::heavy};
  checked.confidence_min = {0.5, 0.5, 0.5};
  checked.sample = policy::SampleAs::greedy;
  routing.rules = {streamed, checked};
  // Models with random weights are sure of nothing; what they call out of scope is answered as such nevertheless.
  routing.intent.out_of_scope_confidence_min = 0;
  constexpr std::int64_t never_ms = 3'600'000;
  if (drill != nullptr && drill->retrieval) routing.contracts[place_of(policy::Stage::retrieval)] = *drill->retrieval;
  for (policy::Contract& contract : routing.contracts) contract.deadline_ms = drill != nullptr ? drill->deadline_ms : never_ms;
  if (drill != nullptr) routing.when_unsure = drill->when_unsure;
  const auto valid = policy::validate(routing);
  TROUPE_CHECK(valid.has_value(), "the simulation's policy is valid");
  return routing;
}

std::shared_ptr<const actors::IndexedCorpus> make_corpus(std::uint64_t version) {
  constexpr std::array<std::string_view, 12> subjects = {"leave", "travel", "records", "security", "badges", "laptops",
                                                         "meals", "safety", "hiring",  "parking",  "pets",   "phones"};
  std::vector<storage::Section> sections;
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    const std::string subject(subjects[i]);
    sections.push_back({"handbook#" + number, "Handbook §" + number,
                        "What we say about " + subject + " and " + std::string(subjects[(i + 3) % subjects.size()]) +
                            ", in edition " + std::to_string(version + i % 3) + ": ask before " + subject + " is decided."});
  }
  auto corpus = storage::make_corpus(std::move(sections));
  TROUPE_CHECK(corpus.has_value(), "a dozen sections are a corpus");
  return std::make_shared<actors::IndexedCorpus>(*std::move(corpus));
}

SimCluster::SimCluster(World& world, std::vector<policy::ShadowArm> shadows, const Drill* drill)
    : world_(world),
      network_(world, [this](const std::string& name) { return find(name); }),
      hub_({[&world](Duration after, std::function<void()> work) { world.schedule(after, std::move(work)); },
            world.clock().get(), [this](const cluster::LocalOperation& operation) { return trouble(operation); }}),
      homes_(world),
      routing_(std::make_shared<const policy::RoutingPolicy>(routing_policy(drill))),
      shadows_(std::move(shadows)),
      faults_(drill != nullptr ? drill->faults : std::vector<policy::TierFault>()),
      search_fault_(drill != nullptr ? drill->search : std::nullopt) {
  const auto add = [&](std::string name, bool first, std::vector<Tier> tiers) {
    auto node = std::make_unique<Node>();
    node->name = std::move(name);
    node->first = first;
    node->tiers = std::move(tiers);
    nodes_.push_back(std::move(node));
  };
  add("a", true, {Tier::mini});
  add("b", false, {Tier::medium, Tier::heavy});
  add("c", false, {Tier::mini, Tier::medium, Tier::heavy});
}

SimCluster::~SimCluster() {
  for (const auto& node : nodes_) {
    if (node->life) kill(*node, false, 0);
  }
  world_.settle();
  // Links lead from one life's picture of the cluster to the actors of another, and back.
  for (const auto& context : former_) context->cluster.store(std::make_shared<const actors::Cluster>());
}

cluster::LocalFault SimCluster::trouble(const cluster::LocalOperation& operation) {
  Random& random = world_.random();
  const Weather& weather = network_.weather();
  cluster::LocalFault fault;
  fault.delay = world_.between(microseconds(50), milliseconds(5));
  if (operation.kind == cluster::LocalOperation::Kind::message) return fault;
  if (random.chance(weather.late)) fault.delay = world_.between(milliseconds(5), milliseconds(4000));
  // What says that it came whole may have been torn; so may what says that it failed.
  if (random.chance(weather.repeated)) fault.torn_after = random.below(operation.bytes + 1);
  if (random.chance(weather.lost) || network_.are_parted(operation.from.value, operation.to.value)) {
    fault.fails = Error{ErrorCode::unavailable, "the fabric is stormy"};
  }
  return fault;
}

std::shared_ptr<storage::BlockStore> SimCluster::make_block_store(const Weather& weather) {
  constexpr std::size_t level_bytes = std::size_t{64} << 10;
  auto disk = std::make_unique<tests::MemoryBlockDisk>();
  // Few blocks are read back, and some of them shall be wrong.
  disk->spoil(
      [this, spoilt = std::min(0.5F, 5 * weather.repeated)](const policy::BlockId& /*id*/, std::vector<std::byte>& payload) {
        if (world_.random().chance(spoilt)) payload[world_.random().below(payload.size())] ^= std::byte{1};
      });
  // Whoever still waits for a disk when its store has ended waits for nothing.
  const auto here = std::make_shared<std::weak_ptr<storage::BlockStore>>();
  auto store =
      std::make_shared<storage::BlockStore>(storage::BlockStoreLimits{.host_bytes = level_bytes, .disk_bytes = level_bytes},
                                            std::move(disk), [this, here](std::function<void()> work) {
                                              world_.schedule(milliseconds(2), [here, work = std::move(work)] {
                                                if (const auto held = here->lock()) work();
                                              });
                                            });
  *here = store;
  return store;
}

policy::BlockTraffic SimCluster::block_traffic() const {
  policy::BlockTraffic all;
  for (const auto& context : former_) all += context->block_traffic.load();
  for (const auto& node : nodes_) {
    if (node->life) all += node->life->context->block_traffic.load();
  }
  return all;
}

LifePtr SimCluster::find(const std::string& name) const {
  for (const auto& node : nodes_) {
    if (node->name == name) return node->life;
  }
  return nullptr;
}

void SimCluster::start(Node& node) {
  if (node.life) return;
  if (!node.first && !id_) return world_.schedule(milliseconds(100), [this, &node] { start(node); });
  const auto random = world_.entropy()->draw_name<policy::ClusterId>();
  const auto identity = storage::claim(node.disk.store, node.first ? std::nullopt : id_, node.name, random.bytes);
  if (!identity) {
    if (identity.error().code != ErrorCode::io)
      world_.violated(node.name + " cannot claim its disk: " + identity.error().message);
    return world_.schedule(milliseconds(500), [this, &node] { start(node); });
  }
  if (node.first) id_ = identity->cluster;
  node.life = begin_life(node, *identity);
  world_.note(node.name, "life " + std::to_string(identity->incarnation) + " begins");
}

LifePtr SimCluster::begin_life(Node& node, const storage::Identity& identity) {
  const std::uint64_t incarnation = identity.incarnation;
  auto life = std::make_shared<Life>();
  life->node = node.name;
  life->incarnation = incarnation;
  life->journal = std::make_shared<SimJournal>(world_, node.disk, homes_, node.name, incarnation);
  life->context = std::make_shared<actors::NodeContext>();
  actors::NodeContext& context = *life->context;
  context.self = policy::NodeId{node.name};
  context.incarnation = incarnation;
  context.clock = world_.clock();
  context.wall = world_.wall();
  context.entropy = world_.entropy();
  context.journal = life->journal;
  context.routing = routing_;
  context.shadows = shadows_;
  context.corpus.store(make_corpus(node.corpus_version));
  context.log = Log([this, name = node.name](LogLevel, const std::string& line) { world_.note(name, line); });

  auto fabric = hub_.join(context.self);
  TROUPE_CHECK(fabric.has_value(), "a node's former fabric has ended");
  context.fabric = *std::move(fabric);
  context.links = std::make_shared<cluster::FabricLinks>(
      context.self, std::vector<cluster::FabricOffer>{{context.fabric, "sim"}}, context.clock, context.log);

  actors::NodeParts parts;
  parts.cluster = *id_;
  parts.grants_leases = node.first;
  parts.drained = identity.drained;
  for (const auto& other : nodes_) {
    if (!node.first && other->first) parts.seeds.push_back(address_of(other->name));
  }
  parts.cluster_address = address_of(node.name);
  parts.version = "sim";
  for (std::uint32_t index = 0; index < node.tiers.size(); ++index) {
    life->replicas.push_back(std::make_shared<SimReplica>(world_, prompts_, node.name, index, node.tiers[index]));
    parts.replicas.push_back(life->replicas.back());
    for (const policy::TierFault& fault : faults_) {
      if (fault.tier != node.tiers[index]) continue;
      parts.replicas.back() = std::make_shared<actors::FaultyReplica>(
          life->replicas.back(), fault.fault, world_.clock(),
          [this](Duration after, std::function<void()> work) { world_.schedule(after, std::move(work)); });
    }
  }
  parts.block_store = make_block_store(network_.weather());
  parts.memory_in_use = std::make_shared<const std::vector<std::shared_ptr<SimReplica>>>(life->replicas);
  parts.network = network_.seen_by(life);
  if (search_fault_) {
    parts.before_retriever = [this, fault = *search_fault_](const actors::RetrieverActor& retriever) {
      return faulty_search(world_.system(), retriever, fault);
    };
  }
  parts.announce_handles = [weak = std::weak_ptr(life)](const actors::PeerHandles& handles) {
    if (const auto held = weak.lock()) held->handles = handles;
  };
  life->front = actors::make_front(life->context);
  life->actor = world_.system().spawn(actors::node_actor, life->context, std::move(parts));
  return life;
}

void SimCluster::kill(Node& node, bool zombie, std::uint64_t tear) {
  if (!node.life) return;
  const LifePtr life = std::exchange(node.life, nullptr);
  world_.note(node.name,
              "life " + std::to_string(life->incarnation) + " is killed" + (zombie ? ", its writes will land late" : ""));
  life->alive = false;
  life->journal->die();
  // Its actors have yet to hear that they are dead.
  life->context->links.reset();
  life->context->fabric.reset();
  former_.push_back(life->context);
  actors::stop(life->actor);
  life->actor = nullptr;
  life->handles = {};
  life->replicas.clear();
  node.disk.store.crash(tear);
  if (!zombie) return;
  late_.push_back(life->journal);
  const auto land = [this, &node, journal = life->journal](const auto& again) -> void {
    if (!node.life) return world_.schedule(milliseconds(100), [again] { again(again); });
    world_.schedule(world_.between(milliseconds(1), milliseconds(4000)), [this, &node, journal] {
      world_.note(node.name, std::to_string(journal->pending()) + " writes of a former life land");
      journal->land_late();
    });
  };
  world_.schedule(milliseconds(1), [land] { land(land); });
}

void SimCluster::fail_actor(Node& node, std::uint64_t which) {
  if (!node.life) return;
  const actors::PeerHandles& handles = node.life->handles;
  caf::actor victim = caf::actor_cast<caf::actor>(handles.home);
  if (which == 1) victim = caf::actor_cast<caf::actor>(handles.reader);
  if (which == 2 && handles.lease) {
    victim = caf::actor_cast<caf::actor>(handles.lease);
  } else if (which == 3 && handles.kv) {
    victim = caf::actor_cast<caf::actor>(handles.kv);
  } else if (which >= 2 && !handles.engines.empty()) {
    victim = caf::actor_cast<caf::actor>(handles.engines[which % handles.engines.size()]);
  }
  if (!victim) return;
  world_.note(node.name, "an actor fails: " + std::to_string(which));
  caf::anon_send<caf::message_priority::high>(victim, caf::exit_msg{victim.address(), caf::exit_reason::kill});
}

std::shared_ptr<actors::Front> SimCluster::any_front(std::string* name) {
  std::vector<Node*> up;
  for (const auto& node : nodes_) {
    if (node->life) up.push_back(node.get());
  }
  if (up.empty()) return nullptr;
  const Node& chosen = *up[world_.random().below(up.size())];
  if (name != nullptr) *name = chosen.name;
  return chosen.life->front;
}

const storage::Store* SimCluster::store_of(const policy::ConversationId& conversation, bool at_rest) {
  const auto stored = nodes_.front()->disk.store.get(storage::Column::leases, cluster::lease_key(conversation));
  const auto lease =
      stored && *stored ? cluster::decode_lease(**stored) : Result<cluster::LeaseRecord>(Error{ErrorCode::not_found, ""});
  const storage::Store* found = nullptr;
  for (const auto& node : nodes_) {
    const auto record = storage::read_conversation(node->disk.store, conversation);
    if (!record || !*record) continue;
    if (lease && lease->home.value == node->name) {
      found = &node->disk.store;
      continue;
    }
    const auto mark = storage::read_mark(node->disk.store, conversation);
    if (at_rest || !mark || !*mark) {
      world_.violated("conversation " + to_string(conversation) + " is on " + node->name + ", which is not its home");
    }
  }
  return found;
}

}  // namespace troupe::sim
