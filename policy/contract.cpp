#include "policy/contract.hpp"

#include <algorithm>

namespace troupe::policy {

namespace {

constexpr std::array intent_fallbacks = {Fallback::unknown};
constexpr std::array retrieval_fallbacks = {Fallback::without_passages, Fallback::refuse};
constexpr std::array reasoning_fallbacks = {Fallback::escalate, Fallback::quote, Fallback::refuse};
constexpr std::array summary_fallbacks = {Fallback::wait, Fallback::keep};

constexpr std::array all_fallbacks = {
    Fallback::none, Fallback::unknown, Fallback::without_passages, Fallback::refuse, Fallback::escalate, Fallback::quote,
    Fallback::wait, Fallback::keep,    Fallback::shorten,          Fallback::mark};

/// What a contract's fallback does, as the end of a sentence about its stage.
std::string_view words_of(Fallback fallback) {
  switch (fallback) {
    case Fallback::none: return "nothing takes its place";
    case Fallback::unknown: return "the question's kind is unknown, and it is searched for as it was asked";
    case Fallback::without_passages:
      return "a draft goes on without passages and is marked; an answer that is held back is refused";
    case Fallback::refuse: return "the turn ends with what is said when all failed";
    case Fallback::escalate: return "the next tier is asked; after the last the best source is quoted, or the turn ends";
    case Fallback::quote: return "the best source is quoted, or the turn ends";
    case Fallback::wait: return "it is waited for as long as the turn has time";
    case Fallback::keep: return "the summary before it stays, and the turns since then as far as they fit";
    case Fallback::shorten: return "it is cut off";
    case Fallback::mark: return "what was shown stays, marked";
  }
  return "";
}

/// What became of a stage by the fallback that was taken.
std::string_view done_by(Fallback fallback) {
  switch (fallback) {
    case Fallback::none: return "";
    case Fallback::unknown: return "searched for as it was asked";
    case Fallback::without_passages: return "the draft went on without passages";
    case Fallback::refuse: return "the turn ended";
    case Fallback::escalate: return "the next tier was asked";
    case Fallback::quote: return "the best source was quoted";
    case Fallback::wait: return "it was waited for";
    case Fallback::keep: return "the summary before it stayed";
    case Fallback::shorten: return "what was too much was left out";
    case Fallback::mark: return "it stayed, marked";
  }
  return "";
}

}  // namespace

std::string_view to_string(Stage stage) {
  switch (stage) {
    case Stage::intent: return "intent";
    case Stage::retrieval: return "retrieval";
    case Stage::reasoning: return "reasoning";
    case Stage::summary: return "summary";
  }
  return "unknown";
}

std::optional<Stage> stage_of(std::string_view name) {
  const auto found = std::find_if(stages.begin(), stages.end(), [&](Stage stage) { return to_string(stage) == name; });
  return found == stages.end() ? std::nullopt : std::optional(*found);
}

std::string_view to_string(Trouble trouble) {
  switch (trouble) {
    case Trouble::none: return "none";
    case Trouble::late: return "late";
    case Trouble::oversized: return "oversized";
    case Trouble::malformed: return "malformed";
    case Trouble::failed: return "failed";
  }
  return "unknown";
}

std::string_view to_string(Fallback fallback) {
  switch (fallback) {
    case Fallback::none: return "none";
    case Fallback::unknown: return "unknown";
    case Fallback::without_passages: return "without_passages";
    case Fallback::refuse: return "refuse";
    case Fallback::escalate: return "escalate";
    case Fallback::quote: return "quote";
    case Fallback::wait: return "wait";
    case Fallback::keep: return "keep";
    case Fallback::shorten: return "shorten";
    case Fallback::mark: return "mark";
  }
  return "none";
}

std::optional<Fallback> fallback_of(std::string_view name) {
  const auto named = [&](Fallback fallback) { return to_string(fallback) == name; };
  const auto found = std::find_if(all_fallbacks.begin(), all_fallbacks.end(), named);
  return found == all_fallbacks.end() ? std::nullopt : std::optional(*found);
}

std::span<const Fallback> fallbacks_of(Stage stage) {
  switch (stage) {
    case Stage::intent: return intent_fallbacks;
    case Stage::retrieval: return retrieval_fallbacks;
    case Stage::reasoning: return reasoning_fallbacks;
    case Stage::summary: return summary_fallbacks;
  }
  return {};
}

PerStage<Contract> default_contracts() {
  PerStage<Contract> contracts;
  contracts[place_of(Stage::intent)] = {10000, std::nullopt, 96, Fallback::unknown};
  contracts[place_of(Stage::retrieval)] = {5000, 4096, 8192, Fallback::without_passages};
  contracts[place_of(Stage::reasoning)] = {45000, std::nullopt, std::nullopt, Fallback::escalate};
  contracts[place_of(Stage::summary)] = {30000, std::nullopt, 900, Fallback::keep};
  return contracts;
}

std::string sentence_of(Stage stage, const Contract& contract) {
  std::string text = "at most " + std::to_string(contract.deadline_ms) + " ms";
  if (stage == Stage::reasoning) text += " an attempt";
  if (contract.prompt_tokens_max) text += ", " + std::to_string(*contract.prompt_tokens_max) + " tokens in";
  if (contract.answer_tokens_max) text += ", " + std::to_string(*contract.answer_tokens_max) + " tokens out";
  return text + "; otherwise " + std::string(words_of(contract.fallback));
}

std::int64_t time_for(const Contract& contract, std::int64_t left_ms, std::int64_t followers, bool batch) {
  constexpr std::int64_t kept_for_the_end = 8;
  const std::int64_t part = (left_ms - left_ms / kept_for_the_end) / (followers + 1);
  return std::max<std::int64_t>(batch ? part : std::min(part, contract.deadline_ms), 1);
}

std::string sentence_of(const StageEntry& entry) {
  if (entry.held()) return "held";
  std::string text(to_string(entry.trouble));
  if (!entry.why.empty()) text += ": " + entry.why;
  if (entry.fallback != Fallback::none) text += "; " + std::string(done_by(entry.fallback));
  return text;
}

std::uint64_t& StageCounts::of(Trouble trouble) {
  switch (trouble) {
    case Trouble::none: break;
    case Trouble::late: return late;
    case Trouble::oversized: return oversized;
    case Trouble::malformed: return malformed;
    case Trouble::failed: return failed;
  }
  return held;
}

std::uint64_t StageCounts::of(Trouble trouble) const {
  StageCounts copy = *this;
  return copy.of(trouble);
}

}  // namespace troupe::policy
