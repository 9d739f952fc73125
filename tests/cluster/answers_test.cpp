// Real processes answer questions: over one node and two, over a node killed in mid-stream, and in order.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "tests/cli/run_troupe.hpp"
#include "tests/cluster/troupe_of.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::tests {
namespace {

using policy::Assurance;
using policy::Tier;

const std::string long_question = "Compare the time clock and the oxygen plant: which must be restored sooner?";

policy::Ask draft(std::string question, Tier tier) {
  policy::Ask ask;
  ask.question = std::move(question);
  ask.assurance = Assurance::draft;
  ask.tier = tier;
  return ask;
}

/// So hot that each token is a draw among thousands: long, and other in every bit if one draw is.
policy::Ask sampled(std::string question, Tier tier) {
  policy::Ask ask = draft(std::move(question), tier);
  ask.sampling.temperature = 10;
  ask.seed = 11;
  ask.tokens_max = 96;
  return ask;
}

class Nodes : public testing::Test {
 protected:
  void start(std::vector<NodeSetup> setups) {
    troupe_ = std::make_unique<TroupeOf>(TROUPE_BINARY, folder_.path(), std::move(setups));
    const auto started = troupe_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  void start_one() { start({{"one", {"mini"}}}); }
  /// Heavy on the second alone.
  void start_two() { start({{"one", {"mini"}}, {"two", {"heavy"}}}); }

  clients::Client client(std::size_t first = 0) const { return troupe_->client(first); }
  static clients::Conversation opened(const clients::Client& client) {
    auto conversation = client.open();
    TROUPE_CHECK(conversation.has_value(), "a node that serves opens a conversation");
    return std::move(*conversation);
  }
  /// The bits of the answer to one question in a conversation of its own.
  std::string bits(const policy::Ask& ask, std::size_t first = 0, const clients::OnEvent& on_event = {}) const {
    return bits_in(opened(client(first)), ask, on_event);
  }
  static std::string bits_in(const clients::Conversation& conversation, const policy::Ask& ask,
                             const clients::OnEvent& on_event = {}) {
    const auto answer = conversation.ask(ask, on_event);
    EXPECT_TRUE(answer) << answer.error().message;
    if (!answer) return {};
    EXPECT_TRUE(answer->end.outcome.committed) << answer->end.outcome.message;
    const auto turn = conversation.explain(answer->turn.number, true);
    EXPECT_TRUE(turn) << turn.error().message;
    return turn ? bits_of(*turn) : std::string{};
  }
  /// Kills a node at the first tokens that it hears, and starts it again.
  clients::OnEvent killing(std::size_t victim, Heard& heard) {
    return [this, victim, &heard, killed = false](const policy::TurnEvent& event) mutable {
      heard.events.push_back(event);
      if (killed || !std::holds_alternative<policy::TokensEvent>(event.what)) return;
      killed = true;
      const auto again = troupe_->node(victim).start();
      ASSERT_TRUE(again) << again.error().message;
    };
  }

  TemporaryFolder folder_;
  std::unique_ptr<TroupeOf> troupe_;
};

TEST_F(Nodes, OneAnswersWithNumberedEventsAndTheSameBitsWarmAndCold) {
  start_one();
  Heard heard;
  const policy::Ask ask = draft(long_question, Tier::mini);
  const std::string cold = bits(ask, 0, into(heard));
  EXPECT_TRUE(heard.is_whole());
  EXPECT_GT(heard.ids().size(), 10U);
  Heard again;
  EXPECT_EQ(bits(ask, 0, into(again)), cold);
  const auto* end = std::get_if<policy::CommittedEvent>(&again.events.back().what);
  ASSERT_NE(end, nullptr);
  EXPECT_GT(end->reused_tokens, 100) << "the second answer was not from a warm cache";
  ASSERT_TRUE(troupe_->node(0).start());  // kills the one that runs
  EXPECT_EQ(bits(ask), cold);
}

TEST_F(Nodes, SayForWhichTierAQuestionHasWaited) {
  start({{"one", {"heavy"}}});
  policy::Ask ask;
  ask.question = long_question;
  ask.tier = Tier::mini;  // nobody else may take its place
  ask.deadline_ms = 500;
  const auto answer = opened(client()).ask(ask);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_FALSE(answer->end.outcome.committed);
  EXPECT_EQ(answer->end.outcome.code, "deadline_exceeded");
  EXPECT_NE(answer->end.outcome.message.find("no node serves mini now"), std::string::npos) << answer->end.outcome.message;

  const Outcome asked = troupe("ask --tier mini --deadline 3 --connect " + troupe_->node(0).clients() + " 'Which is it?'");
  EXPECT_EQ(asked.status, 1);
  EXPECT_NE(asked.output.find("waiting: no node serves mini or medium now"), std::string::npos) << asked.output;
}

TEST_F(Nodes, TwoGiveTheBitsOfOneWhereverTheClientConnects) {
  start({{"all", {"mini", "heavy"}}});
  std::vector<policy::Ask> asks{draft(long_question, Tier::mini), sampled(long_question, Tier::mini),
                                draft(long_question, Tier::heavy), sampled(long_question, Tier::heavy)};
  std::vector<std::string> alone;
  for (const policy::Ask& ask : asks) alone.push_back(bits(ask));
  EXPECT_EQ(std::set(alone.begin(), alone.end()).size(), asks.size());

  start_two();
  for (std::size_t first = 0; first < 2; ++first) {
    for (std::size_t i = 0; i < asks.size(); ++i)
      EXPECT_EQ(bits(asks[i], first), alone[i]) << "question " << i << " by node " << first;
  }
}

TEST_F(Nodes, FinishAnAnswerWithTheSameBitsWhenItsEngineIsKilledInMidStream) {
  start_two();
  const policy::Ask ask = sampled(long_question, Tier::heavy);
  Heard whole;
  Heard interrupted;
  const std::string undisturbed = bits(ask, 0, into(whole));
  EXPECT_EQ(bits(ask, 0, killing(1, interrupted)), undisturbed);
  EXPECT_TRUE(interrupted.is_whole());
  EXPECT_EQ(interrupted.ids(), whole.ids());
}

TEST_F(Nodes, FinishAnAnswerWithTheSameBitsWhenItsHomeIsKilledInMidStream) {
  start_two();
  for (std::size_t home = 0; home < 2; ++home) {
    const policy::Ask ask = draft(long_question, home == 0 ? Tier::heavy : Tier::mini);
    Heard whole;
    Heard interrupted;
    const std::string undisturbed = bits(ask, home, into(whole));
    EXPECT_EQ(bits(ask, home, killing(home, interrupted)), undisturbed);
    EXPECT_TRUE(interrupted.is_whole());
    EXPECT_EQ(interrupted.ids(), whole.ids());
    ASSERT_TRUE(troupe_->wait_until_serving());
  }
}

TEST_F(Nodes, RememberAConversationWhoseHomeWasKilledBetweenTurns) {
  start_one();
  const std::vector<std::string> says{"I have case 4711 open.", "How long are access logs kept?", "What is my case number?"};
  const auto undisturbed = opened(client());
  std::vector<std::string> expected;
  for (const std::string& words : says) expected.push_back(bits_in(undisturbed, draft(words, Tier::mini)));

  const auto killed = opened(client());
  for (std::size_t i = 0; i < says.size(); ++i) {
    if (i == 2) {
      ASSERT_TRUE(troupe_->node(0).start());  // kills the one that runs
    }
    EXPECT_EQ(bits_in(killed, draft(says[i], Tier::mini)), expected[i]);
  }
  const auto resumed = client().resume(killed.id());
  ASSERT_TRUE(resumed) << resumed.error().message;
  const auto page = resumed->history();
  ASSERT_TRUE(page) << page.error().message;
  ASSERT_EQ(page->turns.size(), says.size());
  for (std::size_t i = 0; i < says.size(); ++i) EXPECT_EQ(page->turns[i].ask.question, says[i]);
  ASSERT_TRUE(page->turns.back().outcome);
  EXPECT_NE(page->turns.back().outcome->answer.find("4711"), std::string::npos) << page->turns.back().outcome->answer;
}

TEST_F(Nodes, AnswerAnIdempotencyKeyOnceAlsoAfterAKill) {
  start_one();
  const auto conversation = opened(client());
  policy::Ask ask = draft(long_question, Tier::mini);
  ask.idempotency_key = "the same";
  Heard first;
  Heard again;
  const auto answer = conversation.ask(ask, into(first));
  ASSERT_TRUE(answer) << answer.error().message;
  ASSERT_TRUE(troupe_->node(0).start());  // kills the one that runs
  const auto repeated = conversation.ask(ask, into(again));
  ASSERT_TRUE(repeated) << repeated.error().message;
  EXPECT_EQ(repeated->turn, answer->turn);
  EXPECT_EQ(again.events, first.events);
  policy::Ask other = ask;
  other.question = "What is a witness?";
  const auto refused = conversation.ask(other);
  ASSERT_FALSE(refused) << "the answer to one question is none to another";
  EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
  EXPECT_NE(refused.error().message.find(to_string(answer->turn)), std::string::npos) << refused.error().message;
  ask.idempotency_key = "another";
  const auto another = conversation.ask(ask);
  ASSERT_TRUE(another) << another.error().message;
  EXPECT_EQ(another->turn.number, answer->turn.number + 1);
}

TEST_F(Nodes, OrderTheTurnsOfTwoClientsOfOneConversation) {
  constexpr int each = 4;
  start_one();
  const auto conversation = opened(client());
  const auto ask_all = [&](int who) {
    const auto own = client();
    const auto resumed = own.resume(conversation.id());
    std::vector<std::uint32_t> numbers;
    for (int i = 0; resumed && i < each; ++i) {
      const auto answer = resumed->ask(draft("I have case " + std::to_string(1000 + 100 * who + i) + " open.", Tier::mini));
      if (answer && answer->end.outcome.committed) numbers.push_back(answer->turn.number);
    }
    return numbers;
  };
  auto other = std::async(std::launch::async, ask_all, 1);
  std::vector<std::uint32_t> numbers = ask_all(2);
  EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end()));
  for (const std::uint32_t number : other.get()) numbers.push_back(number);
  EXPECT_EQ(std::set(numbers.begin(), numbers.end()).size(), 2U * each);

