// The gateway over real sockets, spoken to as a stranger may: with a bare RPC client, with too much, and with nonsense.
#include "gateway/rpc_server.hpp"

#include <arpa/inet.h>
#include <capnp/rpc-twoparty.h>
#include <gtest/gtest.h>
#include <kj/async-io.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "tests/gateway/memory_front.hpp"

namespace troupe::gateway {
namespace {

namespace client = schemas::client;

/// A client as bare as they come.
struct Dialled {
  Dialled(kj::AsyncIoContext& io, const std::string& address)
      : stream(io.provider->getNetwork().parseAddress(address.c_str()).wait(io.waitScope)->connect().wait(io.waitScope)),
        rpc(*stream),
        door(rpc.bootstrap().castAs<client::Door>()) {}

  client::Service::Client enter(kj::WaitScope& scope) {
    auto request = door.enterRequest();
    request.setProtocol(client::PROTOCOL_VERSION);
    auto response = request.send().wait(scope);
    TROUPE_CHECK(response.getOutcome().isValue(), "the door opens");
    return response.getOutcome().getValue().getService();
  }

  kj::Own<kj::AsyncIoStream> stream;
  capnp::TwoPartyClient rpc;
  client::Door::Client door;
};

/// Remembers what it was sent; acknowledges when it is let.
class Notes final : public client::EventReader::Server {
 public:
  struct State {
    std::vector<std::uint64_t> numbers;
    bool acknowledges = true;
    int acknowledgements = 0;
  };
  explicit Notes(State& state) : state_(state) {}
  kj::Promise<void> events(EventsContext context) override {
    for (const auto event : context.getParams().getEvents()) state_.numbers.push_back(event.getNumber());
    return kj::READY_NOW;
  }
  kj::Promise<void> acknowledge(AcknowledgeContext context) override {
    context.allowCancellation();
    ++state_.acknowledgements;
    if (state_.acknowledges) return kj::READY_NOW;
    return kj::NEVER_DONE;
  }

