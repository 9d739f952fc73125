#include "tests/sim/invariants.hpp"

#include <algorithm>
#include <utility>

#include "policy/drain.hpp"
#include "storage/conversations.hpp"
#include "storage/copies.hpp"

namespace troupe::sim {

namespace {

using policy::Turn;

std::vector<policy::TurnId> open_turns(const Node& node) {
  const auto open = storage::open_turns(node.disk.store, 256);
  return open ? *open : std::vector<policy::TurnId>();
}

policy::TokenIds ids_of(const policy::AttemptResult& result) {
  policy::TokenIds ids;
  for (const policy::Emission& emission : result.emissions) ids.insert(ids.end(), emission.ids.begin(), emission.ids.end());
  return ids;
}

/// Cut short by its deadline, its stage's, a cancellation, or a model that is dead.
bool is_cut(const policy::AttemptResult& result) {
  for (const char* reason : {"cancelled", "deadline_exceeded", "late", "failed"}) {
    if (result.finish_reason == reason) return true;
  }
  return false;
}

std::string text_of(const policy::TokenIds& ids) {
  std::string text;
  for (const std::int32_t id : ids) text += (text.empty() ? "" : " ") + std::to_string(id);
  return text;
}

class Checks {
 public:
  Checks(Witness& witness, AloneAnswers& answers, const policy::TurnId& id, const KnownTurn& known)
      : witness_(witness), world_(witness.cluster().world()), answers_(answers), id_(id), known_(known) {}

  void run() {
    const storage::Store* store = witness_.cluster().store_of(id_.conversation, true);
    if (store == nullptr) return tell("is on no disk");
    const auto stored = storage::read_turn(*store, id_);
    if (!stored) return tell("cannot be read: " + stored.error().message);
    if (!*stored) return tell("was lost");
    const Turn& turn = **stored;
    if (turn.ask.idempotency_key != known_.ask.idempotency_key || turn.ask.question != known_.ask.question) {
      tell("holds another question: " + turn.ask.question);
    }
    if (!turn.outcome) return tell("has not ended");
    check_outcome(turn);
    check_stages(turn);
    check_events(turn);
    for (const policy::Attempt& attempt : turn.attempts) check_bits(turn, attempt);
    check_pins(turn, *store);
  }

 private:
  void tell(const std::string& what) { world_.violated("turn " + to_string(id_) + " of " + known_.client + " " + what); }

  void check_outcome(const Turn& turn) {
    if (turn.outcome->committed) {
      if (turn.attempts.empty() == turn.outcome->rule.empty()) tell("has an answer of nobody, or one of two");
      return;
    }
    const std::string& code = turn.outcome->code;
    const bool cancelled = code == "cancelled" && (known_.may_be_cancelled || !turn.ask.keep_if_unread);
    const bool late = code == "deadline_exceeded" && turn.ended_ms - turn.accepted_ms >= turn.ask.deadline_ms;
    // Of the contracts nothing was left but to say that nobody can answer.
    const bool refused = code == "unavailable" && !turn.stages.empty() && !turn.stages.back().held() &&
                         turn.stages.back().fallback == policy::Fallback::refuse;
    if (!cancelled && !late && !refused) tell("failed as " + code + ": " + turn.outcome->message);
  }

  /// Each attempt that ended by itself has a part in the story, and each broken contract a fallback and a reason.
  void check_stages(const Turn& turn) {
    for (const policy::Attempt& attempt : turn.attempts) {
      const auto of_attempt = [&](const policy::StageEntry& entry) { return entry.attempt == attempt.plan.attempt; };
      const bool superseded = attempt.result && !attempt.result->superseded_why.empty();
      if (superseded && std::none_of(turn.stages.begin(), turn.stages.end(), of_attempt)) {
        tell("says nothing of attempt " + std::to_string(attempt.plan.attempt) + " in its stages");
      }
    }
    for (const policy::StageEntry& entry : turn.stages) {
      if (!entry.held() && entry.why.empty()) tell("has a broken contract without a reason: " + sentence_of(entry));
      if (entry.held() && entry.fallback != policy::Fallback::none) tell("has a fallback of a contract that was kept");
    }
  }

