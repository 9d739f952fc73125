// The client library against real gateways: what it delivers, and what it survives.
#include "clients/cpp/client.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "gateway/listen.hpp"
#include "tests/clients/cpp/quick_client.hpp"
#include "tests/gateway/memory_front.hpp"

namespace troupe::clients {
namespace {

using namespace std::chrono_literals;

policy::Ask question(std::int32_t words, std::string key = {}) {
  policy::Ask ask;
  ask.question = "How many words?";
  ask.tokens_max = words;
  ask.idempotency_key = std::move(key);
  return ask;
}

/// Event numbers as they came.
struct Numbers {
  std::vector<std::uint64_t> seen;
  OnEvent note() {
    return [this](const policy::TurnEvent& event) { seen.push_back(event.number); };
  }
  bool are_all_up_to(std::uint64_t last) const {
    if (seen.size() != last + 1) return false;
    for (std::size_t i = 0; i < seen.size(); ++i) {
      if (seen[i] != i) return false;
    }
    return true;
  }
};

TEST(Client, AsksAndHandsEachEventToTheCallersThread) {
  MemoryFront front;
  const ServedGateway gateway(front);
  const Client client = connected({gateway.address()});
  const auto conversation = client.open();
  ASSERT_TRUE(conversation) << conversation.error().message;
  Numbers numbers;
  const auto self = std::this_thread::get_id();
  std::string text;
  const auto answer = conversation->ask(question(200), [&](const policy::TurnEvent& event) {
    EXPECT_EQ(std::this_thread::get_id(), self);
    numbers.note()(event);
    if (const auto* tokens = std::get_if<policy::TokensEvent>(&event.what)) text += tokens->text;
  });
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_TRUE(numbers.are_all_up_to(202));
  EXPECT_EQ(text.substr(0, 9), "w0 w1 w2 ");
  EXPECT_TRUE(answer->end.outcome.committed);
  EXPECT_EQ(answer->end.outcome.answer, "200 words");
  EXPECT_EQ(answer->turn, (policy::TurnId{conversation->id(), 1}));
  EXPECT_FALSE(answer->replayed);
}

TEST(Client, TheSameKeyIsTheSameTurn) {
  MemoryFront front;
  const ServedGateway gateway(front);
  const Client client = connected({gateway.address()});
  const auto conversation = client.open();
  EXPECT_EQ(conversation->ask(question(3, "once"))->turn.number, 1U);
  EXPECT_EQ(conversation->ask(question(3, "once"))->turn.number, 1U);
  EXPECT_EQ(conversation->ask(question(3))->turn.number, 2U);
  EXPECT_EQ(conversation->ask(question(3))->turn.number, 3U);
}

TEST(Client, ResumesAConversationAndFollowsFromAnEvent) {
  MemoryFront front;
  const ServedGateway gateway(front);
  const auto conversation = connected({gateway.address()}).open();
  ASSERT_TRUE(conversation->ask(question(20)));
  const Client other = connected({gateway.address()});
  const auto resumed = other.resume(conversation->id());
  ASSERT_TRUE(resumed);
  EXPECT_EQ(resumed->turns(), 1U);
  Numbers numbers;
  ASSERT_TRUE(resumed->follow(1, 15, numbers.note()));
  ASSERT_EQ(numbers.seen.size(), 8U);
  EXPECT_EQ(numbers.seen.front(), 15U);
  policy::ConversationId nobodys;
  nobodys.bytes.fill(0xee);
  const auto missing = other.resume(nobodys);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
}

TEST(Client, TellsHistoryTurnsModelsAndTheCluster) {
  MemoryFront front;
  const ServedGateway gateway(front);
  const Client client = connected({gateway.address()});
  const auto conversation = client.open();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(conversation->ask(question(2)));
  const auto page = conversation->history(2, 3);
  ASSERT_TRUE(page) << page.error().message;
  ASSERT_EQ(page->turns.size(), 3U);
  EXPECT_EQ(page->turns[0].id.number, 2U);
  EXPECT_TRUE(page->more);
  EXPECT_FALSE(conversation->history(4)->more);
  EXPECT_EQ(conversation->history(1, 0).error().code, ErrorCode::out_of_range);
  EXPECT_TRUE(conversation->explain(1)->attempts[0].plan.prompt.empty());
  EXPECT_EQ(conversation->explain(1, true)->attempts[0].plan.prompt, (policy::TokenIds{1, 2, 3}));
  EXPECT_EQ(conversation->explain(99).error().code, ErrorCode::not_found);
  const auto models = client.models();
  ASSERT_TRUE(models);
  ASSERT_EQ(models->size(), 1U);
  EXPECT_EQ(models->front().nodes, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(client.status()->nodes.size(), 2U);
}

TEST(Client, AsksWhatCameOfShadows) {
  MemoryFront front;
  const ServedGateway gateway(front);
  const Client client = connected({gateway.address()});
  policy::ShadowQuery query;
  query.from = 2;
  query.limit = 10;
  query.texts = true;
  const auto page = client.shadows(query);
  ASSERT_TRUE(page) << page.error().message;
  ASSERT_EQ(page->records.size(), 1U);
  EXPECT_EQ(page->records[0].number, 2U);
  EXPECT_EQ(page->records[0].record.client.text, "yes");
  EXPECT_EQ(page->running.at(0).says, "0.5 of the turns: heavy, alone");
  query.limit = 0;
  EXPECT_EQ(client.shadows(query).error().code, ErrorCode::out_of_range);
}

TEST(Client, PinsAndRemovesPins) {
  MemoryFront front;
  const ServedGateway gateway(front);
  const auto conversation = connected({gateway.address()}).open();
  EXPECT_EQ(conversation->pins().value(), policy::Pins{});
  EXPECT_EQ(conversation->pin("case K6").value(), (policy::Pins{1, {"case K6"}}));
  EXPECT_EQ(conversation->pin("case K6").value(), (policy::Pins{1, {"case K6"}})) << "not twice";
  EXPECT_EQ(conversation->pin("site Split").value().version, 2U);
  EXPECT_EQ(conversation->unpin("case K6").value(), (policy::Pins{3, {"site Split"}}));
  EXPECT_EQ(conversation->pin("").error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(conversation->pin(std::string(300, 'x')).error().code, ErrorCode::too_large);
}

TEST(Client, TakesANodeOutOfTheClustersWorkAndBack) {
  MemoryFront front;
  const ServedGateway gateway(front);
  const Client client = connected({gateway.address()});
  const auto drained = client.drain("b");
  ASSERT_TRUE(drained) << drained.error().message;
  EXPECT_EQ(drained->id.value, "b");
  EXPECT_EQ(drained->state, policy::NodeState::draining);
  EXPECT_EQ(drained->conversations_stored, 3);
  EXPECT_EQ(client.status()->nodes[1].state, policy::NodeState::draining);
  EXPECT_EQ(client.join("b")->state, policy::NodeState::serving);
  EXPECT_EQ(client.status()->nodes[1].state, policy::NodeState::serving);
  const auto refused = client.drain("a");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::unsupported);
  EXPECT_EQ(refused.error().message, "node a cannot be drained");
}

TEST(Client, APageOfLargeTurnsIsCutToWhatAReplyHolds) {
  MemoryFront front;
  const ServedGateway gateway(front);
  const Client client = connected({gateway.address()});
  const auto conversation = client.open();
  constexpr std::uint32_t turns = 64;
  for (std::uint32_t i = 0; i < turns; ++i) {
    policy::Ask ask = question(1);
    ask.question = std::string(policy::Ask::question_bytes_max, 'q');
    ASSERT_TRUE(conversation->ask(ask));
  }
  std::uint32_t next = 1;
  int pages = 0;
  for (bool more = true; more; ++pages) {
    const auto page = conversation->history(next);
    ASSERT_TRUE(page) << page.error().message;
    ASSERT_FALSE(page->turns.empty());
    EXPECT_EQ(page->turns.front().id.number, next);
    next = page->turns.back().id.number + 1;
    more = page->more;
  }
  EXPECT_EQ(next, turns + 1);
  EXPECT_EQ(pages, 2);  // 64 times 64 KiB and a little, in pages of 4 MiB
}

TEST(Client, ManyThreadsMayAskAtOnce) {
  MemoryFront front;
  const ServedGateway gateway(front);
  const Client client = connected({gateway.address()});
  const auto conversation = client.open();
  std::vector<std::future<bool>> asks;
  for (int i = 0; i < 8; ++i) {
    asks.push_back(std::async(std::launch::async, [&] {
      Numbers numbers;
      const auto answer = conversation->ask(question(300), numbers.note());
      return answer && numbers.are_all_up_to(302);
    }));
  }
  for (auto& ask : asks) EXPECT_TRUE(ask.get());
}

TEST(Client, ACallerThatDwellsOnAnEventHoldsTheTroupeBack) {
  MemoryFront front;
  const ServedGateway gateway(front);
  const Client client = connected({gateway.address()});
  const auto conversation = client.open();
  Numbers numbers;
  std::size_t handed = 0;
  const auto answer = conversation->ask(question(2000), [&](const policy::TurnEvent& event) {
    numbers.note()(event);
    if (event.number != 40) return;
    // Everything that credit allows has come by the time that nothing more comes.
    front.eventually([&](const MemoryFront& seen) { return seen.handed() >= 96; });
    handed = front.handed();
  });
  ASSERT_TRUE(answer);
  EXPECT_LE(handed, 128U);
  EXPECT_TRUE(numbers.are_all_up_to(2002));
}

TEST(Client, SurvivesAGatewayThatIsKilledAndStartedAgain) {
  MemoryFront front;
  front.stop_after(50);
  auto gateway = std::make_unique<ServedGateway>(front);
  const std::uint16_t port = gateway->port();
  const Client client = connected({gateway->address()});
  const auto conversation = client.open();
  Numbers numbers;
  std::promise<void> halfway;
  auto answer = std::async(std::launch::async, [&] {
    return conversation->ask(question(100), [&](const policy::TurnEvent& event) {
      numbers.note()(event);
      if (event.number == 51) halfway.set_value();
    });
  });
  halfway.get_future().wait();
  gateway.reset();
  EXPECT_EQ(front.readers(), 0U);
  front.go_on();
  gateway = std::make_unique<ServedGateway>(front, port);
  const auto result = answer.get();
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(result->replayed);
  EXPECT_TRUE(numbers.are_all_up_to(102));
  EXPECT_EQ(front.asks(), 1U);
}

TEST(Client, GoesToAnotherAddressWhenANodeIsLost) {
  MemoryFront front;
  front.stop_after(10);
  auto first = std::make_unique<ServedGateway>(front);
  const ServedGateway second(front);
  const Client client = connected({first->address(), second.address()});
  const auto conversation = client.open();
  Numbers numbers;
  const auto answer = conversation->ask(question(20), [&](const policy::TurnEvent& event) {
    numbers.note()(event);
    if (event.number != 11) return;
    first.reset();
    front.go_on();
  });
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_TRUE(numbers.are_all_up_to(22));
  // And what comes later goes there too.
  EXPECT_TRUE(client.models());
}

TEST(Client, RetriesWhatIsUnavailableAndReportsWhatIsRefused) {
  MemoryFront front;
  const ServedGateway gateway(front);
  const Client client = connected({gateway.address()});
  const auto conversation = client.open();
  front.refuse(Error{ErrorCode::overloaded, "the queue is full"});
  const auto refused = conversation->ask(question(3));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::overloaded);
  EXPECT_EQ(refused.error().message, "the queue is full");

  front.refuse(Error{ErrorCode::unavailable, "its home is away"});
  auto later = std::async(std::launch::async, [&] { return conversation->ask(question(3)); });
  EXPECT_EQ(later.wait_for(100ms), std::future_status::timeout);
  front.refuse(std::nullopt);
  EXPECT_TRUE(later.get());

  const auto nonsense = conversation->ask(question(-1));
  ASSERT_FALSE(nonsense);
  EXPECT_EQ(nonsense.error().code, ErrorCode::out_of_range);
}

TEST(Client, SaysWhichAddressesDidNotAnswer) {
  const auto refused = Client::connect({"127.0.0.1:1", "no such host:7400"}, quick());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::unavailable);
  EXPECT_NE(refused.error().message.find("127.0.0.1:1: "), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().message.find("no such host:7400: this address cannot be looked up: "), std::string::npos)
      << refused.error().message;
  EXPECT_EQ(refused.error().message.find("gai_strerror"), std::string::npos) << refused.error().message;
  EXPECT_FALSE(Client::connect({}, quick()));
}

TEST(Client, ANodeThatAcceptsAndSaysNothingIsGivenUp) {
  // The kernel accepts; nobody ever reads.
  const auto mute = gateway::Listener::open("127.0.0.1:0");
  ASSERT_TRUE(mute);
  const auto refused = Client::connect({mute->address()}, quick());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find(mute->address()), std::string::npos) << refused.error().message;

