#include "cluster/frames.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "base/entropy.hpp"
#include "base/random.hpp"
#include "cluster/ucx_fabric.hpp"

namespace troupe::cluster {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

FrameHead some_head(FrameKind kind) {
  FrameHead head;
  head.kind = kind;
  head.channel = 1;
  head.status = 3;
  head.session = 0x1122334455667788U;
  head.own = 99;
  head.id = 7;
  head.value = ~std::uint64_t{0};
  return head;
}

Extents some_extents() { return {SystemEntropy().draw_name<RegionId>(), {{5, 10}, {0, 1}, {1000, Extents::bytes_max - 11}}}; }

TEST(Frames, SayWhatTheyWereGiven) {
  const auto plain = decode_frame(bytes_of(encode(some_head(FrameKind::credit))));
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->head.session, 0x1122334455667788U);
  EXPECT_EQ(plain->head.own, 99U);
  EXPECT_EQ(plain->head.value, ~std::uint64_t{0});
  const Extents extents = some_extents();
  const auto get = decode_frame(bytes_of(encode(some_head(FrameKind::get), extents)));
  ASSERT_TRUE(get);
  EXPECT_EQ(get->extents.region, extents.region);
  ASSERT_EQ(get->extents.list.size(), 3U);
  EXPECT_EQ(get->extents.list[2].offset, 1000U);
  EXPECT_EQ(get->extents.bytes(), Extents::bytes_max);
}

TEST(Frames, AreRefusedWhereTheyAreTruncatedOrLonger) {
  const std::string hello = encode(Hello{{"node"}, SystemEntropy().draw_name<FabricToken>(), {}, "address"});
  ASSERT_TRUE(decode_hello(bytes_of(hello)));
  for (std::size_t length = 0; length < hello.size(); ++length) EXPECT_FALSE(decode_hello(bytes_of(hello.substr(0, length))));
  EXPECT_FALSE(decode_hello(bytes_of(hello + "x")));
  const std::string head = encode(some_head(FrameKind::message));
  for (std::size_t length = 0; length < head.size(); ++length) EXPECT_FALSE(decode_frame(bytes_of(head.substr(0, length))));
  EXPECT_FALSE(decode_frame(bytes_of(head + "x")));
  const std::string get = encode(some_head(FrameKind::get), Extents{{}, {{1, 2}}});
  ASSERT_TRUE(decode_frame(bytes_of(get)));
  for (std::size_t length = 0; length < get.size(); ++length) EXPECT_FALSE(decode_frame(bytes_of(get.substr(0, length))));
}

TEST(Frames, BoundWhatAGetNames) {
  Extents many{{}, std::vector<Extent>(Extents::count_max + 1, Extent{0, 1})};
  EXPECT_FALSE(decode_frame(bytes_of(encode(some_head(FrameKind::get), many))));
  EXPECT_FALSE(decode_frame(bytes_of(encode(some_head(FrameKind::get), Extents{}))));
  for (const std::uint64_t bytes : {Extents::bytes_max + 1, ~std::uint64_t{0}}) {
    EXPECT_FALSE(decode_frame(bytes_of(encode(some_head(FrameKind::put), Extents{{}, {{0, 5}, {0, bytes}}}))));
  }
}

TEST(Frames, KeysAndAddressesAreThemselvesOrNothing) {
  const auto region = SystemEntropy().draw_name<RegionId>();
  EXPECT_EQ(*decode_key(encode_key(region)), region);
  EXPECT_FALSE(decode_key(encode_key(region).substr(1)));
  const FabricAddress address{SystemEntropy().draw_name<FabricToken>(), "somewhere"};
  const auto decoded = decode_address(encode(address));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->token, address.token);
  EXPECT_EQ(decoded->wire, "somewhere");
  EXPECT_FALSE(decode_address(encode(FabricAddress{address.token, std::string(5000, 'x')})));
}

/// A stranger on the same transport, who says whatever it likes.
class Stranger {
 public:
  explicit Stranger(const Fabric& victim) : wire_(*open_ucx_wire()), victim_(*decode_address(victim.address())) {
    wire_->listen({[this](Arrival& arrival) {
                     const auto frame = decode_frame(arrival.head());
                     if (!frame || frame->head.kind != FrameKind::hello) return;
                     session_ = frame->head.own;
                     ++greetings_;
                   },
                   [this](LinkId, const Error&) { broken_ = true; }});
    link_ = *wire_->open(victim_.wire);
  }
  ~Stranger() {
    if (wire_) wire_->close(link_);
  }
  void say(std::string head, const std::string& body = {}) {
    if (broken_) return;
    const auto kept = std::make_shared<std::string>(body);
    wire_->send(link_, std::move(head), bytes_of(*kept), [kept](const Result<void>&) {});
    run(std::chrono::milliseconds(1));
  }
  void greet(const FabricToken& token, std::uint64_t number = 77) {
    FrameHead head;
    head.id = number;
    head.own = 4711;
    say(encode(head), encode(Hello{{"stranger"}, own_, token, wire_->address()}));
  }
  std::uint64_t wait_for_session() {
    for (int i = 0; i < 5000 && session_ == 0; ++i) run(std::chrono::milliseconds(1));
    return session_;
  }
  void run(Duration time) {
    const TimePoint until = SystemClock().now() + time;
    while (SystemClock().now() < until) wire_->progress();
  }
  const FabricToken& token() const { return victim_.token; }
  int greetings() const { return greetings_; }

 private:
  std::unique_ptr<Wire> wire_;
  FabricAddress victim_;
  FabricToken own_ = SystemEntropy().draw_name<FabricToken>();
  LinkId link_;
  std::uint64_t session_ = 0;
  int greetings_ = 0;
  bool broken_ = false;
};

