// The client library for C++: conversations with a troupe over one or more addresses, as plain blocking calls.
//
// A client holds one connection and a thread of its own for it. When the connection or the node is lost it goes to the next
// address, sends an unanswered question again under its key, and follows its turn from the next event; so a caller sees each
// event once, in ascending order, whatever happened on the way. Any thread may call; events come in the thread that asked.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "policy/ask.hpp"
#include "policy/cluster_view.hpp"
#include "policy/corpus_change.hpp"
#include "policy/pins.hpp"
#include "policy/shadow_record.hpp"
#include "policy/turn.hpp"
#include "schemas/served_model.hpp"

namespace troupe::clients {

class Link;

struct ClientOptions {
  Duration connect_timeout = std::chrono::seconds(2);  ///< for one address
  Duration reply_timeout = std::chrono::seconds(5);    ///< for one reply; after it another address is tried
  Duration patience = std::chrono::seconds(15);        ///< for a call with all its tries; a question has its deadline besides
  Duration probe_interval = std::chrono::seconds(2);   ///< after so much silence a node is asked whether it is there
  /// Looked at about twenty times a second while a call waits; true ends the call as `cancelled`. A turn that is being followed
  /// is cancelled and followed to its end.
  std::function<bool()> interrupted;
};

using OnEvent = std::function<void(const policy::TurnEvent&)>;

/// Told about twenty times a second which share of a change the node has; at 1 the node is applying it.
using OnSent = std::function<void(double)>;

/// How a turn ended.
struct Answer {
  policy::TurnId turn;
  bool replayed = false;       ///< the node was lost on the way, and another one or another connection finished the reading
  policy::CommittedEvent end;  ///< with `outcome.committed` false, only the outcome's code and message mean something
};

using schemas::ServedModel;

struct HistoryPage {
  std::vector<policy::Turn> turns;  ///< ascending; without token ids
  std::vector<policy::Summary> summaries;
  bool more = false;  ///< there are later turns
};

/// A conversation that was opened or resumed. A value; it keeps its client's connection.
class Conversation {
 public:
  policy::ConversationId id() const { return id_; }
  std::uint32_t turns() const { return turns_; }     ///< accepted when it was opened
  const std::string& home() const { return home_; }  ///< the node that wrote its records then

  /// Asks, follows and returns the turn's end. An empty idempotency key is drawn. An Error means that the end is not known:
  /// the question was refused, or nobody answered until its deadline and `patience` were over.
  Result<Answer> ask(policy::Ask ask, const OnEvent& on_event = {}) const;
  /// Reads a turn's events with numbers from `from` on, until it has ended. Gives up after `patience` without a node;
  /// `out_of_range` if it has ended with an event before that.
  Result<Answer> follow(std::uint32_t turn, std::uint64_t from, const OnEvent& on_event = {}) const;
  /// Returns when the end is durable.
  Result<void> cancel(std::uint32_t turn) const;
  /// Turns from number `from` on, at most `limit` and 64.
  Result<HistoryPage> history(std::uint32_t from = 1, std::uint32_t limit = 64) const;
  /// What is pinned: lines that every later prompt has, word for word. A pin that is there already, or not there to be removed,
  /// changes nothing.
  Result<policy::Pins> pins() const { return change_pins({}); }
  Result<policy::Pins> pin(const std::string& text) const { return change_pins({policy::PinChange::Kind::add, text}); }
  Result<policy::Pins> unpin(const std::string& text) const { return change_pins({policy::PinChange::Kind::remove, text}); }
  /// A turn with its attempts' plans; with `tokens`, also token ids and log-probabilities.
  Result<policy::Turn> explain(std::uint32_t turn, bool tokens = false) const;

 private:
  friend class Client;
  /// The newest pins as they are then.
  Result<policy::Pins> change_pins(policy::PinChange change) const;
  Result<policy::Pins> request_pins(const policy::PinChange& change, TimePoint deadline) const;
  Conversation(std::shared_ptr<Link> link, policy::ConversationId id, std::uint32_t turns, std::string home)
      : link_(std::move(link)), id_(id), turns_(turns), home_(std::move(home)) {}

  std::shared_ptr<Link> link_;
  policy::ConversationId id_;
  std::uint32_t turns_;
  std::string home_;
};

class Client {
 public:
  static constexpr std::uint16_t default_port = 7400;

  /// Connects to the first of the addresses ("host:port", or a host alone) that lets it in. If none does, the Error says what
  /// each of them answered.
  static Result<Client> connect(std::vector<std::string> addresses, ClientOptions options = {});

  Result<Conversation> open() const;
  /// `not_found` if there is no such conversation.
  Result<Conversation> resume(policy::ConversationId id) const;
  Result<std::vector<ServedModel>> models() const;
  /// For operators: what the cluster looks like from the node.
  Result<policy::ClusterView> status() const;
  /// For operators: has a node give what it holds to others; returns when that has begun, with how the node is. Refused at
  /// once, with the reason, if the cluster cannot do without it (policy/drain.hpp).
  Result<policy::NodeView> drain(const std::string& node) const;
  /// Ends a drain: the node takes part again.
  Result<policy::NodeView> join(const std::string& node) const;
  /// For operators: what became of turns that were drawn for shadows, of those that were at home on the node that answers.
  Result<policy::ShadowPage> shadows(const policy::ShadowQuery& query) const;
  /// For operators: the documents that the node which answers has, by name. Each node has a corpus of its own: a client for
  /// these three should have one address.
  Result<std::vector<policy::DocumentEntry>> documents() const;
  /// What a search on that node finds, at most `limit` and 64.
  Result<policy::SearchHits> search_corpus(const std::string& question, std::uint32_t limit) const;
  /// Changes the node's corpus; returns when that is durable and searches go by it. Not tried again: with `unavailable` and
  /// `cancelled` the error says whether the corpus may have changed.
  Result<policy::CorpusView> change_corpus(policy::CorpusChange change, const OnSent& on_sent = {}) const;

 private:
  explicit Client(std::shared_ptr<Link> link) : link_(std::move(link)) {}

  std::shared_ptr<Link> link_;
};

}  // namespace troupe::clients
