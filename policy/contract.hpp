// What each stage of a turn promises: how many tokens it reads and writes, how long it may take, and what takes the place of
// what it did not deliver. And the story of a turn's stages: whether they kept their contracts.
//
// A contract's deadline is the only place where time decides anything about an answer. Whoever acts on it makes what follows
// durable first, in the next plan or the outcome, with the story; so a turn that is taken up again reads what was decided.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace troupe::policy {

/// intent: what kind of question it is, and how it stands alone. retrieval: passages, and how far they are trusted. reasoning:
/// one attempt at an answer, from its route to its last token. summary: the oldest turns folded into the summary.
enum class Stage : std::uint8_t { intent, retrieval, reasoning, summary };
inline constexpr std::array stages = {Stage::intent, Stage::retrieval, Stage::reasoning, Stage::summary};
std::string_view to_string(Stage stage);
std::optional<Stage> stage_of(std::string_view name);

template <class T>
using PerStage = std::array<T, stages.size()>;
constexpr std::size_t place_of(Stage stage) { return static_cast<std::size_t>(stage); }

/// How a stage breaks its contract. failed: it answered with an error.
enum class Trouble : std::uint8_t { none, late, oversized, malformed, failed };
inline constexpr std::array troubles = {Trouble::late, Trouble::oversized, Trouble::malformed, Trouble::failed};
std::string_view to_string(Trouble trouble);

enum class Fallback : std::uint8_t {
  none,
  unknown,           ///< intent: the kind is unknown, and the question is searched for as it was asked
  without_passages,  ///< retrieval: a draft goes on without, marked; what is held back is refused, as it could not be cited
  refuse,            ///< retrieval, reasoning: the turn ends with `when_all_failed`
  escalate,          ///< reasoning: the next tier of the route; after the last, as `quote`
  quote,             ///< reasoning: the best source in the words of `when_unsure`; without, as `refuse`
  wait,              ///< summary: one that is late is waited for; otherwise as `keep`
  keep,              ///< summary: the one before, and the turns since then word for word as far as they fit
  shorten,           ///< what exceeds a budget is cut off; so are a search and a summary that are too long
  mark,              ///< what has been shown stays, marked
};
std::string_view to_string(Fallback fallback);
std::optional<Fallback> fallback_of(std::string_view name);
/// Those that a contract of the stage may name.
std::span<const Fallback> fallbacks_of(Stage stage);

struct Contract {
  std::int64_t deadline_ms = 0;                   ///< of the stage; of each attempt, if it is reasoning
  std::optional<std::int32_t> prompt_tokens_max;  ///< that it reads; none: what the tier that reads them may (prompt_tokens)
  std::optional<std::int32_t> answer_tokens_max;  ///< that it writes, or finds; none: as asked
  Fallback fallback = Fallback::none;
  friend bool operator==(const Contract&, const Contract&) = default;
};

/// For the bundled models on a CPU: many times what they take there, so that only what is broken is late.
PerStage<Contract> default_contracts();

/// A contract for a person: "at most 10000 ms, 96 tokens out; otherwise ...".
std::string sentence_of(Stage stage, const Contract& contract);

/// How long a stage may take, in milliseconds. At most its contract's deadline, and of what the turn has left (`left_ms`) no
/// more than an equal part for itself and each of the `followers` that may come after it, an eighth of all being kept for the
/// end; so that fallbacks answer within the turn's deadline. A batch question hurries nobody: it has that part, whatever the
/// contract says.
std::int64_t time_for(const Contract& contract, std::int64_t left_ms, std::int64_t followers, bool batch);

/// What happened to one stage of a turn, or to one attempt.
struct StageEntry {
  Stage stage = Stage::intent;
  std::int32_t attempt = -1;  ///< of reasoning: whose; -1: none was planned
  std::int32_t prompt_tokens = 0;
  std::int32_t answer_tokens = 0;  ///< of retrieval: of the passages, estimated
  std::int64_t milliseconds = 0;   ///< that it took, for people: nothing follows from it
  Trouble trouble = Trouble::none;
  Fallback fallback = Fallback::none;  ///< that was taken
  std::string why;                     ///< what was wrong, a sentence without its end; empty if nothing was
  bool held() const { return trouble == Trouble::none; }
  friend bool operator==(const StageEntry&, const StageEntry&) = default;
};
/// "late: no reply after 2000 ms; searched for as it was asked", for a person.
std::string sentence_of(const StageEntry& entry);

/// How often a stage kept its contract on a node, and how often not, since the node started.
struct StageCounts {
  std::uint64_t held = 0;
  std::uint64_t late = 0;
  std::uint64_t oversized = 0;
  std::uint64_t malformed = 0;
  std::uint64_t failed = 0;
  std::uint64_t& of(Trouble trouble);
  std::uint64_t of(Trouble trouble) const;
  std::uint64_t broken() const { return late + oversized + malformed + failed; }
  friend bool operator==(const StageCounts&, const StageCounts&) = default;
};

}  // namespace troupe::policy
