// What a conversation remembers outlives its node: pins are in every later prompt, and what was said long ago is recalled.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/cluster/troupe_of.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::tests {
namespace {

class Memory : public testing::Test {
 protected:
  void SetUp() override {
    troupe_ = std::make_unique<TroupeOf>(TROUPE_BINARY, folder_.path(), std::vector<NodeSetup>{{"one", {"mini"}}});
    const auto started = troupe_->start();
    ASSERT_TRUE(started) << started.error().message;
    client_.emplace(troupe_->client());
    auto opened = client_->open();
    ASSERT_TRUE(opened) << opened.error().message;
    conversation_.emplace(*std::move(opened));
  }
  void kill_and_start() {
    const auto again = troupe_->node(0).start();
    ASSERT_TRUE(again) << again.error().message;
  }
  /// The turn, with what it was planned from.
  policy::Turn ask(const std::string& question) const {
    policy::Ask ask;
    ask.question = question;
    ask.grounding = policy::Grounding::never;
    ask.assurance = policy::Assurance::draft;
    ask.tier = policy::Tier::mini;
    const auto answer = conversation_->ask(ask);
    EXPECT_TRUE(answer) << answer.error().message;
    if (!answer) return {};
    const auto turn = conversation_->explain(answer->turn.number);
    EXPECT_TRUE(turn) << turn.error().message;
    return turn ? *turn : policy::Turn{};
  }

  TemporaryFolder folder_;
  std::unique_ptr<TroupeOf> troupe_;
  std::optional<clients::Client> client_;
  std::optional<clients::Conversation> conversation_;
};

TEST_F(Memory, KeepsPinsOverAKilledNode) {
  EXPECT_EQ(ask("Hello").attempts.back().plan.pins_version, 0U);
  ASSERT_EQ(conversation_->pin("site Split").value(), (policy::Pins{1, {"site Split"}}));
  kill_and_start();
  EXPECT_EQ(conversation_->pins().value(), (policy::Pins{1, {"site Split"}}));
  const policy::Turn turn = ask("Which site am I at?");
  EXPECT_EQ(turn.attempts.back().plan.pins_version, 1U);
  EXPECT_EQ(turn.outcome->answer, "Your site is Split.");
  EXPECT_EQ(conversation_->unpin("site Split").value().version, 2U);
  EXPECT_EQ(ask("Thanks").attempts.back().plan.pins_version, 2U);
}

TEST_F(Memory, RecallsWhatWasFoldedBeforeANodeWasKilled) {
  ask("My site is Split.");
  for (int i = 0; i < 13; ++i) ask("Thanks");
  kill_and_start();
  const policy::Turn turn = ask("Which site am I at?");
  EXPECT_GT(turn.attempts.back().plan.summary_version, 0U);
  EXPECT_EQ(turn.outcome->answer, "Your site is Split.");
  const auto page = conversation_->history();
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_EQ(page->turns.size(), 15U) << "the turns stay readable";
  ASSERT_FALSE(page->summaries.empty());
  EXPECT_EQ(page->summaries[0].text, "User: site Split");
  EXPECT_EQ(page->summaries[0].turns, std::vector<std::uint32_t>{page->summaries[0].last_turn});
  const auto later = conversation_->history(10);
  for (const policy::Summary& summary : later->summaries) EXPECT_GE(summary.last_turn, 10U) << "of these turns alone";
}

}  // namespace
}  // namespace troupe::tests
