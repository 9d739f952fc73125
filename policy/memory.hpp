// What a conversation remembers of turns that are no longer read verbatim: the entries of its summary, and those of earlier
// summaries that had to make room. A model writes down what is in the newest turns; how that joins what is known already is
// decided here, so that what no turn has touched is never rewritten, and cannot get lost by being summarised again and again.
//
// A summary's form is that of the bundled models (portfolio/training/dialogue.py): lines "User", "Answers", "Decided" and
// "Open", each with entries between "; ". Any other line is prose, which its model rewrites as a whole. All of this is a
// function of the committed turns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/prompt.hpp"
#include "policy/turn.hpp"

namespace troupe::policy {

/// Tokens of a text, roughly: a function of the text alone, since what is decided by it must not depend on which model counts.
std::int32_t estimate_tokens(std::string_view text);
inline constexpr std::size_t bytes_per_token = 3;  ///< of that estimate

struct Memory {
  static constexpr std::size_t retired_max = 8192;  ///< that are searched, the newest; older ones are in their records alone

  std::vector<MemoryEntry> entries;  ///< of the summary that a prompt has, in its order
  std::vector<MemoryEntry> retired;  ///< had to make room, and hold still; in the order in which they did
  friend bool operator==(const Memory&, const Memory&) = default;
};

/// A summary's entries, all of this turn. Their text, written again, is the summary in its canonical form.
std::vector<MemoryEntry> entries_of(std::string_view summary, std::uint32_t turn);
std::string text_of(std::span<const MemoryEntry> entries);

/// The memory after the next version of the summary; versions come in their order.
void remember(Memory& memory, const Summary& summary);

/// What a model is to see of the memory when it writes down what these exchanges say: prose, and the open points that they
/// mention, which they may settle.
std::vector<MemoryEntry> concerned(const Memory& memory, std::span<const Exchange> exchanges);

/// The next version of the summary, without its number, its first turn and who wrote it. A model that was `shown` some of the
/// memory has `written` this about turns up to `last_turn`. What it says of a thing that is known replaces what was known of
/// it; what it was shown and does not say again no longer holds; everything else stays as it is. Entries beyond `tokens_max`
/// (estimated) retire, the oldest of the longest line first, those about the user last; prose never does.
Summary fold(const Memory& memory, std::span<const MemoryEntry> shown, std::string_view written, std::uint32_t last_turn,
             std::int32_t tokens_max);

/// The retired entries, at most `count`, that a question seems to be about, the oldest first.
std::vector<MemoryEntry> recall(const Memory& memory, std::string_view question, std::size_t count);

/// The summary as a prompt has it: with what was recalled in its lines, before what is newer.
std::string with_recalled(const Memory& memory, std::span<const MemoryEntry> recalled);

}  // namespace troupe::policy
