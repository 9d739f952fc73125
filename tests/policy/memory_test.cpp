#include "policy/memory.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/random.hpp"

namespace troupe::policy {
namespace {

constexpr std::int32_t plenty = 100000;

std::vector<std::string> texts(const std::vector<MemoryEntry>& entries) {
  std::vector<std::string> found;
  for (const MemoryEntry& entry : entries) found.push_back(entry.text);
  return found;
}
using Texts = std::vector<std::string>;

/// The next version, and the memory with it.
Summary fold_into(Memory& memory, std::uint32_t turn, const std::string& written, std::int32_t tokens_max = plenty,
                  const std::vector<MemoryEntry>& shown = {}) {
  Summary next = fold(memory, shown, written, turn, tokens_max);
  next.version = turn;
  remember(memory, next);
  return next;
}

TEST(Memory, ReadsASummaryAndWritesItAgain) {
  const std::string text =
      "They talked about boats.\nUser: Kofi Ruiz; site Seville\nAnswers: fee for ovens: USD 5 [Rules §2]\nDecided: wait\nOpen: "
      "who pays";
  const auto entries = entries_of(text, 7);
  ASSERT_EQ(entries.size(), 6U);
  EXPECT_EQ(entries[2], (MemoryEntry{"User", "site Seville", 7}));
  EXPECT_EQ(entries[0].line, "");
  EXPECT_EQ(text_of(entries), text);
  EXPECT_EQ(text_of(entries_of("Open: b\n\nUser: a\nNotes: c\n", 1)), "Notes: c\nUser: a\nOpen: b") << "in one order";
  EXPECT_TRUE(entries_of("", 1).empty());
  EXPECT_TRUE(entries_of("User: ; \n ", 1).empty());
}

TEST(Memory, JoinsWhatIsNewToWhatWasKnown) {
  Memory memory;
  fold_into(memory, 4, "User: Kofi Ruiz; site Seville\nAnswers: fee for ovens: USD 5 [A §1]");
  const Summary next = fold_into(memory, 8, "User: case K6\nAnswers: fee for lamps: USD 6 [A §2]");
  EXPECT_EQ(next.text,
            "User: Kofi Ruiz; site Seville; case K6\nAnswers: fee for ovens: USD 5 [A §1]; fee for lamps: USD 6 [A §2]");
  EXPECT_EQ(next.turns, (std::vector<std::uint32_t>{4, 4, 8, 4, 8}));
  EXPECT_TRUE(next.withdrawn.empty());
  EXPECT_TRUE(next.retired.empty());
}

TEST(Memory, ReplacesWhatIsSaidAgainOfTheSameThing) {
  Memory memory;
  fold_into(memory, 4, "User: Kofi Ruiz; site Seville\nAnswers: fee for ovens: USD 5 [A §1]; fee for lamps: USD 6 [A §2]");
  const Summary next = fold_into(memory, 8, "User: Ana Diaz; site Split\nAnswers: fee for ovens: USD 7 [A §1]");
  EXPECT_EQ(next.text, "User: Ana Diaz; site Split\nAnswers: fee for lamps: USD 6 [A §2]; fee for ovens: USD 7 [A §1]");
  EXPECT_EQ(texts(next.withdrawn), (Texts{"Kofi Ruiz", "site Seville", "fee for ovens: USD 5 [A §1]"}));
}

TEST(Memory, LosesNothingThatAModelForgetsToRepeat) {
  Memory memory;
  fold_into(memory, 4, "User: likes tea\nDecided: wait; go\nOpen: who pays; when it opens");
  const auto before = memory;
  fold_into(memory, 8, "");
  EXPECT_EQ(memory, before);
  fold_into(memory, 12, "User: likes dogs");
  EXPECT_EQ(text_of(memory.entries), "User: likes tea; likes dogs\nDecided: wait; go\nOpen: who pays; when it opens");
}

TEST(Memory, SettlesAnOpenPointThatWasShownAndIsNotRepeated) {
  Memory memory;
  fold_into(memory, 4, "Open: whether room E-163 is free; who pays for the boxes");
  const std::vector<Exchange> turns = {
      {"It is settled now whether room E-163 is free.", "Noted, settled: whether room E-163 is free."}};
  const auto shown = concerned(memory, turns);
  EXPECT_EQ(texts(shown), Texts{"whether room E-163 is free"});
  const Summary next = fold_into(memory, 8, "", plenty, shown);
  EXPECT_EQ(next.text, "Open: who pays for the boxes");
  EXPECT_EQ(texts(next.withdrawn), Texts{"whether room E-163 is free"});
}

TEST(Memory, SettlesAnOpenPointThatHasRetired) {
  Memory memory;
  fold_into(memory, 4, "Open: whether room E-163 is free; who pays for the boxes", 10);
  ASSERT_EQ(texts(memory.retired), Texts{"whether room E-163 is free"});
  const std::vector<Exchange> turns = {{"Done: whether room E-163 is free.", "Noted."}};
  const auto shown = concerned(memory, turns);
  ASSERT_EQ(texts(shown), Texts{"whether room E-163 is free"});
  fold_into(memory, 8, "", 10, shown);
  EXPECT_TRUE(memory.retired.empty());
}

TEST(Memory, RewritesProseAsAWhole) {
  Memory memory;
  fold_into(memory, 4, "They like boats.\nThey live in Split.");
  const auto shown = concerned(memory, {});
  EXPECT_EQ(texts(shown), (Texts{"They like boats.", "They live in Split."})) << "its model rewrites it, so it reads it";
  fold_into(memory, 8, "They like boats and live in Split.", 1, shown);
  EXPECT_EQ(text_of(memory.entries), "They like boats and live in Split.");
  EXPECT_TRUE(memory.retired.empty()) << "prose does not retire, however long";
  fold_into(memory, 12, "");
  EXPECT_EQ(text_of(memory.entries), "They like boats and live in Split.");
}

TEST(Memory, RetiresTheOldestOfTheLongestLineAndTheUserLast) {
  Memory memory;
  const Summary next = fold_into(memory, 4, "User: Kofi Ruiz\nAnswers: a: 1; b: 2; c: 3\nOpen: x", 15);
  EXPECT_EQ(next.text, "User: Kofi Ruiz\nAnswers: b: 2; c: 3\nOpen: x");
  EXPECT_EQ(texts(next.retired), Texts{"a: 1"});
  const Summary last = fold_into(memory, 8, "", 0);
  EXPECT_EQ(last.text, "");
  EXPECT_EQ(last.retired.back().text, "Kofi Ruiz");
  EXPECT_EQ(texts(memory.retired), (Texts{"a: 1", "b: 2", "c: 3", "x", "Kofi Ruiz"}));
}

TEST(Memory, RecallsWhatAQuestionIsAbout) {
  Memory memory;
  fold_into(memory, 4,
            "Answers: fee for ovens: USD 5 [A §1]; validity for crane licences: 12 months [A §2]; fee for lamps: USD 6 [A §3]\n"
            "Decided: close the orange gate at night",
            0);
  EXPECT_EQ(texts(recall(memory, "How long are crane licences valid?", 4)),
            Texts{"validity for crane licences: 12 months [A §2]"});
  EXPECT_EQ(texts(recall(memory, "Remind me of the fee for lamps.", 4)), Texts{"fee for lamps: USD 6 [A §3]"});
  const Texts fees = {"fee for ovens: USD 5 [A §1]", "fee for lamps: USD 6 [A §3]"};
  EXPECT_EQ(texts(recall(memory, "Which fees are there?", 4)), fees) << "the oldest first";
  EXPECT_EQ(texts(recall(memory, "Which fees are there?", 1)), Texts{fees[1]}) << "of equals the newer";
  EXPECT_EQ(texts(recall(memory, "Is the orange gate closed?", 4)), Texts{"close the orange gate at night"});
  EXPECT_TRUE(recall(memory, "Good morning", 4).empty());
  EXPECT_TRUE(recall(memory, "What about ovens?", 0).empty());
}

TEST(Memory, IsReadWithWhatWasRecalledBeforeWhatIsNewer) {
  Memory memory;
  fold_into(memory, 4, "Answers: a: 1; b: 2", 6);
  EXPECT_EQ(with_recalled(memory, memory.retired), "Answers: a: 1; b: 2");
  EXPECT_EQ(with_recalled(memory, {}), "Answers: b: 2");
}

TEST(Memory, BringsBackWhatIsSaidAgain) {
  Memory memory;
  fold_into(memory, 4, "Answers: a: 1; b: 2", 6);
  fold_into(memory, 8, "Answers: a: 3", 12);
  EXPECT_EQ(text_of(memory.entries), "Answers: b: 2; a: 3");
  EXPECT_TRUE(memory.retired.empty()) << "what was known of it before no longer holds";
}

TEST(Memory, IsBoundedHoweverLongTheConversation) {
  Memory memory;
  for (std::uint32_t turn = 1; turn <= 5000; ++turn) {
    const Summary next = fold_into(memory, turn, "Answers: fee for thing " + std::to_string(turn) + ": USD 5 [Rules §1]", 256);
    ASSERT_LE(estimate_tokens(next.text), 256);
    ASSERT_LE(next.retired.size(), 2U);
  }
  EXPECT_EQ(texts(recall(memory, "What was the fee for thing 17?", 1)), Texts{"fee for thing 17: USD 5 [Rules §1]"});
  Summary many;
  many.version = 6000;
  many.retired.assign(Memory::retired_max + 5, {"Answers", "x: y", 1});
  remember(memory, many);
  EXPECT_EQ(memory.retired.size(), Memory::retired_max);
}

TEST(Memory, IsWhatItsSummariesSay) {
  const std::vector<std::string> words = {"a", "b", "c", "Kofi Ruiz", "site X", "site Y", "p: 1", "p: 2", "q: 3"};
  const std::vector<std::string> lines = {"User: ", "Answers: ", "Decided: ", "Open: ", ""};
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    Memory memory;
    std::vector<Summary> summaries;
    for (std::uint32_t turn = 1; turn <= 12; ++turn) {
      std::string written;
      for (auto left = random.below(4); left > 0; --left) {
        written += lines[random.below(lines.size())] + words[random.below(words.size())] + "; " +
                   words[random.below(words.size())] + "\n";
      }
      const std::vector<Exchange> turns = {{words[random.below(words.size())], ""}};
      summaries.push_back(
          fold_into(memory, turn, written, static_cast<std::int32_t>(random.below(20)), concerned(memory, turns)));
      ASSERT_EQ(summaries.back().turns.size(), memory.entries.size());
    }
    Memory again;
    for (const Summary& summary : summaries) remember(again, summary);
    ASSERT_EQ(again, memory);
  }
}

}  // namespace
}  // namespace troupe::policy
