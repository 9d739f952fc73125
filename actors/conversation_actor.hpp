// One conversation: the only writer of its records. Takes questions in order, each through planning, attempts and its end;
// every step that the world may see is durable first. Decisions are policy/'s; this asks for them, waits, writes and sends.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/context.hpp"
#include "actors/live_turn.hpp"
#include "actors/services.hpp"
#include "policy/memory.hpp"
#include "policy/stage_fallback.hpp"
#include "schemas/records.hpp"

namespace troupe::actors {

// How a conversation is told to go to another node; these never leave the node.
struct MoveAway {
  policy::ConversationId conversation;
  policy::NodeId to;
};
/// The lease has moved; what is left here is a copy of that epoch.
struct MovedAway {
  std::uint64_t epoch = 0;
};

using ConversationActor = AtHome::extend<takes<Continuation>, on<MoveAway>::gives<MovedAway>>;
/// Told when a conversation has had nothing to do for a while and may be put to sleep.
using OnIdle = std::function<void(const policy::ConversationId&)>;

using policy::estimate_tokens;

class ConversationState {
 public:
  explicit ConversationState(ConversationActor::pointer self) : self_(self) {}
  ~ConversationState();
  static inline const char* name = "conversation";

  static constexpr std::size_t live_turns_max = 16;
  static constexpr std::size_t ended_logs_max = 8;
  static constexpr std::size_t waiting_for_activation_max = 256;
  static constexpr std::size_t pins_waiting_max = 16;

  ConversationActor::behavior_type start(NodeContextPtr context, Services services, policy::ConversationId id, bool create,
                                         OnIdle on_idle);

 private:
  template <class T>
  using Promise = caf::typed_response_promise<T>;

  // conversation_activation.cpp: from a name to a conversation that can act.
  struct Loaded;
  void read_mark();
  void acquire_lease();
  void fence_off();
  void load();
  void on_loaded(Result<Loaded> loaded);
  void become_ready(Result<void> ready);
  /// Now, or as soon as the lease is held and the records are read; with an error if that fails.
  void when_ready(std::function<void(const Result<void>&)> work);
  /// Keeps a committed turn as context for the next ones.
  void remember(const policy::Turn& turn);
  /// Whether the actor may act as the conversation's home, and was addressed as such.
  Result<void> check_home(std::uint64_t epoch) const;

  // conversation_actor.cpp: messages.
  /// Once the actor is ready, `work(promise)` answers; an error if it cannot act as home.
  template <class Reply, class Work>
  caf::result<Reply> answer(std::uint64_t epoch, Work work);
  caf::result<schemas::HomeOpened> on_open(const schemas::HomeOpen& open);
  caf::result<schemas::HomeAccepted> on_ask(const schemas::HomeAsk& ask);
  void accept(const policy::Ask& ask, Promise<schemas::HomeAccepted> promise);
  void push_live(std::unique_ptr<LiveTurn> turn);
  /// Answers for a turn that exists already, once it is durable.
  void join(LiveTurn& turn, const policy::Ask& ask, Promise<schemas::HomeAccepted> promise);
  void on_more(const schemas::HomeMore& more);
  void on_leave(const schemas::HomeLeave& leave);
  caf::result<schemas::HomeAccepted> on_cancel(const schemas::HomeCancel& cancel);
  caf::result<schemas::HomeHistoryPage> on_history(const schemas::HomeHistory& history);
  caf::result<policy::Turn> on_turn(const schemas::HomeTurn& turn);
  void on_emissions(const schemas::EngineEmissions& emissions);
  void on_finished(const schemas::EngineFinished& finished);
  void tick();
  void keep_ticking();
  void read_ended(const schemas::HomeMore& more);
  void deliver(TurnLog& log);
  void fail_reader(const schemas::HomeMore& more, const Error& error);
  TurnLog* find_ended(std::uint32_t turn);
  LiveTurn* find_live(std::uint32_t turn);

  // conversation_planning.cpp: how a turn gets its plan.
  void summarize(LiveTurn& turn);
  void on_summary(LiveTurn& turn, const SummaryText& reply, const std::vector<policy::MemoryEntry>& shown, std::size_t folded);
  void classify(LiveTurn& turn);
  void on_classified(LiveTurn& turn, const policy::TakenFor& taken, bool searchable);
  void rewrite(LiveTurn& turn);
  void call_model(LiveTurn& turn, schemas::Purpose purpose, policy::ContextParts parts,
                  std::function<void(LiveTurn&, const ModelCall::Reply&)> then);
  void search(LiveTurn& turn);
  void route(LiveTurn& turn);
  void prepare(LiveTurn& turn);
  void plan(LiveTurn& turn, schemas::EnginePrepared prepared);
  /// Whether there are documents that an answer could have come from.
  bool could_cite(const LiveTurn& turn) const;
  policy::ContextParts parts_of(LiveTurn& turn, std::size_t passages_max) const;