  void check_events(const Turn& turn) {
    std::map<std::uint64_t, policy::TurnEvent> stored;
    for (const policy::TurnEvent& event : policy::events_of(turn)) stored.emplace(event.number, event);
    for (const auto& [number, event] : known_.events) {
      const auto same = stored.find(number);
      if (same == stored.end()) {
        // A turn that was ended in another life than the one that showed its tokens does not know how far they came.
        if (!turn.outcome->committed && std::holds_alternative<policy::TokensEvent>(event.what)) continue;
        tell("was seen with " + describe(event) + ", which is not stored");
      } else if (same->second != event) {
        tell("was seen with " + describe(event) + ", and stored with " + describe(same->second));
      }
    }
  }

  void check_bits(const Turn& turn, const policy::Attempt& attempt) {
    if (!attempt.result) {
      if (turn.outcome->committed) tell("was committed without the result of attempt " + std::to_string(attempt.plan.attempt));
      return;
    }
    const policy::TokenIds stored = ids_of(*attempt.result);
    const policy::TokenIds alone =
        answers_.of(attempt.plan.tier, {.prompt = attempt.plan.prompt,
                                        .sampling = attempt.plan.sampling,
                                        .seed = attempt.plan.seed,
                                        .tokens_max = attempt.plan.tokens_max,
                                        .messages = attempt.plan.messages,
                                        .log_probability_sum_min = attempt.plan.log_probability_sum_min});
    const bool equal = is_cut(*attempt.result)
                           ? stored.size() <= alone.size() && std::equal(stored.begin(), stored.end(), alone.begin())
                           : stored == alone;
    if (!equal) {
      tell("has tokens " + text_of(stored) + " in attempt " + std::to_string(attempt.plan.attempt) + ", which alone gives " +
           text_of(alone));
    }
  }

  /// Each attempt's prompt has the pins of its plan word for word, and these are no older than those that its client knew of.
  void check_pins(const Turn& turn, const storage::Store& store) {
    std::uint32_t least = known_.pins_min;
    for (const policy::Attempt& attempt : turn.attempts) {
      const policy::AttemptPlan& plan = attempt.plan;
      const std::string name =
          "attempt " + std::to_string(plan.attempt) + " with version " + std::to_string(plan.pins_version) + " of the pins";
      if (plan.pins_version < least) tell("has " + name + ", where " + std::to_string(least) + " was there");
      least = plan.pins_version;
      const auto pins = storage::read_pins(store, id_.conversation, plan.pins_version);
      if (!pins) {
        tell("has " + name + ", which cannot be read: " + pins.error().message);
        continue;
      }
      const std::string line = policy::with_pins(*pins, "") + "\n";
      const auto has_them = [&](const std::string& text) {
        return pins->texts.empty() ? text.find("Pinned: ") == std::string::npos : text.find(line) != std::string::npos;
      };
      const auto& texts = witness_.cluster().prompts().of(plan.prompt);
      if (std::ranges::none_of(texts, has_them)) tell("has " + name + ", and its prompt does not have these");
    }
  }