  MemoryFront front;
  const ServedGateway gateway(front);
  const Client client = connected({mute->address(), gateway.address()});
  EXPECT_TRUE(client.models());
}

TEST(Client, AReplyThatDoesNotComeEndsWithItsTime) {
  MemoryFront front;
  const ServedGateway gateway(front);
  ClientOptions options = quick();
  options.reply_timeout = 100ms;
  options.patience = 300ms;
  const Client client = connected({gateway.address()}, options);
  const auto conversation = client.open();
  front.fall_silent();
  policy::Ask ask = question(3);
  ask.deadline_ms = 100;
  const auto answer = conversation->ask(ask);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::unavailable) << answer.error().message;
  EXPECT_NE(answer.error().message.find("no answer from " + gateway.address()), std::string::npos) << answer.error().message;
  EXPECT_GT(front.asks(), 1U);  // sent again under its key
}

TEST(Client, AnInterruptCancelsTheTurnAndReadsItsEnd) {
  MemoryFront front;
  front.stop_after(5);
  const ServedGateway gateway(front);
  std::atomic<bool> interrupt = false;
  const Client client = connected({gateway.address()}, quick_until(interrupt));
  const auto conversation = client.open();
  const auto answer = conversation->ask(question(50), [&](const policy::TurnEvent& event) { interrupt = event.number >= 6; });
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_FALSE(answer->end.outcome.committed);
  EXPECT_EQ(answer->end.outcome.code, "cancelled");
}

