// A troupe in memory: conversations whose turns are answered with numbered words by a thread of its own. Credits are respected;
// how far answers come, and which calls fail, is up to the test.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "actors/front.hpp"
#include "base/check.hpp"
#include "gateway/rpc_server.hpp"

namespace troupe {

class MemoryFront final : public actors::Front {
  // Declared before they are used, since their types are deduced.
  template <class Look>
  auto locked(const Look& look) const {
    const std::lock_guard lock(mutex_);
    return look();
  }
  template <class Change>
  void change(const Change& change_it) {
    {
      const std::lock_guard lock(mutex_);
      change_it();
    }
    changed_.notify_all();
  }

 public:
  MemoryFront() : thread_([this] { work(); }) {}
  ~MemoryFront() override {
    change([&] { stopping_ = true; });
    thread_.join();
  }

  /// Answers stop after so many words until `go_on`.
  void stop_after(std::size_t words) {
    change([&] { words_allowed_ = words; });
  }
  void go_on() { stop_after(std::numeric_limits<std::size_t>::max()); }
  /// Every ask, follow and history is refused so; none: as usual.
  void refuse(std::optional<Error> why) {
    change([&] { refusal_ = std::move(why); });
  }
  /// Asks are accepted, but the reply never comes.
  void fall_silent() {
    change([&] { silent_ = true; });
  }

