// The front of a node: its calls become messages to the node's reader actor.
#include <atomic>
#include <utility>

#include "actors/node_actor.hpp"
#include "actors/reader_actor.hpp"
#include "storage/shadow_log.hpp"

namespace troupe::actors {

namespace {

class ActorReader final : public Reader {
 public:
  ActorReader(ReaderActorImpl actor, std::uint64_t number) : actor_(std::move(actor)), number_(number) {}
  ~ActorReader() override { caf::anon_send(actor_, FrontLeave{number_}); }
  ActorReader(const ActorReader&) = delete;
  ActorReader& operator=(const ActorReader&) = delete;
  void more(std::uint32_t credit) override { caf::anon_send(actor_, FrontMore{number_, credit}); }

 private:
  ReaderActorImpl actor_;
  std::uint64_t number_;
};

/// For a node whose reader actor is just being started.
class NoReader final : public Reader {
 public:
  void more(std::uint32_t /*credit*/) override {}
};

class ActorFront final : public Front {
 public:
  explicit ActorFront(NodeContextPtr context) : context_(std::move(context)) {}

  void cluster(Reply<policy::ClusterView> reply) override {
    const auto cluster = context_->cluster.load();
    policy::ClusterView view{cluster->id, cluster->self, {}};
    for (const Peer& peer : cluster->peers) view.nodes.push_back(peer.view);
    reply(std::move(view));
  }
  void drain(policy::NodeId node, Reply<policy::NodeView> reply) override { send(FrontDrain{std::move(node), reply}, reply); }
  void join(policy::NodeId node, Reply<policy::NodeView> reply) override { send(FrontJoin{std::move(node), reply}, reply); }
  void open(std::optional<policy::ConversationId> id, Reply<OpenedConversation> reply) override {
    send(FrontOpen{id, reply}, reply);
  }
  void ask(policy::ConversationId conversation, policy::Ask ask, Reply<policy::TurnId> reply) override {
    send(FrontAsk{conversation, std::move(ask), reply}, reply);
  }
  std::unique_ptr<Reader> follow(Following following, std::uint32_t credit, OnEvents on_events) override {
    const std::uint64_t number = ++last_reader_;
    const ReaderActorImpl actor = reader();
    if (!actor) {
      on_events(starting());
      return std::make_unique<NoReader>();
    }
    caf::anon_send(actor, FrontFollow{number, following, credit, std::move(on_events)});
    return std::make_unique<ActorReader>(actor, number);
  }
  void cancel(policy::TurnId turn, Reply<void> reply) override { send(FrontCancel{turn, reply}, reply); }
  void history(policy::ConversationId conversation, std::uint32_t from, std::uint32_t limit,
               Reply<HistoryPage> reply) override {
    send(FrontHistory{conversation, from, limit, reply}, reply);
  }
  void pin(policy::ConversationId conversation, policy::PinChange change, Reply<policy::Pins> reply) override {
    send(FrontPin{conversation, std::move(change), reply}, reply);
  }
  void turn(policy::TurnId turn, Reply<policy::Turn> reply) override { send(FrontTurn{turn, reply}, reply); }
  void shadows(policy::ShadowQuery query, Reply<policy::ShadowPage> reply) override {
    context_->journal->read([context = context_, query = std::move(query), reply](const storage::Store& store) {
      auto page = storage::read_shadows(store, query);
      if (!page) return reply(page.error());
      for (const policy::ShadowArm& arm : context->shadows) {
        page->running.push_back({arm.experiment.name, arm.experiment.share, policy::sentence_of(arm.experiment)});
      }
      reply(std::move(page));
    });
  }
  void documents(std::uint32_t from, std::uint32_t limit, Reply<policy::DocumentPage> reply) override {
    const auto corpus = context_->corpus.load();
    reply(corpus ? corpus->page(from, limit) : policy::DocumentPage{});
  }
  void search_corpus(std::string question, std::uint32_t limit, Reply<policy::SearchHits> reply) override {
    send_node(FrontSearchCorpus{std::move(question), limit, reply}, reply);
  }
  void change_corpus(std::shared_ptr<const policy::CorpusChange> change, Reply<policy::CorpusView> reply) override {
    send_node(FrontChangeCorpus{std::move(change), reply}, reply);
  }

 private:
  static Error starting() { return {ErrorCode::unavailable, "the node is starting; try again in a moment"}; }

  ReaderActorImpl reader() const {
    const auto cluster = context_->cluster.load();
    const Peer* self = cluster->find(context_->self);
    return self == nullptr ? ReaderActorImpl{} : caf::actor_cast<ReaderActorImpl>(self->handles.reader);
  }
  template <class Message, class ReplyTo>
  void send(Message message, const ReplyTo& reply) {
    if (const ReaderActorImpl actor = reader()) {
      caf::anon_send(actor, std::move(message));
    } else {
      reply(starting());
    }
  }

  template <class Message, class ReplyTo>
  void send_node(Message message, const ReplyTo& reply) {
    const auto cluster = context_->cluster.load();
    const Peer* self = cluster->find(context_->self);
    if (self == nullptr || !self->handles.node) return reply(starting());
    caf::anon_send(caf::actor_cast<NodeActorImpl>(self->handles.node), std::move(message));
  }

  NodeContextPtr context_;
  std::atomic<std::uint64_t> last_reader_{0};
};

}  // namespace

std::shared_ptr<Front> make_front(NodeContextPtr context) { return std::make_shared<ActorFront>(std::move(context)); }

}  // namespace troupe::actors
