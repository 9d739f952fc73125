// A turn that has not ended, as its conversation works on it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/generation.hpp"
#include "actors/model_call.hpp"
#include "actors/services.hpp"
#include "actors/turn_log.hpp"
#include "policy/pins.hpp"
#include "policy/prompt.hpp"
#include "policy/stage_fallback.hpp"

namespace troupe::actors {

/// What is done for a turn, in order. An escalation goes back to `prepare`.
enum class Stage : std::uint8_t {
  queued,     ///< behind earlier turns of the conversation
  summarize,  ///< the summary that it reads is not there yet
  classify,   ///< what kind of question is it
  rewrite,    ///< a follow-up is made to stand alone, for the search
  search,     ///< passages of the corpus
  route,      ///< which tier answers
  prepare,    ///< the prompt as that tier's tokens
  plan,       ///< the attempt's plan becomes durable
  generate,   ///< tokens come
  end,        ///< the outcome becomes durable
};

/// How long a stage that has a contract may go on.
struct StageClock {
  policy::Stage stage = policy::Stage::intent;
  TimePoint began{};
  TimePoint until{};
  policy::TimeOver over = policy::TimeOver::contract;  ///< then
};

struct LiveTurn {
  explicit LiveTurn(policy::Turn begun) : turn(std::move(begun)), log(turn.id) {}

  policy::Turn turn;
  TurnLog log;
  Stage stage = Stage::queued;
  /// Something is under way whose end moves the turn on. Replies carry the number of their step, and are ignored if the turn
  /// has moved on without them.
  bool busy = false;
  std::uint64_t step = 0;
  std::optional<StageClock> clock;  ///< of the stage that runs; none while nobody waits for it
  bool late = false;                ///< the stage is, and is waited for, as there is nothing else to be done

  bool grounded = false;
  std::optional<std::vector<policy::MemoryEntry>> recalled;  ///< for its question, once it was looked for
  policy::Pins pins;  ///< in the prompt that is being prepared, or in that of its last plan, whose answer is judged by them
  std::vector<FoundPassage> passages;  ///< durable with the first plan, so that no other corpus matters
  bool passages_kept = false;
  /// What the passages of the last plan say, for the check of its answer; none after a restart or a move, until asked for.
  std::optional<std::vector<policy::PassageText>> sources;
  std::optional<policy::AttemptResult> finished;  ///< of the last attempt, until it is decided what follows on it
  std::string trouble;                            ///< why that attempt failed, as far as its engine said
  std::string corpus_version;                     ///< that it was searched in, or could have been; empty: there was no corpus
  std::int32_t context_tokens = 0;                ///< estimated when it was routed
  policy::RouteDecision route;
  std::optional<policy::Tier> next_tier;  ///< of the attempt that is being planned
  std::string next_why;
  std::string waits_for;            ///< what could not be had when it was tried last, for the error if it never can
  std::shared_ptr<ModelCall> call;  ///< while it is classified or rewritten
  /// What is done with the call's reply; an empty one stands for none.
  std::function<void(LiveTurn&, const ModelCall::Reply&)> on_reply;
  std::unique_ptr<Generation> generation;  ///< while an attempt runs
  /// Of a remote model's attempt that is shown as it comes: what is not durable yet, and so is not shown.
  std::vector<policy::Emission> unwritten;
  bool writing_pieces = false;
  std::vector<policy::Emission> pieces;  ///< what was durable of the running attempt when the conversation began again
  std::optional<Error> doom;             ///< why it is to end as failed, as soon as it can

  using Waiting = std::vector<caf::typed_response_promise<schemas::HomeAccepted>>;
  std::optional<Waiting> accepting;  ///< those who asked, while it is not durable yet
  Waiting ending;                    ///< those who want to know when it has ended
};

}  // namespace troupe::actors
