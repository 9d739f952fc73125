// A conversation of thousands of turns, as its home decides about it: what a prompt has stays bounded, and what was said first
// is still found.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "policy/context.hpp"
#include "policy/memory.hpp"
#include "policy/pins.hpp"
#include "policy/routing.hpp"

namespace troupe::policy {
namespace {

std::string label(std::uint32_t turn) { return "fee for item " + std::to_string(turn); }

/// Writes down what a few exchanges say, as a small model does.
std::string summarised(const std::vector<Exchange>& exchanges) {
  std::string text = "Answers: ";
  for (const Exchange& exchange : exchanges) text += (text.size() > 9 ? "; " : "") + exchange.answer;
  return text;
}

class LongConversation {
 public:
  /// A turn is planned as in actors/conversation_planning.cpp, and committed; the tokens of its prompt.
  std::int64_t turn(std::uint32_t number, const std::string& question, const std::string& answer) {
    while (fold_some()) {
    }
    ContextParts parts;
    parts.task = Task::chat;
    parts.summary = with_pins(pins, with_recalled(memory_, recall(memory_, question, recalled_max())));
    parts.question = question;
    PartSizes sizes;
    sizes.system = 50;
    sizes.summary = estimate_tokens(parts.summary);
    sizes.question = estimate_tokens(question);
    for (const TurnSize& size : sizes_) sizes.recent.push_back(size.tokens);
    parts.recent = recent_;
    const auto assembly = assemble(parts, sizes, routing_.prompt_tokens[0]);
    EXPECT_TRUE(assembly) << "turn " << number << ": " << assembly.error().message;
    summary_ = parts.summary;
    recent_.push_back({question, answer});
    sizes_.push_back({number, estimate_tokens(question) + estimate_tokens(answer)});
    return assembly ? assembly->tokens : 0;
  }

  const std::string& summary() const { return summary_; }  ///< of the last prompt
  std::size_t recent() const { return recent_.size(); }
  Pins pins;

 private:
  std::size_t recalled_max() const { return static_cast<std::size_t>(routing_.recalled_max); }
  bool fold_some() {
    const auto keep = static_cast<std::size_t>(routing_.recent_turns);
    const std::size_t count = fold_at_once(sizes_, plan_fold(sizes_, routing_.recent_tokens, keep));
    if (count == 0) return false;
    const auto folded = static_cast<std::ptrdiff_t>(count);
    const std::vector<Exchange> exchanges(recent_.begin(), recent_.begin() + folded);
    const Summary next =
        fold(memory_, concerned(memory_, exchanges), summarised(exchanges), sizes_[count - 1].number, routing_.summary_tokens);
    remember(memory_, next);
    recent_.erase(recent_.begin(), recent_.begin() + folded);
    sizes_.erase(sizes_.begin(), sizes_.begin() + folded);
    return true;
  }

  RoutingPolicy routing_ = default_policy();
  Memory memory_;
  std::vector<Exchange> recent_;
  std::vector<TurnSize> sizes_;
  std::string summary_;
};

TEST(LongConversation, HasABoundedContextAndRemembersItsBeginning) {
  constexpr std::uint32_t turns = 4000;
  LongConversation conversation;
  conversation.pins = {1, {"case K6-112"}};
  std::int64_t largest = 0;
  for (std::uint32_t number = 1; number <= turns; ++number) {
    const std::string fact = label(number) + ": USD " + std::to_string(number) + " [Rules §1]";
    const std::int64_t tokens = conversation.turn(number, "What is the " + label(number) + "?", fact);
    if (number == 100) largest = tokens + 100;
    if (number > 100) {
      ASSERT_LE(tokens, largest) << "turn " << number << " needs no more than the hundredth did";
    }
    ASSERT_LE(conversation.recent(), recent_kept + recent_folded);
    ASSERT_TRUE(conversation.summary().starts_with("Pinned: case K6-112"));
  }
  for (const std::uint32_t early : {1U, 17U, 333U}) {
    conversation.turn(turns + early, "Remind me of the " + label(early) + ".", "As I said.");
    EXPECT_NE(conversation.summary().find(label(early) + ": USD " + std::to_string(early) + " "), std::string::npos) << early;
  }
}

TEST(LongConversation, SurvivesATurnThatIsLongerThanAnyModelReads) {
  LongConversation conversation;
  conversation.turn(1, std::string(Ask::question_bytes_max, 'x').substr(0, 3000), std::string(60000, 'y'));
  for (std::uint32_t number = 2; number <= 30; ++number) conversation.turn(number, "And now?", "a: b");
  EXPECT_LE(conversation.recent(), recent_kept + recent_folded);
}

}  // namespace
}  // namespace troupe::policy