  Witness& witness_;
  World& world_;
  AloneAnswers& answers_;
  policy::TurnId id_;
  const KnownTurn& known_;
};

void check_engines(SimCluster& cluster) {
  for (const auto& node : cluster.nodes()) {
    if (!node->life) continue;
    for (const auto& replica : node->life->replicas) {
      const auto counters = replica->counters();
      if (counters.running + counters.waiting + counters.blocks_held + counters.blocks_reserved == 0) continue;
      cluster.world().violated("engine " + replica->name() + " still runs " + std::to_string(counters.running) + ", has " +
                               std::to_string(counters.waiting) + " waiting and holds " + std::to_string(counters.blocks_held) +
                               " blocks");
    }
    if (node->life->journal->writes_wait()) cluster.world().violated(node->name + "'s journal still has something to write");
    if (const auto turns = node->life->context->turns.load(); turns != 0) {
      cluster.world().violated(node->name + " counts " + std::to_string(turns) + " open turns");
    }
  }
}

std::size_t stored_on(const Node& node) {
  const auto page = storage::stored_conversations(node.disk.store, {}, 1000);
  return page ? page->conversations.size() : 1;
}

bool is_empty(const Node& node) {
  if (stored_on(node) > 0) return false;
  return std::all_of(node.life->replicas.begin(), node.life->replicas.end(),
                     [](const auto& replica) { return replica->counters().running + replica->counters().waiting == 0; });
}

/// A node that is drained has nothing and says so, and no node has a copy of which nobody knows whose it is.
void check_drains(SimCluster& cluster) {
  World& world = cluster.world();
  for (const auto& node : cluster.nodes()) {
    const auto copies = storage::marked_copies(node->disk.store, {}, 100);
    if (!copies || !copies->empty()) world.violated(node->name + " has copies when all is over");
    if (!node->life) continue;
    const std::int32_t counted = node->life->context->stored.load();
    if (node->life->context->leaving && !is_empty(*node)) world.violated(node->name + " is drained and not empty");
    if (node->life->context->leaving && counted != 0) {
      world.violated(node->name + " is empty and counts " + std::to_string(counted) + " conversations");
    }
    for (const auto& other : cluster.nodes()) {
      if (!node->life->context->leaving || !other->life) continue;
      other->life->front->cluster([&](const Result<policy::ClusterView>& view) {
        for (const policy::NodeView& each : view->nodes) {
          if (each.id.value != node->name) continue;
          if (each.state != policy::NodeState::draining || !policy::left_to_move(each).empty()) {
            world.violated(other->name + " takes " + node->name + " for " + std::string(to_string(each.state)) + " with " +
                           to_string(policy::left_to_move(each)));
          }
        }
      });
    }
  }
}

/// Whoever reads from the beginning now, over any node, gets exactly what is stored.
void read_again(Witness& witness) {
  World& world = witness.cluster().world();
  std::vector<std::shared_ptr<Follower>> readers;
  for (const auto& [id, known] : witness.turns()) {
    readers.push_back(std::make_shared<Follower>(witness, id, "again", 7, std::chrono::seconds(5)));
    readers.back()->start(nullptr);
  }
  const auto all_over = [&] {
    return std::all_of(readers.begin(), readers.end(), [](const auto& reader) { return reader->over(); });
  };
  if (world.run_until(all_over, std::chrono::seconds(60))) return;
  for (const auto& reader : readers) {
    if (!reader->over()) world.violated("turn " + to_string(reader->turn()) + " cannot be read to its end when all is over");
  }
}

/// Every conversation tells all of its turns, ended as the disk says.
void read_histories(Witness& witness) {
  SimCluster& cluster = witness.cluster();
  // Shared, since an answer may come when nobody waits for it any more.
  const auto told = std::make_shared<std::map<policy::ConversationId, bool>>();
  for (const auto& [id, known] : witness.turns()) (*told)[id.conversation] = false;
  for (const auto& [conversation, here] : *told) {
    const auto front = cluster.any_front();
    if (!front) return cluster.world().violated("no node is up when all is over");
    front->history(conversation, 1, 64, [&cluster, &witness, id = conversation, told](Result<actors::HistoryPage> page) {
      (*told)[id] = true;
      if (!page) return cluster.world().violated("no history of " + to_string(id) + ": " + page.error().message);
      std::uint32_t number = 0;
      for (const Turn& turn : page->turns) {
        if (turn.id.number != ++number || !turn.outcome)
          cluster.world().violated("a history has a hole at " + to_string(turn.id));
      }
      for (const auto& [turn, known] : witness.turns()) {
        if (turn.conversation == id && turn.number > number) cluster.world().violated("no history of turn " + to_string(turn));
      }
    });
  }
  const auto all_told = [&] { return std::all_of(told->begin(), told->end(), [](const auto& entry) { return entry.second; }); };
  if (!cluster.world().run_until(all_told, std::chrono::seconds(60))) {
    cluster.world().violated("a history cannot be had when all is over");
  }
}

/// What was pinned last is what is pinned, on the disk and for whoever asks now.
void check_newest_pins(Witness& witness) {
  SimCluster& cluster = witness.cluster();
  for (const auto& [conversation, told] : witness.pins()) {
    const std::string name = "the pins of conversation " + to_string(conversation);
    const storage::Store* store = cluster.store_of(conversation, true);
    const auto stored = store != nullptr ? storage::read_pins(*store, conversation) : Result<policy::Pins>(policy::Pins{});
    if (!stored || *stored != told) {
      cluster.world().violated(name + " are others than those that its client was told of, version " +
                               std::to_string(told.version));
    }
  }
}

}  // namespace

bool nothing_is_open(SimCluster& cluster, const Clients& clients) {
  for (const auto& node : cluster.nodes()) {
    if (!node->life || !open_turns(*node).empty()) return false;
    if (node->life->context->leaving && !is_empty(*node)) return false;
  }
  for (const auto& client : clients) {
    for (const auto& follower : client->followers()) {
      if (!follower->over()) return false;
    }
  }
  return true;
}

void tell_what_is_open(SimCluster& cluster, const Clients& clients) {
  World& world = cluster.world();
  for (const auto& node : cluster.nodes()) {
    if (!node->life) {
      world.violated(node->name + " does not start");
      continue;
    }
    if (node->life->context->leaving && !is_empty(*node)) {
      world.violated(node->name + " is being drained, and still has " + std::to_string(stored_on(*node)) + " conversations");
    }
    for (const auto& turn : open_turns(*node))
      world.violated("turn " + to_string(turn) + " on " + node->name + " does not end");
  }
  for (const auto& client : clients) {
    if (!client->done()) world.violated(client->name() + " is not done");
    for (const auto& follower : client->followers()) {
      if (!follower->over()) world.violated(follower->name() + " waits for the end of turn " + to_string(follower->turn()));
    }
  }
}

void check_at_rest(Witness& witness, AloneAnswers& alone) {
  check_engines(witness.cluster());
  check_drains(witness.cluster());
  read_again(witness);
  read_histories(witness);
  check_newest_pins(witness);
  for (const auto& [id, known] : witness.turns()) Checks(witness, alone, id, known).run();
}

std::vector<std::vector<std::string>> answers_of(Witness& witness, const Clients& clients) {
  std::vector<std::vector<std::string>> answers(clients.size());
  for (const auto& [id, known] : witness.turns()) {
    const storage::Store* store = witness.cluster().store_of(id.conversation);
    if (store == nullptr) continue;
    const auto stored = storage::read_turn(*store, id);
    if (!stored || !*stored || !(*stored)->outcome) continue;
    const Turn& turn = **stored;
    std::string text = "kind " + turn.kind + ", search \"" + turn.search + "\"";
    for (const policy::Attempt& attempt : turn.attempts) {
      text += "; " + std::string(policy::to_string(attempt.plan.tier)) + " reads " + text_of(attempt.plan.prompt) +
              ", summary " + std::to_string(attempt.plan.summary_version) + " and pins " +
              std::to_string(attempt.plan.pins_version) + " at event " + std::to_string(attempt.plan.event_number);
      if (attempt.result) text += ", says " + text_of(ids_of(*attempt.result));
    }
    text += "; answer \"" + turn.outcome->answer + "\"" + turn.outcome->code;
    if (!turn.outcome->rule.empty()) text += " by rule " + turn.outcome->rule;
    for (std::size_t c = 0; c < clients.size(); ++c) {
      if (clients[c]->name() != known.client) continue;
      answers[c].resize(std::max(answers[c].size(), known.question + 1));
      answers[c][known.question] = text;
    }
  }
  return answers;
}

}  // namespace troupe::sim
