#include "actors/node_actor.hpp"

#include <algorithm>
#include <utility>

#include "actors/engine_actor.hpp"
#include "actors/home_actor.hpp"
#include "actors/kv_shard_actor.hpp"
#include "actors/lease_actor.hpp"
#include "actors/reader_actor.hpp"
#include "actors/retriever_actor.hpp"
#include "actors/router_actor.hpp"
#include "actors/shadow_actor.hpp"
#include "actors/summarizer_actor.hpp"
#include "policy/drain.hpp"
#include "storage/data_folder.hpp"

namespace troupe::actors {

namespace {
constexpr Duration keep_every = std::chrono::seconds(2);
constexpr Duration keep_again_after = std::chrono::milliseconds(200);
constexpr Duration trouble_again_after = std::chrono::minutes(1);  ///< the same trouble is told of
constexpr Duration keep_timeout = std::chrono::seconds(1);
/// Clocks of two machines do not run equally fast.
constexpr Duration safety = std::chrono::milliseconds(500);
constexpr Duration restart_after = std::chrono::milliseconds(100);
constexpr Duration drain_timeout = std::chrono::seconds(2);
constexpr Duration drain_known_after = std::chrono::seconds(2);  ///< its announcements have come by then
}  // namespace

NodeActorState::~NodeActorState() {
  for (const auto& [address, start_again] : children_) stop(caf::actor_cast<caf::actor>(address));
}

NodeActorImpl::behavior_type NodeActorState::start(NodeContextPtr context, NodeParts parts) {
  context_ = std::move(context);
  parts_ = std::make_shared<const NodeParts>(std::move(parts));
  install_defaults(self_);
  self_->set_down_handler([this](const caf::down_msg& down) { on_down(down); });
  context_->leaving = parts_->drained;
  handles_.node = self_;
  handles_.engines.resize(parts_->replicas.size());
  start_directory();
  if (parts_->grants_leases) start_lease();
  start_services();
  start_reader();
  start_kv_shard();
  for (std::size_t index = 0; index < parts_->replicas.size(); ++index) start_engine(index);
  if (context_->experts) start_experts();
  keep_session();
  return {
      [this](const schemas::Hello& hello) -> caf::result<schemas::Welcome> { return self_->delegate(directory_, hello); },
      [this](const schemas::Announce& announce) {
        const bool known = announce.node.state == policy::NodeState::draining;
        if (known && drain_permitted_ && drain_permitted_->node == announce.node.id) drain_permitted_.reset();
        self_->send(directory_, announce);
      },
      [this](const schemas::NodeDrain& drain) { return on_drain(drain); },
      [this](const schemas::NodeJoin& join) { return on_join(join); },
      [this](const schemas::ExpertLoad& load) -> caf::result<schemas::ExpertLoaded> {
        if (experts_) return self_->delegate(experts_, load);
        return to_caf({ErrorCode::unsupported, "node " + context_->self.value + " was started without a placement of experts"});
      },
      [this](BeginDraining) {
        context_->draining = true;
        node_state_->store(policy::NodeState::draining);
        context_->log(LogLevel::info, "draining");
      },
      [](const Continuation& next) { next.run(); },
      [this](const FrontSearchCorpus& search) { self_->send(services_.retriever, search); },
      [this](const FrontChangeCorpus& change) { change_corpus(change); },
  };
}

template <class Handle>
void NodeActorState::supervise(const Handle& actor, std::function<void()> start_again) {
  self_->monitor(actor);
  children_[actor.address()] = std::move(start_again);
}

void NodeActorState::on_down(const caf::down_msg& down) {
  const auto child = children_.find(down.source);
  if (child == children_.end()) return;
  const auto start_again = child->second;
  children_.erase(child);
  context_->log(LogLevel::error, "an actor of the node has failed and is started again",
                {{"why", from_caf(down.reason, "it failed").message}});
  after(self_, restart_after, start_again);
}

void NodeActorState::start_directory() {
  DirectoryConfig config;
  config.cluster = parts_->cluster;
  config.seeds = parts_->seeds;
  config.network = parts_->network;
  describe_ = [context = context_.get(), parts = parts_, state = node_state_] {
    policy::NodeView view;
    view.id = context->self;
    view.incarnation = context->incarnation;
    view.state = state->load();
    view.cluster_address = parts->cluster_address;
    view.client_address = parts->client_address;
    view.leases = parts->grants_leases;
    view.version = parts->version;
    view.conversations = context->conversations.load();
    view.turns = context->turns.load();
    if (const auto corpus = context->corpus.load()) {
      view.corpus_version = corpus->corpus.version;
      view.corpus_sections = static_cast<std::int32_t>(corpus->corpus.sections.size());
    }
    for (const auto& replica : parts->replicas) view.replicas.push_back(replica->view());
    view.conversations_stored = context->stored.load();
    view.blocks = context->block_traffic.load();
    view.contracts = context->contracts.load();
    if (context->links) {
      view.transports = context->links->transports();
      view.links = context->links->links();
    }
    if (context->experts) {
      view.experts = context->experts->views();
      view.expert_bytes_free = context->experts->bytes_free();
      view.experts_alone = context->experts_alone.load();
    }
    return view;
  };
  config.describe = describe_;
  directory_ = caf::actor_cast<DirectoryActor>(self_->spawn(directory_actor, context_, std::move(config)));
  supervise(directory_, [this] {
    start_directory();
    publish();
  });
}

void NodeActorState::start_lease() {
  handles_.lease = caf::actor_cast<LeaseActor>(self_->spawn(lease_actor, context_));
  supervise(handles_.lease, [this] { start_lease(); });
  publish();
}

void NodeActorState::start_services() {
  services_.router = caf::actor_cast<RouterActor>(self_->spawn(router_actor, context_));
  services_.summarizer = caf::actor_cast<SummarizerActor>(self_->spawn(summarizer_actor, context_));
  if (!context_->shadows.empty()) services_.shadow = caf::actor_cast<ShadowActor>(self_->spawn(shadow_actor, context_));
  services_.retriever = caf::actor_cast<RetrieverActor>(self_->spawn(retriever_actor, context_));
  if (parts_->before_retriever) services_.retriever = parts_->before_retriever(services_.retriever);
  const auto home = self_->spawn(home_actor, context_, services_);
  handles_.home = caf::actor_cast<HomeActor>(home);
  drain_ = caf::actor_cast<DrainActor>(self_->spawn(drain_actor, context_, caf::actor_cast<HomeActorImpl>(home)));
  // If one of them ends, the others are ended with it, and the home's end starts all again.
  self_->monitor(handles_.home);
  children_[handles_.home.address()] = [this] {
    stop(services_.router);
    stop(services_.summarizer);
    stop(services_.retriever);
    stop(services_.shadow);
    stop(drain_);
    start_services();
  };
  const auto end_home = [this, home = handles_.home] { stop(home); };
  supervise(drain_, end_home);
  supervise(services_.router, end_home);
  supervise(services_.summarizer, end_home);
  supervise(services_.retriever, end_home);
  if (services_.shadow) supervise(services_.shadow, end_home);
  publish();
}

void NodeActorState::start_reader() {
  handles_.reader = caf::actor_cast<ReaderActor>(self_->spawn(reader_actor, context_));
  supervise(handles_.reader, [this] { start_reader(); });
  publish();
}

void NodeActorState::start_kv_shard() {
  const KvShardParts parts{parts_->replicas, parts_->block_store, parts_->memory_in_use};
  handles_.kv = caf::actor_cast<KvShardActor>(self_->spawn(kv_shard_actor, context_, parts));
  supervise(handles_.kv, [this] { start_kv_shard(); });
  publish();
}

void NodeActorState::start_engine(std::size_t index) {
  handles_.engines[index] = caf::actor_cast<EngineActor>(self_->spawn(engine_actor, context_, parts_->replicas[index]));
  supervise(handles_.engines[index], [this, index] { start_engine(index); });
  publish();
}

void NodeActorState::start_experts() {
  experts_ = caf::actor_cast<ExpertActor>(self_->spawn(expert_actor, context_, context_->experts));
  supervise(experts_, [this] { start_experts(); });
}

void NodeActorState::change_corpus(const FrontChangeCorpus& change) {
  if (!corpus_) {
    corpus_ = caf::actor_cast<CorpusActor>(self_->spawn<caf::detached>(corpus_actor, context_));
    supervise(corpus_, [this] { corpus_ = CorpusActor(); });
  }
  self_->send(corpus_, change);
}

void NodeActorState::publish() {
  self_->send(directory_, LocalHandles{handles_});
  if (parts_->announce_handles) parts_->announce_handles(handles_);
}

void NodeActorState::keep_session() {
  const auto cluster = context_->cluster.load();
  const Peer* holder = cluster->lease_holder();
  if (holder == nullptr || !holder->handles.lease) return after(self_, keep_again_after, [this] { keep_session(); });
  const TimePoint sent = context_->clock->now();
  self_->request(holder->handles.lease, keep_timeout, schemas::LeaseKeep{context_->self, context_->incarnation})
      .then(
          [this, sent](const schemas::LeaseKept& kept) {
            session_trouble_.clear();
            context_->session.extend(sent + std::chrono::milliseconds(kept.valid_ms) - safety);
            auto joining = policy::NodeState::joining;
            const auto begins_as = context_->leaving ? policy::NodeState::draining : policy::NodeState::serving;
            if (node_state_->compare_exchange_strong(joining, begins_as)) {
              context_->log(LogLevel::info, to_string(begins_as), {{"node", context_->self.value}});
            }
            after(self_, keep_every, [this] { keep_session(); });
          },
          [this](caf::error& error) {
            std::string why = from_caf(error, "asking the lease service").message;
            const TimePoint now = context_->clock->now();
            if (why != session_trouble_ || now - trouble_told_ >= trouble_again_after) {
              context_->log(LogLevel::warning, "cannot keep the session", {{"why", why}});
              session_trouble_ = std::move(why);
              trouble_told_ = now;
            }
            after(self_, keep_again_after, [this] { keep_session(); });
          });
}

// Out of the cluster's work, and back.

caf::result<schemas::Announce> NodeActorState::on_drain(const schemas::NodeDrain& drain) {
  if (drain.node != context_->self || parts_->grants_leases) return pass_on(drain);
  if (context_->draining) return to_caf({ErrorCode::unavailable, "node " + context_->self.value + " is about to end"});
  return set_leaving(true);
}

caf::result<schemas::Announce> NodeActorState::pass_on(const schemas::NodeDrain& drain) {
  if (!parts_->grants_leases) {
    return to_caf({ErrorCode::unavailable, "node " + context_->self.value +
                                               " does not grant the leases, and cannot say whether node " + drain.node.value +
                                               " may be drained"});
  }
  const auto cluster = context_->cluster.load();
  auto views = views_of(*cluster);
  const TimePoint now = context_->clock->now();
  for (policy::NodeView& view : views) {
    const bool permitted =
        drain_permitted_ && drain_permitted_->node == view.id && now - drain_permitted_->at < drain_known_after;
    if (!permitted || view.state != policy::NodeState::serving) continue;
    view.state = policy::NodeState::draining;
    view.conversations_stored = std::max(view.conversations_stored, 1);  // what it holds nobody has told yet
  }
  if (const auto may = policy::check_drain(views, drain.node); !may) return to_caf(may.error());
  const Peer* peer = cluster->find(drain.node);
  if (peer == nullptr || !peer->handles.node) {
    return to_caf({ErrorCode::unavailable, "node " + drain.node.value + " cannot be reached"});
  }
  if (peer->view.state != policy::NodeState::draining) drain_permitted_ = Permitted{drain.node, now};
  return self_->delegate(peer->handles.node, drain);
}

caf::result<schemas::Announce> NodeActorState::on_join(const schemas::NodeJoin& join) {
  if (join.node != context_->self) {
    return to_caf({ErrorCode::invalid_argument, "this is node " + context_->self.value + ", not " + join.node.value});
  }
  if (context_->draining) return to_caf({ErrorCode::unavailable, "node " + context_->self.value + " is about to end"});
  return set_leaving(false);
}

caf::result<schemas::Announce> NodeActorState::set_leaving(bool leaving) {
  auto promise = self_->make_response_promise<schemas::Announce>();
  context_->journal->commit(
      storage::put_drained(leaving),
      resume(self_, std::function<void(Result<void>)>([this, leaving, promise](const Result<void>& written) mutable {
               if (!written) {
                 promise.deliver(to_caf(written.error()));
                 return;
               }
               if (context_->leaving.exchange(leaving) != leaving) {
                 context_->log(LogLevel::info, leaving ? "is drained" : "joins again", {{"node", context_->self.value}});
               }
               auto before = leaving ? policy::NodeState::serving : policy::NodeState::draining;
               if (!context_->draining) {
                 node_state_->compare_exchange_strong(before,
                                                      leaving ? policy::NodeState::draining : policy::NodeState::serving);
               }
               promise.deliver(schemas::Announce{describe()});
             })));
  return promise;
}

NodeActorImpl::behavior_type node_actor(NodeActorImpl::stateful_pointer<NodeActorState> self, NodeContextPtr context,
                                        NodeParts parts) {
  return self->state.start(std::move(context), std::move(parts));
}

}  // namespace troupe::actors