  // conversation_memory.cpp: what it remembers beside its recent turns.
  const std::vector<policy::MemoryEntry>& recalled(LiveTurn& turn) const;
  /// The pins and the summary as the turn's prompt has them.
  std::string remembered(LiveTurn& turn) const;
  std::vector<policy::LeftOut> left_out(const LiveTurn& turn, const schemas::EnginePrepared& prepared) const;
  caf::result<schemas::HomePins> on_pin(const schemas::HomePin& pin);
  /// Writes the changes that wait, one after the other.
  void change_pins();

  // conversation_turns.cpp: what is done for a turn, and how it ends.
  void advance(LiveTurn& turn);
  void generate(LiveTurn& turn);
  /// `trouble`: why the attempt failed, as far as its engine said.
  void on_generated(LiveTurn& turn, policy::AttemptResult result, std::string trouble);
  /// Sees to it that the turn's sources are there, for the check of its citations and for a quote.
  void read_sources(LiveTurn& turn);
  void decide(LiveTurn& turn);
  /// Whether the last attempt's answer has the form of one, and is supported by what it cites.
  /// Plans another attempt, by `next`, in the place of the last, which has a result.
  void supersede(LiveTurn& turn, policy::RouteDecision route, policy::Tier next, const std::string& why);
  /// The same for an attempt of a remote model that will not end and cannot be repeated; `result`: what is durable of it.
  void supersede_lost(LiveTurn& turn, policy::AttemptResult result, const std::string& why);
  void lose(LiveTurn& turn);
  /// Makes pieces of a remote model durable, and then shows them.
  void keep_pieces(LiveTurn& turn, std::vector<policy::Emission> pieces);
  void commit_outcome(LiveTurn& turn, policy::TurnOutcome outcome);
  void fail(LiveTurn& turn, const Error& error);
  void end(LiveTurn& turn);
  /// Has the turn, which has been committed, answered once more by each experiment that draws it.
  void offer_to_shadows(LiveTurn& turn);
  /// What its answer was made from; summary and recent turns are those that it read.
  policy::ShadowInput shadow_input(LiveTurn& turn) const;
  /// Appends what has become durable to the turn's events, and sends it on.
  void show(LiveTurn& turn);

  // conversation_contracts.cpp: whether the stages of a turn keep their contracts, and what follows if they don't.
  const policy::Contract& contract_of(policy::Stage stage) const;
  /// From now on, unless it has begun already.
  void begin_stage(LiveTurn& turn, policy::Stage stage);
  /// Adds to the turn's story, and counts. It is durable with whatever follows from it.
  void tell(LiveTurn& turn, policy::StageEntry entry);
  /// Has whatever is late replaced by its fallback.
  void keep_contract(LiveTurn& turn);
  /// What is to be made of a small model's reply: nothing, if it was not what the contract promises.
  ModelCall::Reply checked_reply(LiveTurn& turn, schemas::Purpose purpose, const Result<ModelCall::Reply>& reply);
  void late_intent(LiveTurn& turn);
  /// Who went away for a moment is waited for, so that the same question gets the same answer. Where nobody has served the tier
  /// for as long as the turn's stage may take, every question would wait so long: then none does. Why; none: it is waited for.
  std::optional<std::string> long_unserved(const LiveTurn& turn, policy::Tier tier) const;
  void give_up_unserved_intent(LiveTurn& turn, policy::Tier tier);
  void give_up_unserved_attempt(LiveTurn& turn);
  void give_up_intent(LiveTurn& turn, std::string why);
  void late_search(LiveTurn& turn);
  void late_summary(LiveTurn& turn);
  void late_attempt(LiveTurn& turn);
  /// The attempt that is being planned comes to nothing: the next tier, a quote, or the end.
  void give_up_attempt(LiveTurn& turn, const std::string& what);
  /// Gives a late attempt all the time that its turn has.
  void wait_on(LiveTurn& turn);
  /// Until the turn's deadline.
  std::int64_t left_ms(const LiveTurn& turn) const;
  /// Leaves the passages of a search that exceed their budget out.
  void check_passages(LiveTurn& turn);
  /// The summary to keep, if it has the form of one.
  std::optional<SummaryText> checked_summary(LiveTurn& turn, SummaryText text, std::size_t folded);
  /// A summary that could not be had: the turn goes on without it, if its trouble is not that somebody is away.
  void without_summary(LiveTurn& turn, policy::Trouble trouble, const std::string& why);
  policy::BrokenAttempt broken_attempt(const LiveTurn& turn, std::string_view what) const;
  /// What the contract has follow upon it.
  policy::AfterTrouble after_broken(const LiveTurn& turn, std::string_view what) const;
  /// The attempt that is being planned comes to nothing, and the next tier's takes its place; false if there is none.
  bool skip_tier(LiveTurn& turn, policy::Trouble trouble, const std::string& what);
  /// Follows on the last attempt, which has a result and was in trouble.
  void after_trouble(LiveTurn& turn, policy::StageEntry entry, const std::string& what, double confidence);
  /// The best source in the place of the last attempt's answer, if the policy has words for that.
  policy::StageEntry entry_of(const policy::Attempt& attempt) const;
  /// Adds the stage in which a turn fails to its story, if that is to blame.
  void tell_end(LiveTurn& turn, const Error& error);