TEST(Client, AnInterruptEndsAlsoWhereNobodyCanBeTold) {
  MemoryFront front;
  front.stop_after(5);
  const ServedGateway gateway(front);
  std::atomic<bool> interrupt = false;
  ClientOptions options = quick_until(interrupt);
  options.patience = 300ms;
  const Client client = connected({gateway.address()}, options);
  const auto conversation = client.open();
  policy::Ask ask = question(50);
  ask.deadline_ms = 60'000;
  const auto answer = conversation->ask(ask, [&](const policy::TurnEvent& event) {
    if (event.number < 5) return;
    front.fall_silent();
    interrupt = true;
  });
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::cancelled) << answer.error().message;
  EXPECT_NE(answer.error().message.find("could not be told"), std::string::npos) << answer.error().message;
}

TEST(Client, AnExceptionOfTheCallerEndsTheReading) {
  MemoryFront front;
  front.stop_after(5);
  const ServedGateway gateway(front);
  const Client client = connected({gateway.address()});
  const auto conversation = client.open();
  EXPECT_THROW((void)conversation->ask(question(50), [](const policy::TurnEvent&) { throw std::runtime_error("enough"); }),
               std::runtime_error);
  EXPECT_TRUE(front.eventually([](const MemoryFront& seen) { return seen.readers() == 0; }));
  EXPECT_TRUE(client.models());
}

}  // namespace
}  // namespace troupe::clients
