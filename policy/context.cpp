#include "policy/context.hpp"

#include <algorithm>
#include <string>

#include "base/check.hpp"
#include "policy/terms.hpp"

namespace troupe::policy {

namespace {

bool none_negative(std::span<const std::int32_t> sizes) {
  return std::all_of(sizes.begin(), sizes.end(), [](std::int32_t size) { return size >= 0; });
}

void keep_passages(const ContextParts& parts, const PartSizes& sizes, std::int64_t budget, Assembly& assembly) {
  assembly.parts.passages.clear();
  for (std::size_t i = 0; i < parts.passages.size(); ++i) {
    if (parts.task == Task::answer && assembly.tokens + sizes.passages[i] <= budget) {
      assembly.tokens += sizes.passages[i];
      assembly.parts.passages.push_back(parts.passages[i]);
    } else {
      assembly.passages_left_out.push_back(i);
    }
  }
}

void keep_recent(const PartSizes& sizes, std::int64_t budget, Assembly& assembly) {
  std::size_t first = sizes.recent.size();
  while (first > 0 && assembly.tokens + sizes.recent[first - 1] <= budget) assembly.tokens += sizes.recent[--first];
  assembly.recent_left_out = first;
  auto& recent = assembly.parts.recent;
  recent.erase(recent.begin(), recent.begin() + static_cast<std::ptrdiff_t>(first));
}

}  // namespace

Result<Assembly> assemble(const ContextParts& parts, const PartSizes& sizes, std::int32_t budget) {
  TROUPE_CHECK(sizes.recent.size() == parts.recent.size() && sizes.passages.size() == parts.passages.size(),
               "every exchange and every passage is counted");
  TROUPE_CHECK(sizes.system >= 0 && sizes.summary >= 0 && sizes.question >= 0 && none_negative(sizes.recent) &&
                   none_negative(sizes.passages),
               "a part has no negative size");
  const std::int64_t always = std::int64_t{sizes.system} + sizes.summary + sizes.question;
  if (always > budget) {
    const auto number = [](std::int64_t value) { return std::to_string(value); };
    return Error{ErrorCode::too_large, "the question has " + number(sizes.question) + " tokens, and with the instructions (" +
                                           number(sizes.system) + ") and the conversation's summary (" + number(sizes.summary) +
                                           ") " + number(always) + "; a prompt may have " + number(budget) +
                                           ": shorten the question, or ask a tier with a longer context"};
  }
  Assembly assembly{.parts = parts, .passages_left_out = {}, .tokens = always};
  keep_passages(parts, sizes, budget, assembly);
  keep_recent(sizes, budget, assembly);
  return assembly;
}

std::size_t plan_fold(std::span<const TurnSize> turns, std::int32_t tokens_max, std::size_t keep, std::size_t fold) {
  TROUPE_CHECK(keep > 0 && fold > 0, "a fold takes something and leaves something");
  std::size_t folded = turns.size() >= keep + fold ? fold : 0;
  std::int64_t tokens = 0;
  for (const TurnSize& turn : turns.subspan(folded)) tokens += turn.tokens;
  while (tokens > tokens_max && folded + 1 < turns.size()) tokens -= turns[folded++].tokens;
  return folded;
}

std::size_t fold_at_once(std::span<const TurnSize> turns, std::size_t fold) {
  TROUPE_CHECK(fold <= turns.size(), "only turns that are there are folded");
  std::size_t count = std::min<std::size_t>(fold, 1);
  std::int64_t tokens = count > 0 ? turns[0].tokens : 0;
  while (count < std::min(fold, recent_folded) && tokens + turns[count].tokens <= fold_tokens_max) {
    tokens += turns[count++].tokens;
  }
  return count;
}

Exchange shortened(const Exchange& exchange) {
  constexpr std::size_t bytes_max = 3 * static_cast<std::size_t>(fold_tokens_max) / 2;
  return {std::string(first_bytes(exchange.question, bytes_max)), std::string(first_bytes(exchange.answer, bytes_max))};
}

}  // namespace troupe::policy