  std::size_t readers() const {
    return locked([&] { return readers_.size(); });
  }
  std::size_t asks() const {
    return locked([&] { return asks_; });
  }
  /// Events that all readers were handed.
  std::size_t handed() const {
    return locked([&] { return handed_; });
  }
  /// Waits until it is so, looking again whenever something has changed; false after ten seconds.
  bool eventually(const std::function<bool(const MemoryFront&)>& is_so) const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!is_so(*this)) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }

  /// Only "b" may be drained, as in a cluster whose first node is "a".
  void drain(policy::NodeId node, actors::Reply<policy::NodeView> reply) override {
    set_drained(std::move(node), true, std::move(reply));
  }
  void join(policy::NodeId node, actors::Reply<policy::NodeView> reply) override {
    set_drained(std::move(node), false, std::move(reply));
  }
  void cluster(actors::Reply<policy::ClusterView> reply) override {
    policy::ClusterView view;
    view.id.bytes.fill(7);
    view.self.value = "a";
    policy::NodeView node;
    node.id.value = "a";
    node.state = policy::NodeState::serving;
    node.client_address = "127.0.0.1:7400";
    policy::ReplicaView replica;
    replica.tier = policy::Tier::medium;
    replica.model_name = "words";
    replica.model = {std::string(64, 'a'), "cpu-f32-v1"};
    replica.context_max = 2048;
    node.replicas = {replica, replica};
    view.nodes = {node, node};
    view.nodes[1].id.value = "b";
    if (locked([&] { return drained_; })) view.nodes[1].state = policy::NodeState::draining;
    reply(std::move(view));
  }

  void open(std::optional<policy::ConversationId> id, actors::Reply<actors::OpenedConversation> reply) override {
    Result<actors::OpenedConversation> opened = locked([&]() -> Result<actors::OpenedConversation> {
      if (!id) {
        policy::ConversationId fresh;
        fresh.bytes[0] = static_cast<std::uint8_t>(conversations_.size() + 1);
        conversations_[fresh];
        return actors::OpenedConversation{fresh, "a", 0};
      }
      const auto known = conversations_.find(*id);
      if (known == conversations_.end()) return Error{ErrorCode::not_found, "there is no conversation " + to_string(*id)};
      return actors::OpenedConversation{*id, "a", static_cast<std::uint32_t>(known->second.size())};
    });
    reply(std::move(opened));
  }

  void pin(policy::ConversationId conversation, policy::PinChange change, actors::Reply<policy::Pins> reply) override {
    auto pins = locked([&]() -> Result<policy::Pins> {
      TROUPE_TRY(pins_[conversation], policy::changed(pins_[conversation], change));
      return pins_[conversation];
    });
    reply(std::move(pins));
  }
  void ask(policy::ConversationId conversation, policy::Ask ask, actors::Reply<policy::TurnId> reply) override {
    bool answers = true;
    Result<policy::TurnId> accepted = locked([&]() -> Result<policy::TurnId> {
      if (refusal_) return *refusal_;
      answers = !silent_;
      ++asks_;
      auto& turns = conversations_[conversation];
      for (const auto& turn : turns) {
        if (turn->turn.ask.idempotency_key == ask.idempotency_key) return turn->turn.id;
      }
      auto turn = std::make_unique<Words>();
      turn->turn.id = {conversation, static_cast<std::uint32_t>(turns.size() + 1)};
      turn->events = {{0, policy::AcceptedEvent{ask.question}},
                      {1, policy::AttemptEvent{0, policy::Tier::medium, "only tier"}}};
      turn->turn.ask = std::move(ask);
      turn->turn.attempts.emplace_back().plan.prompt = {1, 2, 3};
      turns.push_back(std::move(turn));
      return turns.back()->turn.id;
    });
    changed_.notify_all();
    if (!answers) return withhold(std::move(reply));
    reply(std::move(accepted));
  }

  std::unique_ptr<actors::Reader> follow(actors::Following following, std::uint32_t credit,
                                         actors::OnEvents on_events) override {
    auto reader = std::make_shared<Follower>(Follower{std::move(following), credit, std::move(on_events), 0, std::nullopt});
    change([&] {
      if (refusal_) reader->problem = *refusal_;
      readers_.push_back(reader);
    });
    return std::make_unique<Hold>(*this, std::move(reader));
  }

  void cancel(policy::TurnId id, actors::Reply<void> reply) override {
    if (locked([&] { return silent_; })) return withhold(std::move(reply));
    change([&] {
      Words* turn = find(id);
      if (turn == nullptr || turn->turn.outcome) return;
      const std::uint64_t number = 2 + static_cast<std::uint64_t>(turn->turn.ask.tokens_max);
      turn->events.push_back({number, policy::FailedEvent{"cancelled", "the client asked for it"}});
      turn->turn.outcome = policy::TurnOutcome{};
    });
    reply({});
  }

  void history(policy::ConversationId conversation, std::uint32_t from, std::uint32_t limit,
               actors::Reply<actors::HistoryPage> reply) override {
    Result<actors::HistoryPage> page = locked([&]() -> Result<actors::HistoryPage> {
      if (refusal_) return *refusal_;
      actors::HistoryPage found;
      for (const auto& turn : conversations_[conversation]) {
        if (turn->turn.id.number < from) continue;
        if (found.turns.size() == limit) {
          found.more = true;
          break;
        }
        found.turns.push_back(turn->turn);
      }
      return found;
    });
    reply(std::move(page));
  }

  void turn(policy::TurnId id, actors::Reply<policy::Turn> reply) override {
    Result<policy::Turn> found = locked([&]() -> Result<policy::Turn> {
      const Words* turn = find(id);
      if (turn == nullptr) return Error{ErrorCode::not_found, "there is no turn " + to_string(id)};
      return turn->turn;
    });
    reply(std::move(found));
  }

  /// Two records of one experiment.
  void shadows(policy::ShadowQuery query, actors::Reply<policy::ShadowPage> reply) override {
    policy::ShadowPage page;
    for (std::uint64_t number = std::max<std::uint64_t>(query.from, 1); number <= 2; ++number) {
      policy::ShadowRecord record;
      record.experiment = "words";
      record.turn.conversation.bytes.fill(9);
      record.turn.number = static_cast<std::uint32_t>(number);
      record.client.tiers = {policy::Tier::mini};
      if (query.texts) record.client.text = "yes";
      page.records.push_back({number, record});
    }
    page.next = 3;
    page.running = {{"words", 0.5, "0.5 of the turns: heavy, alone"}};
    reply(std::move(page));
  }

  /// The version is how often it was changed. A search finds the sections that have the whole question.
  void documents(std::uint32_t from, std::uint32_t limit, actors::Reply<policy::DocumentPage> reply) override {
    reply(locked([&] {
      policy::DocumentPage page;
      page.version = std::to_string(corpus_changes_);
      for (std::size_t i = from; i < documents_.size() && page.documents.size() < limit; ++i) {
        const policy::Document& document = documents_[i];
        page.documents.push_back({document.name, document.content_hash, static_cast<std::uint32_t>(document.sections.size())});
      }
      page.more = from + page.documents.size() < documents_.size();
      return page;
    }));
  }
  void search_corpus(std::string question, std::uint32_t limit, actors::Reply<policy::SearchHits> reply) override {
    reply(locked([&] {
      policy::SearchHits hits;
      hits.evidence.covered = 0.5;
      for (const policy::Document& document : documents_) {
        for (const policy::Section& section : document.sections) {
          if (section.text.find(question) != std::string::npos && hits.hits.size() < limit)
            hits.hits.push_back({section, "a#1"});
        }
      }
      return hits;
    }));
  }
  void change_corpus(std::shared_ptr<const policy::CorpusChange> change_it, actors::Reply<policy::CorpusView> reply) override {
    auto view = locked([&]() -> Result<policy::CorpusView> {
      if (refusal_) return *refusal_;
      TROUPE_TRY(documents_, policy::changed(documents_, *change_it));
      ++corpus_changes_;
      std::size_t sections = 0;
      for (const policy::Document& document : documents_) sections += document.sections.size();
      return policy::CorpusView{"a", std::to_string(corpus_changes_), static_cast<std::uint32_t>(documents_.size()),
                                static_cast<std::uint32_t>(sections)};
    });
    if (locked([&] { return silent_; })) return withhold(std::move(reply));
    reply(std::move(view));
  }
  std::vector<policy::Document> stored_documents() const {
    return locked([&] { return documents_; });
  }

 private:
  void set_drained(policy::NodeId node, bool drained, const actors::Reply<policy::NodeView>& reply) {
    if (node.value != "b") return reply(Error{ErrorCode::unsupported, "node " + node.value + " cannot be drained"});
    change([&] { drained_ = drained; });
    policy::NodeView view;
    view.id = std::move(node);
    view.state = drained ? policy::NodeState::draining : policy::NodeState::serving;
    view.conversations_stored = 3;
    reply(std::move(view));
  }

  /// A turn and its events so far.
  struct Words {
    policy::Turn turn;
    std::vector<policy::TurnEvent> events;
  };
  struct Follower {
    actors::Following following;
    std::uint32_t credit;
    actors::OnEvents on_events;
    std::size_t next;  ///< in the turn's events
    std::optional<Error> problem;
  };
  class Hold final : public actors::Reader {
   public:
    Hold(MemoryFront& front, std::shared_ptr<Follower> reader) : front_(front), reader_(std::move(reader)) {}
    ~Hold() override {
      front_.change([&] { front_.readers_.remove(reader_); });
    }
    void more(std::uint32_t credit) override {
      front_.change([&] { reader_->credit += credit; });
    }

   private:
    MemoryFront& front_;
    std::shared_ptr<Follower> reader_;
  };

  Words* find(const policy::TurnId& id) const {
    const auto conversation = conversations_.find(id.conversation);
    if (conversation == conversations_.end()) return nullptr;
    for (const auto& turn : conversation->second) {
      if (turn->turn.id == id) return turn.get();
    }
    return nullptr;
  }

  /// One more word, or the end; whether there was something to do.
  bool grow(Words& turn) const {
    if (turn.turn.outcome) return false;
    const auto said = static_cast<std::int32_t>(turn.events.size()) - 2;
    if (static_cast<std::size_t>(said) >= words_allowed_) return false;
    const std::uint64_t number = turn.events.back().number + 1;
    if (said < turn.turn.ask.tokens_max) {
      turn.events.push_back({number, policy::TokensEvent{0, said, {said}, "w" + std::to_string(said) + " "}});
      return true;
    }
    policy::TurnOutcome outcome;
    outcome.committed = true;
    outcome.answer = std::to_string(said) + " words";
    turn.turn.outcome = outcome;
    turn.events.push_back({number, policy::CommittedEvent{.outcome = outcome, .tier = policy::Tier::medium, .node = "a"}});
    return true;
  }

  /// What a reader may have now.
  std::vector<policy::TurnEvent> take(Follower& reader) {
    const Words* turn = find(reader.following.turn);
    std::vector<policy::TurnEvent> batch;
    while (turn != nullptr && reader.credit > 0 && reader.next < turn->events.size()) {
      const policy::TurnEvent& event = turn->events[reader.next++];
      if (event.number < reader.following.from) continue;
      batch.push_back(event);
      --reader.credit;
    }
    handed_ += batch.size();
    return batch;
  }

  /// A reply that never comes is not one that was lost: somebody has it.
  template <class Reply>
  void withhold(Reply reply) {
    change([&] { withheld_.emplace_back([reply = std::move(reply)] {}); });
  }

  void work() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      bool busy = false;
      for (auto& [id, turns] : conversations_) {
        for (auto& turn : turns) {
          while (grow(*turn)) busy = true;
        }
      }
      const auto readers = readers_;
      for (const auto& reader : readers) {
        std::optional<Error> problem = std::exchange(reader->problem, std::nullopt);
        auto batch = problem ? std::vector<policy::TurnEvent>{} : take(*reader);
        if (!problem && batch.empty()) continue;
        busy = true;
        lock.unlock();
        if (problem) {
          reader->on_events(std::move(*problem));
        } else {
          reader->on_events(std::move(batch));
        }
        lock.lock();
      }
      if (!busy) changed_.wait_for(lock, std::chrono::milliseconds(100));
    }
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<policy::ConversationId, std::vector<std::unique_ptr<Words>>> conversations_;
  std::map<policy::ConversationId, policy::Pins> pins_;
  std::vector<policy::Document> documents_;
  std::uint32_t corpus_changes_ = 0;
  std::list<std::shared_ptr<Follower>> readers_;
  std::size_t words_allowed_ = std::numeric_limits<std::size_t>::max();
  std::optional<Error> refusal_;
  bool silent_ = false;
  std::vector<std::function<void()>> withheld_;
  bool stopping_ = false;
  bool drained_ = false;
  std::size_t asks_ = 0;
  std::size_t handed_ = 0;
  std::thread thread_;  // last: it uses all of the above
};

/// A gateway that serves in a thread of its own.
class ServedGateway {
 public:
  explicit ServedGateway(actors::Front& front, std::uint16_t port = 0, gateway::GatewayLimits limits = {}) {
    gateway::GatewayOptions options;
    options.listen = {"127.0.0.1:" + std::to_string(port)};
    options.limits = limits;
    auto opened = gateway::Gateway::open(front, options);
    TROUPE_CHECK(opened.has_value(), "a port of the loopback can be had");
    gateway_ = std::move(*opened);
    thread_ = std::thread([this] { gateway_->run(); });
  }
  ~ServedGateway() {
    gateway_->stop();
    thread_.join();
  }

  std::uint16_t port() const { return gateway_->port(); }
  std::string address() const { return gateway_->addresses().front(); }

 private:
  std::unique_ptr<gateway::Gateway> gateway_;
  std::thread thread_;
};

}  // namespace troupe