 private:
  State& state_;
};

client::Conversation::Client open(client::Service::Client service, kj::WaitScope& scope) {
  return service.openRequest().send().wait(scope).getOutcome().getValue().getConversation();
}

auto ask(client::Conversation::Client conversation, const std::string& key, std::int32_t tokens) {
  auto request = conversation.askRequest();
  policy::Ask ask;
  ask.idempotency_key = key;
  ask.question = "How many words?";
  ask.tokens_max = tokens;
  schemas::write(request.initAsk(), ask);
  return request.send();
}

auto follow(client::Conversation::Client conversation, std::uint32_t turn, std::uint64_t from, Notes::State& state) {
  auto request = conversation.followRequest();
  request.setTurn(turn);
  request.setFrom(from);
  request.setReader(kj::heap<Notes>(state));
  return request.send();
}

std::string failure_of(const auto& response) {
  const auto outcome = response.getOutcome();
  return outcome.isFailure() ? std::string(outcome.getFailure().getCode().cStr()) : "none";
}

TEST(RpcServer, StreamsEveryEventOfATurnInOrder) {
  MemoryFront front;
  const ServedGateway gateway(front);
  auto io = kj::setupAsyncIo();
  Dialled peer(io, gateway.address());
  auto conversation = open(peer.enter(io.waitScope), io.waitScope);
  EXPECT_EQ(ask(conversation, "k", 500).wait(io.waitScope).getOutcome().getValue().getTurn(), 1U);
  Notes::State notes;
  const auto end = follow(conversation, 1, 0, notes).wait(io.waitScope);
  EXPECT_EQ(end.getOutcome().getValue().getEvents(), 503U);
  ASSERT_EQ(notes.numbers.size(), 503U);
  for (std::size_t i = 0; i < notes.numbers.size(); ++i) ASSERT_EQ(notes.numbers[i], i);
  EXPECT_GE(notes.acknowledgements, 15);
}

TEST(RpcServer, FollowsFromTheEventAskedFor) {
  MemoryFront front;
  const ServedGateway gateway(front);
  auto io = kj::setupAsyncIo();
  Dialled peer(io, gateway.address());
  auto conversation = open(peer.enter(io.waitScope), io.waitScope);
  ask(conversation, "k", 40).wait(io.waitScope);
  Notes::State notes;
  follow(conversation, 1, 30, notes).wait(io.waitScope);
  ASSERT_EQ(notes.numbers.size(), 13U);
  EXPECT_EQ(notes.numbers.front(), 30U);
  EXPECT_EQ(notes.numbers.back(), 42U);
}

TEST(RpcServer, AReaderThatDoesNotAcknowledgeBoundsWhatIsOnItsWay) {
  MemoryFront front;
  const ServedGateway gateway(front);
  auto io = kj::setupAsyncIo();
  Dialled peer(io, gateway.address());
  auto conversation = open(peer.enter(io.waitScope), io.waitScope);
  ask(conversation, "k", 4000).wait(io.waitScope);
  Notes::State slow{.numbers = {}, .acknowledges = false};
  auto stuck = follow(conversation, 1, 0, slow);
  // Another stream of the same turn comes to its end meanwhile.
  Notes::State quick;
  follow(conversation, 1, 0, quick).wait(io.waitScope);
  EXPECT_EQ(quick.numbers.size(), 4003U);
  EXPECT_EQ(slow.numbers.size(), schemas::ClientLimits::events);
  EXPECT_LE(front.handed(), 4003U + 64U);
}

TEST(RpcServer, AClientThatDisappearsTakesItsReadersWithIt) {
  MemoryFront front;
  front.stop_after(3);
  const ServedGateway gateway(front);
  auto io = kj::setupAsyncIo();
  Notes::State notes;
  {
    Dialled peer(io, gateway.address());
    auto conversation = open(peer.enter(io.waitScope), io.waitScope);
    ask(conversation, "k", 10).wait(io.waitScope);
    auto first = follow(conversation, 1, 0, notes);
    auto second = follow(conversation, 1, 0, notes);
    // A call that comes back shows that the two before it have begun.
    conversation.historyRequest().send().wait(io.waitScope);
    EXPECT_EQ(front.readers(), 2U);
    {
      auto dropped = kj::mv(second);
    }
    conversation.historyRequest().send().wait(io.waitScope);
    EXPECT_TRUE(front.eventually([](const MemoryFront& seen) { return seen.readers() == 1; }));
  }
  EXPECT_TRUE(front.eventually([](const MemoryFront& seen) { return seen.readers() == 0; }));
}

TEST(RpcServer, RefusesAnotherProtocolWithBothNumbers) {
  MemoryFront front;
  const ServedGateway gateway(front);
  auto io = kj::setupAsyncIo();
  Dialled peer(io, gateway.address());
  auto request = peer.door.enterRequest();
  request.setProtocol(9);
  const auto response = request.send().wait(io.waitScope);
  EXPECT_EQ(failure_of(response), "unsupported");
  const std::string message = response.getOutcome().getFailure().getMessage().cStr();
  EXPECT_NE(message.find("protocol 9"), std::string::npos) << message;
  EXPECT_NE(message.find("speaks 1"), std::string::npos) << message;
  EXPECT_EQ(failure_of(peer.door.operateRequest().send().wait(io.waitScope)), "unsupported");
}

TEST(RpcServer, RefusesAnAskThatIsOutsideOfItsLimits) {
  MemoryFront front;
  const ServedGateway gateway(front);
  auto io = kj::setupAsyncIo();
  Dialled peer(io, gateway.address());
  auto conversation = open(peer.enter(io.waitScope), io.waitScope);
  EXPECT_EQ(failure_of(ask(conversation, "", 5).wait(io.waitScope)), "invalid_argument");
  EXPECT_EQ(failure_of(ask(conversation, std::string(500, 'k'), 5).wait(io.waitScope)), "too_large");
  EXPECT_EQ(failure_of(ask(conversation, "k", 0).wait(io.waitScope)), "out_of_range");
  auto odd = conversation.askRequest();
  odd.initAsk().setAssurance(static_cast<client::Assurance>(77));
  EXPECT_EQ(failure_of(odd.send().wait(io.waitScope)), "unsupported");
  EXPECT_EQ(front.asks(), 0U);
  EXPECT_EQ(failure_of(ask(conversation, "k", 5).wait(io.waitScope)), "none");
}

TEST(RpcServer, SaysWhatTheTroupeSaysOfAFailure) {
  MemoryFront front;
  const ServedGateway gateway(front);
  auto io = kj::setupAsyncIo();
  Dialled peer(io, gateway.address());
  auto service = peer.enter(io.waitScope);
  auto conversation = open(service, io.waitScope);
  front.refuse(Error{ErrorCode::unavailable, "its home is away"});
  EXPECT_EQ(failure_of(ask(conversation, "k", 5).wait(io.waitScope)), "unavailable");
  Notes::State notes;
  EXPECT_EQ(failure_of(follow(conversation, 1, 0, notes).wait(io.waitScope)), "unavailable");
  EXPECT_EQ(front.readers(), 0U);
  auto short_id = service.resumeRequest();
  short_id.setId(capnp::Data::Reader(reinterpret_cast<const kj::byte*>("abc"), 3));
  EXPECT_EQ(failure_of(short_id.send().wait(io.waitScope)), "invalid_argument");
  auto unknown = service.resumeRequest();
  unknown.initId(16);
  EXPECT_EQ(failure_of(unknown.send().wait(io.waitScope)), "not_found");
  EXPECT_EQ(failure_of(conversation.explainRequest().send().wait(io.waitScope)), "not_found");
}

TEST(RpcServer, LimitsConnectionsStreamsConversationsAndAsks) {
  MemoryFront front;
  front.stop_after(1);
  front.fall_silent();
  const ServedGateway gateway(front, 0, {.connections = 1, .streams = 2, .conversations = 2, .calls = 3, .asks = 2});
  auto io = kj::setupAsyncIo();
  auto peer = std::make_unique<Dialled>(io, gateway.address());
  {
    auto service = peer->enter(io.waitScope);
    auto conversation = open(service, io.waitScope);
    auto other = open(service, io.waitScope);
    EXPECT_EQ(failure_of(service.openRequest().send().wait(io.waitScope)), "overloaded");
    other = nullptr;
    EXPECT_EQ(failure_of(service.openRequest().send().wait(io.waitScope)), "none");
    auto first_ask = ask(conversation, "a", 5);
    auto second_ask = ask(conversation, "b", 5);
    EXPECT_EQ(failure_of(ask(conversation, "c", 5).wait(io.waitScope)), "overloaded");
    Notes::State notes;
    auto first = follow(conversation, 1, 0, notes);
    auto second = follow(conversation, 1, 0, notes);
    const auto third = follow(conversation, 1, 0, notes).wait(io.waitScope);
    EXPECT_EQ(failure_of(third), "overloaded");
    EXPECT_NE(std::string(third.getOutcome().getFailure().getMessage().cStr()).find("the limit is 2"), std::string::npos);
    Dialled stranger(io, gateway.address());
    EXPECT_EQ(failure_of(stranger.door.enterRequest().send().wait(io.waitScope)), "overloaded");
  }
  // The place of a connection that has ended is free again.
  peer.reset();
  EXPECT_TRUE(front.eventually([](const MemoryFront& seen) { return seen.readers() == 0; }));
  Dialled next(io, gateway.address());
  next.enter(io.waitScope);
}

/// A socket that says whatever it is told to.
class Stranger {
 public:
  explicit Stranger(std::uint16_t port) : descriptor_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    TROUPE_CHECK(::connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0, "the gateway listens");
  }
  ~Stranger() { ::close(descriptor_); }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

