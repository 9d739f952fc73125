// The way into the troupe for what is not an actor: the gateway's event loop, a test, a benchmark. Any thread may call; answers
// come back through the functions that were passed in, from threads of the actor system, which must not be kept waiting.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "policy/ask.hpp"
#include "policy/cluster_view.hpp"
#include "policy/corpus_change.hpp"
#include "policy/pins.hpp"
#include "policy/shadow_record.hpp"
#include "policy/turn.hpp"

namespace troupe::actors {

template <class T>
using Reply = std::function<void(Result<T>)>;

struct OpenedConversation {
  policy::ConversationId id;
  std::string home;         ///< the node's name
  std::uint32_t turns = 0;  ///< accepted so far
};

/// Which events of a turn, and where they go.
struct Following {
  policy::TurnId turn;
  std::uint64_t from = 0;  ///< the least event number
};

/// A reader's hold on a turn's events. Events come at most `credit` at a time; `more` asks for further ones. When the last
/// reader of a turn leaves with `abandon`, and the turn was not asked to go on unread, the turn is cancelled.
class Reader {
 public:
  virtual ~Reader() = default;
  virtual void more(std::uint32_t credit) = 0;
};

/// Called with each batch of events in order. The last batch ends with `committed` or `failed`; an error means that the events
/// cannot be had (the home is away for good, the turn does not exist), and is the last call.
using OnEvents = std::function<void(Result<std::vector<policy::TurnEvent>>)>;

struct HistoryPage {
  std::vector<policy::Turn> turns;  ///< ascending; without prompts
  std::vector<policy::Summary> summaries;
  bool more = false;  ///< there are later turns
};

class Front {
 public:
  /// Turns of one history page.
  static constexpr std::uint32_t page_max = 64;

  virtual ~Front() = default;
  /// What the cluster looks like from here: nodes, their states, their replicas.
  virtual void cluster(Reply<policy::ClusterView> reply) = 0;
  /// Takes a node out of the cluster's work, or back in; the reply comes when that has begun, with how the node is. Refused as
  /// policy/drain.hpp says.
  virtual void drain(policy::NodeId node, Reply<policy::NodeView> reply) = 0;
  virtual void join(policy::NodeId node, Reply<policy::NodeView> reply) = 0;
  /// A new conversation, or (with an id) one that exists: `not_found` if it does not, `unavailable` if its home is away.
  virtual void open(std::optional<policy::ConversationId> id, Reply<OpenedConversation> reply) = 0;
  /// Accepts a question. The reply comes when it is durable: the turn it became, or has been since the same key was used.
  virtual void ask(policy::ConversationId conversation, policy::Ask ask, Reply<policy::TurnId> reply) = 0;
  /// Reads a turn's events as they come. Dropping the Reader ends it.
  virtual std::unique_ptr<Reader> follow(Following following, std::uint32_t credit, OnEvents on_events) = 0;
  /// Ends a turn as failed (cancelled), if it has not ended; the reply comes when that is durable.
  virtual void cancel(policy::TurnId turn, Reply<void> reply) = 0;
  /// Turns from number `from` on.
  virtual void history(policy::ConversationId conversation, std::uint32_t from, std::uint32_t limit,
                       Reply<HistoryPage> reply) = 0;
  /// Changes what is pinned, and answers with all of it once that is durable.
  virtual void pin(policy::ConversationId conversation, policy::PinChange change, Reply<policy::Pins> reply) = 0;
  /// One turn whole, with its attempts' plans.
  virtual void turn(policy::TurnId turn, Reply<policy::Turn> reply) = 0;
  /// What became of turns that were drawn for shadows, of those that were at home on this node.
  virtual void shadows(policy::ShadowQuery query, Reply<policy::ShadowPage> reply) = 0;
  /// The documents that this node answers from, from place `from` on, at most `limit`.
  virtual void documents(std::uint32_t from, std::uint32_t limit, Reply<policy::DocumentPage> reply) = 0;
  /// What a search on this node finds now, at most `limit` sections.
  virtual void search_corpus(std::string question, std::uint32_t limit, Reply<policy::SearchHits> reply) = 0;
  /// Changes what this node answers from, after the changes before it; the reply comes when that is durable and searches go by
  /// it. With an error nothing has changed. Errors of storage::changed_corpus; `overloaded` if too many wait.
  virtual void change_corpus(std::shared_ptr<const policy::CorpusChange> change, Reply<policy::CorpusView> reply) = 0;
};

}  // namespace troupe::actors
