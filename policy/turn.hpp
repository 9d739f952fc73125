// A turn from acceptance to its end, as plain values: what is durable of it, and the events that every reader sees.
//
// Generation's only input is an attempt's plan, which is durable before the first token; so an attempt that a crash cut short
// is repeated with the same bits. Event numbers ascend and follow from plans alone: an attempt reserves one number for each
// token that it may produce, and one for text that ends it without a token, so that the number of what follows does not depend
// on how far an attempt came.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "policy/ask.hpp"
#include "policy/contract.hpp"
#include "policy/portfolio.hpp"
#include "policy/prompt.hpp"

namespace troupe::policy {

using TokenIds = std::vector<std::int32_t>;

/// Stands for the token of each piece of text that a remote model sends, whose tokens are not known.
inline constexpr std::int32_t remote_piece = -1;

/// A section of the corpus as the model saw it, numbered from 1 by its place in the plan.
struct Passage {
  std::string section;  ///< "records-policy-2024-02-15#3.2"
  std::string name;     ///< "Records Policy §3.2", as a client sees it
  friend bool operator==(const Passage&, const Passage&) = default;
};

/// A tier that may answer, and the confidence below which its answer is not enough.
struct Rung {
  Tier tier = Tier::mini;
  double confidence_min = 0;
  bool second_opinion = false;  ///< an answer that says the same as the unsure one before it is confident
  double uncited_min = 0;       ///< of an answer from passages that cites none
  friend bool operator==(const Rung&, const Rung&) = default;
};

/// Something that a conversation's memory has (policy/memory.hpp): an entry of one of a summary's lines, or a line of prose.
struct MemoryEntry {
  std::string line;  ///< "User", "Answers", ...; empty: prose
  std::string text;
  std::uint32_t turn = 0;  ///< the newest of the turns that it was written from
  friend bool operator==(const MemoryEntry&, const MemoryEntry&) = default;
};

/// What a prompt could have had and has not, for a person: "turns 5 to 8", "no room in 1280 tokens".
struct LeftOut {
  std::string what;
  std::string why;
  friend bool operator==(const LeftOut&, const LeftOut&) = default;
};

/// Everything that an attempt's tokens depend on, and why it is made.
struct AttemptPlan {
  std::int32_t attempt = 0;        ///< 0, 1, ... within the turn
  std::uint64_t event_number = 0;  ///< of its `attempt` event; its tokens follow
  Tier tier = Tier::mini;
  std::string why;   ///< for a person
  std::string rule;  ///< of the routing policy
  ModelClass model;
  TokenIds prompt;
  Sampling sampling;
  std::uint64_t seed = 0;
  std::int32_t tokens_max = 0;
  double confidence_min = 0;          ///< below it the attempt is superseded, if there is a stronger tier
  std::vector<Rung> escalation;       ///< the tiers that may follow, ascending
  bool held_back = false;             ///< nothing is shown before its checks have passed
  std::string task;                   ///< the prompt of the profile: "answer" or "chat"
  std::uint32_t summary_version = 0;  ///< 0: none
  std::uint32_t first_turn = 0;       ///< the oldest turn that is in the prompt verbatim; 0: none
  std::vector<Passage> passages;
  std::string corpus_version;
  bool second_opinion = false;        ///< as its rung's
  double uncited_min = 0;             ///< likewise
  std::vector<Message> messages;      ///< what a remote model reads; it has no `prompt`
  std::int32_t context_tokens = 0;    ///< estimate of the whole context by which the question was routed
  TokenPrice price;                   ///< of the tier's tokens, by the policy
  std::uint32_t pins_version = 0;     ///< of what was pinned; 0: nothing ever was
  std::vector<MemoryEntry> recalled;  ///< of earlier summaries, joined to the one that it reads
  std::vector<LeftOut> left_out;
  /// The attempt stops, as `unsure`, where the sum of its tokens' log-probabilities is below this, since its answer could not
  /// be a confident one any more (early_stop.hpp). At most 0; -infinity: it is completed.
  double log_probability_sum_min = -std::numeric_limits<double>::infinity();
  friend bool operator==(const AttemptPlan&, const AttemptPlan&) = default;
};

/// What the detokenizer gave at once; the cut is a function of the tokens.
struct Emission {
  std::int32_t first_index = 0;  ///< of the first token, counted from the answer's start
  TokenIds ids;
  std::vector<float> log_probabilities;  ///< natural logarithm, one for each id
  std::string text;
  friend bool operator==(const Emission&, const Emission&) = default;
};

/// How an attempt ended.
struct AttemptResult {
  std::vector<Emission> emissions;
  std::string finish_reason;  ///< of engine/request.hpp
  double confidence = 0;      ///< the product of the token probabilities; if it stopped early, more than the whole would have
  std::int32_t prompt_tokens = 0;
  std::int32_t reused_tokens = 0;
  std::int32_t generated_tokens = 0;
  double seconds = 0;
  std::string node;                     ///< where it ran
  std::uint64_t active_parameters = 0;  ///< of the model, for each token: cost is this times the tokens computed
  std::string superseded_why;           ///< empty if the attempt's answer stood
  std::string failed_check;             ///< what the answer did not pass, as a sentence; empty if it passed
  double cost = 0;                      ///< by the plan's price
  friend bool operator==(const AttemptResult&, const AttemptResult&) = default;
};

/// All that it said.
std::string text_of(const AttemptResult& result);

/// What is kept of an attempt that did not come to its end: what it said so far, and what that took.
AttemptResult cut_short(const AttemptPlan& plan, std::vector<Emission> emissions, std::string_view finish_reason);

struct Attempt {
  AttemptPlan plan;
  std::optional<AttemptResult> result;  ///< none while it runs
  friend bool operator==(const Attempt&, const Attempt&) = default;
};

/// In the place of an attempt's number.
inline constexpr std::int32_t no_attempt = -1;

/// How a turn ended. Durable before anybody is told.
struct TurnOutcome {
  bool committed = false;
  std::string answer;              ///< as the model wrote it, "[1]" for the plan's first passage; if committed
  std::vector<Passage> citations;  ///< of the answer, each once, by number
  std::int32_t attempt = 0;        ///< whose answer it is; `no_attempt` if no model was asked
  double confidence = 0;
  bool confident = false;  ///< whether it reached what the policy asks, and its citations support it
  std::string doubt;       ///< why it is not confident, for a person; empty if it is
  std::string code;        ///< of the error, if failed: "cancelled", "deadline_exceeded", "unavailable", ...
  std::string message;
  std::string rule = {};  ///< of the policy, whose own words the answer is ("out of scope"); empty: it is a model's
  friend bool operator==(const TurnOutcome&, const TurnOutcome&) = default;
};

/// What is kept of a turn.
struct Turn {
  TurnId id;
  Ask ask;                       ///< with the seed that was drawn
  std::int64_t accepted_ms = 0;  ///< since 1970, by the clock of the home
  std::vector<Attempt> attempts;
  std::optional<TurnOutcome> outcome;
  std::int64_t ended_ms = 0;
  std::string kind;                                 ///< what the question was taken for; empty if it was not classified
  std::string search;                               ///< what was searched for; empty if nothing was
  std::optional<double> retrieval_confidence = {};  ///< of that search (policy/retrieval.hpp); none if nothing was found
  std::optional<double> kind_confidence = {};  ///< of what it was classified as (policy/intent.hpp); none if that is nothing
  std::string kind_said = {};                  ///< what that was, if it was not sure enough to be `kind`; otherwise empty
  std::vector<StageEntry> stages = {};         ///< what happened to its stages, in order
};

/// A summary of the turns up to and including `last_turn`.
struct Summary {
  std::uint32_t version = 0;  ///< 1, 2, ...
  std::uint32_t first_turn = 0;
  std::uint32_t last_turn = 0;  ///< what came before `first_turn` is in it through the version before
  std::string text;
  Tier tier = Tier::mini;
  ModelClass model;
  std::vector<std::uint32_t> turns;    ///< of which turn each of the text's entries is, in its order; empty: not known
  std::vector<MemoryEntry> retired;    ///< had to make room in this version; they hold still
  std::vector<MemoryEntry> withdrawn;  ///< of the memory before this version; replaced, settled, or back in the text
  friend bool operator==(const Summary&, const Summary&) = default;
};

struct AcceptedEvent {
  std::string question;
  friend bool operator==(const AcceptedEvent&, const AcceptedEvent&) = default;
};
struct AttemptEvent {
  std::int32_t attempt = 0;
  Tier tier = Tier::mini;
  std::string why;
  friend bool operator==(const AttemptEvent&, const AttemptEvent&) = default;
};
struct TokensEvent {
  std::int32_t attempt = 0;
  std::int32_t first_index = 0;
  TokenIds ids;
  std::string text;
  friend bool operator==(const TokensEvent&, const TokensEvent&) = default;
};
struct SupersededEvent {
  std::int32_t attempt = 0;
  std::string why;
  friend bool operator==(const SupersededEvent&, const SupersededEvent&) = default;
};
struct CommittedEvent {
  TurnOutcome outcome;
  Tier tier = Tier::mini;
  std::string node;
  std::int32_t prompt_tokens = 0;  ///< of all attempts
  std::int32_t reused_tokens = 0;
  std::int32_t generated_tokens = 0;
  double seconds = 0;  ///< that engines worked for it
  friend bool operator==(const CommittedEvent&, const CommittedEvent&) = default;
};
struct FailedEvent {
  std::string code;
  std::string message;
  friend bool operator==(const FailedEvent&, const FailedEvent&) = default;
};

struct TurnEvent {
  std::uint64_t number = 0;
  std::variant<AcceptedEvent, AttemptEvent, TokensEvent, SupersededEvent, CommittedEvent, FailedEvent> what;
  bool last() const { return std::holds_alternative<CommittedEvent>(what) || std::holds_alternative<FailedEvent>(what); }
  friend bool operator==(const TurnEvent&, const TurnEvent&) = default;
};

/// The number of the event after an attempt: `superseded`, `committed` or `failed`.
std::uint64_t number_after(const AttemptPlan& plan);
/// The number of the next attempt's event: 1 for the first, past `superseded` for others.
std::uint64_t next_attempt_number(const Turn& turn);

/// All events of a turn so far, ascending. Tokens of a held-back attempt appear only once its answer is committed; those of the
/// running attempt that are shown as they come are `running`.
std::vector<TurnEvent> events_of(const Turn& turn, const std::vector<Emission>& running = {});

}  // namespace troupe::policy