  // Each turn was answered with all before it in its prompt: the same questions one after the other give the same bits.
  const auto page = conversation.history();
  ASSERT_TRUE(page) << page.error().message;
  ASSERT_EQ(page->turns.size(), 2U * each);
  const auto in_turn = opened(client());
  for (const policy::Turn& turn : page->turns) {
    const auto explained = conversation.explain(turn.id.number, true);
    ASSERT_TRUE(explained) << explained.error().message;
    EXPECT_EQ(bits_in(in_turn, draft(turn.ask.question, Tier::mini)), bits_of(*explained)) << turn.id.number;
  }
}

TEST_F(Nodes, ResumeAStreamAtTheEventAskedFor) {
  start_one();
  const auto conversation = opened(client());
  Heard whole;
  const auto answer = conversation.ask(draft(long_question, Tier::mini), into(whole));
  ASSERT_TRUE(answer) << answer.error().message;
  for (std::size_t i = 0; i < whole.events.size(); i += 5) {
    Heard rest;
    const auto followed = conversation.follow(answer->turn.number, whole.events[i].number, into(rest));
    ASSERT_TRUE(followed) << followed.error().message;
    EXPECT_TRUE(std::equal(whole.events.begin() + static_cast<std::ptrdiff_t>(i), whole.events.end(), rest.events.begin(),
                           rest.events.end()))
        << "from " << whole.events[i].number;
  }
}

}  // namespace
}  // namespace troupe::tests