/// Whether honest nodes still reach it.
void expect_alive(Fabric& fabric) {
  auto honest = *open_ucx_fabric({"honest"});
  ASSERT_TRUE(honest->connect({"victim"}, fabric.address()));
  std::promise<bool> sent;
  const std::vector<std::byte> message(100000);
  honest->send({"victim"}, Channel::test, payload_of(message), SystemClock().now() + std::chrono::seconds(20),
               [&](const Result<void>& result) { sent.set_value(result.has_value()); });
  EXPECT_TRUE(sent.get_future().get());
}

TEST(FabricAmongStrangers, ListensToNobodyWhoWasNotToldItsAddress) {
  auto fabric = *open_ucx_fabric({"victim"});
  Stranger stranger(*fabric);
  stranger.greet(SystemEntropy().draw_name<FabricToken>());
  stranger.say(encode(some_head(FrameKind::message)), std::string(1000, 'x'));
  stranger.run(std::chrono::milliseconds(20));
  EXPECT_EQ(stranger.greetings(), 0);
  expect_alive(*fabric);
}

TEST(FabricAmongStrangers, ComesToRestAfterItStoodStillWhileAPeerTriedAgainAndAgain) {
  auto still = *open_ucx_fabric({"still"});
  auto trying = *open_ucx_fabric({"trying"});
  std::atomic<int> lost = 0;
  for (Fabric* fabric : {still.get(), trying.get()}) fabric->on_peer_lost([&](const NodeId&, const Error&) { ++lost; });
  std::promise<void> stands;
  std::promise<void> goes_on;
  bool first = true;
  still->receive(Channel::test, [&](const NodeId&, const Payload&) {
    if (!std::exchange(first, false)) return;
    stands.set_value();
    goes_on.get_future().wait();
  });
  const auto say = [&](const TransferDone& done) {
    const std::vector<std::byte> message(10);
    trying->send({"still"}, Channel::test, payload_of(message), SystemClock().now() + std::chrono::seconds(20), done);
  };
  ASSERT_TRUE(trying->connect({"still"}, still->address()));
  say({});
  stands.get_future().wait();
  for (int i = 0; i < 8; ++i) {
    trying->disconnect({"still"});
    ASSERT_TRUE(trying->connect({"still"}, still->address()));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  goes_on.set_value();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const int before = lost;
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_EQ(lost, before) << "sessions begin anew without end";
  ASSERT_TRUE(trying->connect({"still"}, still->address()));
  std::promise<bool> sent;
  say([&](const Result<void>& result) { sent.set_value(result.has_value()); });
  EXPECT_TRUE(sent.get_future().get());
}

TEST(FabricAmongStrangers, SurvivesNonsenseOfEachKind) {
  auto fabric = *open_ucx_fabric({"victim"});
  int received = 0;
  fabric->receive(Channel::test, [&](const NodeId&, const Payload&) { ++received; });
  Random random(11);
  for (int life = 0; life < 9; ++life) {
    Stranger stranger(*fabric);
    stranger.greet(stranger.token());
    const std::uint64_t session = stranger.wait_for_session();
    ASSERT_NE(session, 0U);
    FrameHead head;
    head.kind = static_cast<FrameKind>(life + 1);
    head.session = session;
    head.own = 4711;
    head.channel = static_cast<std::uint8_t>(random.below(5));
    head.id = random.below(3);
    head.value = random.below(2) == 0 ? ~std::uint64_t{0} : random.below(1000);
    for (int i = 0; i < 20; ++i) {
      std::string frame =
          head.kind == FrameKind::get || head.kind == FrameKind::put ? encode(head, some_extents()) : encode(head);
      if (i % 4 == 1) frame.resize(random.below(frame.size()));
      if (i % 4 == 2) frame[random.below(frame.size())] = static_cast<char>(random.next());
      stranger.say(frame, std::string(random.below(3) * 70000, 'y'));
    }
    for (int i = 0; i < 3; ++i) stranger.greet(stranger.token(), 78);
  }
  expect_alive(*fabric);
}

TEST(FabricAmongStrangers, DropsWhoOverstepsItsWindow) {
  FabricLimits limits;
  limits.message_bytes_max = 1000;
  limits.window_bytes = 2000;
  auto fabric = *open_ucx_fabric({"victim"}, limits);
  std::promise<ErrorCode> lost;
  std::vector<Payload> kept;
  fabric->receive(Channel::test, [&](const NodeId&, Payload message) { kept.push_back(std::move(message)); });
  bool told = false;
  fabric->on_peer_lost([&](const NodeId&, const Error& why) {
    if (!std::exchange(told, true)) lost.set_value(why.code);
  });
  Stranger stranger(*fabric);
  stranger.greet(stranger.token());
  FrameHead head;
  head.kind = FrameKind::message;
  head.session = stranger.wait_for_session();
  head.own = 4711;
  head.channel = static_cast<std::uint8_t>(Channel::test);
  for (head.id = 0; head.id < 3; ++head.id) stranger.say(encode(head), std::string(900, 'z'));
  auto future = lost.get_future();
  for (int i = 0; i < 2000 && future.wait_for(std::chrono::seconds(0)) != std::future_status::ready; ++i) {
    stranger.run(std::chrono::milliseconds(1));
  }
  ASSERT_EQ(future.wait_for(std::chrono::seconds(0)), std::future_status::ready);
  EXPECT_EQ(future.get(), ErrorCode::corrupt);
  fabric.reset();
  EXPECT_LE(kept.size(), 1U);
}

}  // namespace
}  // namespace troupe::cluster