  void say(const std::string& bytes) const { (void)::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  /// Whether the gateway hangs up, after whatever it said.
  bool hears_the_end() const {
    std::array<char, 4096> buffer{};
    for (;;) {
      const auto read = ::recv(descriptor_, buffer.data(), buffer.size(), 0);
      if (read <= 0) return true;
    }
  }

 private:
  int descriptor_;
};

TEST(RpcServer, HangsUpOnAFrameThatIsTooLargeBeforeItHasCome) {
  MemoryFront front;
  const ServedGateway gateway(front);
  const Stranger stranger(gateway.port());
  // One segment of 2 MiB: 0 (segments minus one), then its size in words. Nothing of it follows.
  stranger.say(std::string("\0\0\0\0\0\0\4\0", 8));
  EXPECT_TRUE(stranger.hears_the_end());
}

TEST(RpcServer, NonsenseEndsItsOwnConnectionAndNoOther) {
  MemoryFront front;
  front.stop_after(3);
  const ServedGateway gateway(front);
  auto io = kj::setupAsyncIo();
  Dialled peer(io, gateway.address());
  auto conversation = open(peer.enter(io.waitScope), io.waitScope);
  ask(conversation, "k", 10).wait(io.waitScope);
  Notes::State notes;
  auto following = follow(conversation, 1, 0, notes);

  Random random(20240811);
  for (int round = 0; round < 40; ++round) {
    const Stranger stranger(gateway.port());
    std::string bytes;
    if (round % 2 == 0) bytes.assign("\0\0\0\0\4\0\0\0", 8);  // a frame of four words, so that the rest is parsed
    while (bytes.size() < 40) bytes.push_back(static_cast<char>(random.next()));
    stranger.say(bytes);
    if (round % 4 == 1) stranger.say(std::string(100000, '\xff'));
  }
  {
    const Stranger hangs_up_at_once(gateway.port());
  }

  front.go_on();
  EXPECT_EQ(following.wait(io.waitScope).getOutcome().getValue().getEvents(), 13U);
}

TEST(RpcServer, StopsWhileStreamsAreOpen) {
  MemoryFront front;
  front.stop_after(3);
  auto io = kj::setupAsyncIo();
  auto gateway = std::make_unique<ServedGateway>(front);
  Dialled peer(io, gateway->address());
  auto conversation = open(peer.enter(io.waitScope), io.waitScope);
  ask(conversation, "k", 10).wait(io.waitScope);
  Notes::State notes;
  auto following = follow(conversation, 1, 0, notes);
  conversation.historyRequest().send().wait(io.waitScope);
  gateway.reset();
  EXPECT_EQ(front.readers(), 0U);
  EXPECT_ANY_THROW(following.wait(io.waitScope));
  front.go_on();  // what nobody reads harms nobody
}

TEST(RpcServer, RunsUntilItIsToldToEnd) {
  MemoryFront front;
  auto gateway = Gateway::open(front, {.listen = {"127.0.0.1:0"}, .limits = {}});
  ASSERT_TRUE(gateway);
  int asked = 0;
  (*gateway)->run([&] { return ++asked == 3; });
  EXPECT_EQ(asked, 3);
}

}  // namespace
}  // namespace troupe::gateway