  // conversation_move.cpp: how it goes to another node.
  caf::result<MovedAway> on_move(const MoveAway& move);
  void on_hand_over(const schemas::HomeHandOver& over);
  void fall_silent();
  void send_when_written();
  void send_piece(const std::string& begin);
  void offer(const std::shared_ptr<const schemas::HomeTake>& take, TimePoint give_up_at);
  void move_lease(TimePoint give_up_at);
  void hand_over(const schemas::LeaseGrant& grant);

  // Steps of a turn: a reply finds its turn again, or finds that it is no longer wanted.
  std::uint64_t begin_step(LiveTurn& turn);
  LiveTurn* find_step(std::uint32_t turn, std::uint64_t step);
  /// The same for a write, which counts also when the conversation has fallen silent meanwhile.
  LiveTurn* find_write(std::uint32_t turn, std::uint64_t step);
  void commit(LiveTurn& turn, storage::WriteBatch batch, std::function<void(LiveTurn&)> then);
  /// A write that failed leaves memory and disk in doubt of each other: the conversation begins again from what is durable.
  void give_up(const Error& error);

  ConversationActor::pointer self_;
  NodeContextPtr context_;
  Services services_;
  policy::ConversationId id_;
  bool create_ = false;
  OnIdle on_idle_;

  std::optional<Result<void>> ready_;
  std::vector<std::function<void(const Result<void>&)>> waiting_;
  TimePoint began_{};
  std::uint64_t epoch_ = 0;
  std::uint64_t void_epoch_ = 0;  ///< of a move that came to nothing: a newer one is needed

  /// A committed turn that no summary covers.
  struct Recent {
    std::uint32_t number = 0;
    policy::Exchange exchange;
    std::int32_t tokens = 0;  ///< an estimate that is a function of the texts
  };
  schemas::ConversationRecord record_;
  policy::Summary summary_;  ///< version 0: none
  policy::Memory memory_;    ///< as the summaries up to that one have made it
  policy::Pins pins_;
  struct Pinning {
    policy::PinChange change;
    Promise<schemas::HomePins> promise;
  };
  std::deque<Pinning> pinning_;  ///< the first is being written
  std::vector<Recent> recent_;
  std::deque<std::unique_ptr<LiveTurn>> live_;  ///< in order; the first is being worked on
  std::list<TurnLog> ended_;                    ///< most recently read first
  std::optional<policy::ReplicaPlace> last_place_;
  TimePoint last_used_{};
  bool ticking_ = false;

  struct Moving {
    policy::NodeId to;
    Promise<MovedAway> promise;
    std::uint32_t runs = 0;  ///< the turn whose attempt runs
    bool sending = false;    ///< all that was written is durable
  };
  std::optional<Moving> moving_;  ///< then nobody is answered, and nothing is written but by writes that are under way
  std::size_t writes_ = 0;        ///< under way
  std::optional<schemas::AttemptKey> summarizing_;
  std::uint32_t runs_already_ = 0;  ///< the turn whose attempt an earlier home has left running at `last_place_`
};

template <class Reply, class Work>
caf::result<Reply> ConversationState::answer(std::uint64_t epoch, Work work) {
  auto promise = self_->make_response_promise<Reply>();
  when_ready([this, epoch, work, promise](const Result<void>& ready) mutable {
    last_used_ = context_->clock->now();
    const Result<void> may = ready ? check_home(epoch) : ready;
    if (may) {
      work(promise);
    } else {
      promise.deliver(to_caf(may.error()));
    }
  });
  return promise;
}

ConversationActor::behavior_type conversation_actor(ConversationActor::stateful_pointer<ConversationState> self,
                                                    NodeContextPtr context, Services services, policy::ConversationId id,
                                                    bool create, OnIdle on_idle);

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::MoveAway)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::MovedAway)
