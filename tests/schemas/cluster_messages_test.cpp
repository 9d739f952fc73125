#include "schemas/cluster_messages.hpp"

#include <capnp/any.h>
#include <capnp/message.h>
#include <capnp/schema.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>

#include <bit>
#include <cctype>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "schemas/cluster.capnp.h"
#include "tests/schemas/cluster_values.hpp"

namespace troupe::schemas {
namespace {

// What holds for every message.

template <class Message>
class ClusterMessages : public testing::Test {};

using AllMessages =
    testing::Types<Hello, Welcome, Announce, LeaseKeep, LeaseKept, LeaseAcquire, LeaseGrant, LeaseLocate, HomeOpen, HomeOpened,
                   HomeAsk, HomeAccepted, HomeMore, HomeLeave, HomeCancel, HomeHistory, HomeHistoryPage, HomeTurn, policy::Turn,
                   ReaderEvents, ReaderFailed, EnginePrepare, EnginePrepared, EngineGenerate, EngineRelease, EngineEmissions,
                   EngineFinished, NodeDrain, NodeJoin, ExpertLoad, ExpertLoaded, LeaseMove, HomeTake, HomeTaken, HomeHandOver,
                   KvHoldings, KvLease, KvLeased, KvRelease, HomePin, HomePins>;
TYPED_TEST_SUITE(ClusterMessages, AllMessages);

template <class Message>
Message drawn(std::uint64_t seed) {
  Random random(seed);
  Message message;
  Draw(random).fill(message);
  return message;
}

TYPED_TEST(ClusterMessages, ArriveAsTheyWereSent) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const auto sent = drawn<TypeParam>(seed);
    const std::string bytes = encode(sent);
    TypeParam arrived;
    const auto done = decode(bytes, arrived);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_TRUE(fields(arrived) == fields(sent));
    EXPECT_EQ(encode(arrived), bytes);
  }
}

TYPED_TEST(ClusterMessages, ReplaceWhatWasThereOnlyIfTheyAreWhole) {
  auto there = drawn<TypeParam>(1);
  const auto before = encode(there);
  const auto other = encode(drawn<TypeParam>(2));
  EXPECT_FALSE(decode(other.substr(0, other.size() - 8), there));
  EXPECT_EQ(encode(there), before);
  EXPECT_TRUE(decode(other, there));
  EXPECT_EQ(encode(there), other);
}

TYPED_TEST(ClusterMessages, AreRefusedWhenCutOrPadded) {
  const std::string bytes = encode(drawn<TypeParam>(3));
  TypeParam message;
  for (std::size_t length = 0; length < bytes.size(); length += 8) {
    const auto done = decode(std::string_view(bytes).substr(0, length), message);
    ASSERT_FALSE(done) << length << " of " << bytes.size() << " bytes";
    EXPECT_EQ(done.error().code, ErrorCode::corrupt);
  }
  for (const std::size_t length : {std::size_t{1}, std::size_t{7}, bytes.size() - 1}) {
    EXPECT_FALSE(decode(std::string_view(bytes).substr(0, length), message)) << length;
  }
  EXPECT_FALSE(decode(bytes + std::string(8, '\0'), message));
}

TYPED_TEST(ClusterMessages, AreRefusedUnparsedWhenTooLarge) {
  std::string bytes = encode(drawn<TypeParam>(4));
  bytes.resize(cluster_message_bytes_max + 8);
  TypeParam message;
  const auto done = decode(bytes, message);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::too_large);
  EXPECT_NE(done.error().message.find(std::to_string(cluster_message_bytes_max)), std::string::npos);
}

TYPED_TEST(ClusterMessages, SurviveFlippedBits) {
  constexpr std::uint64_t seed = 5;
  Random random(seed);
  const std::string bytes = encode(drawn<TypeParam>(seed));
  for (int round = 0; round < 2000; ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", round " + std::to_string(round));
    std::string flipped = bytes;
    for (std::uint64_t flips = 1 + random.below(4); flips > 0; --flips) {
      flipped[random.below(bytes.size())] ^= static_cast<char>(1 << random.below(8));
    }
    TypeParam message;
    if (!decode(flipped, message)) continue;
    // What was let through is a message like any other.
    EXPECT_TRUE(decode(encode(message), message));
  }
}

// What is particular.

template <class Message>
void expect_refused(const std::string& bytes, ErrorCode code, const std::vector<std::string>& words) {
  Message message;
  const auto done = decode(bytes, message);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, code) << done.error().message;
  for (const auto& word : words) EXPECT_NE(done.error().message.find(word), std::string::npos) << done.error().message;
}

/// The bytes of a message that another program might send.
template <class Root>
std::string foreign(const std::function<void(typename Root::Builder)>& fill) {
  capnp::MallocMessageBuilder message;
  fill(message.initRoot<Root>());
  const auto words = capnp::messageToFlatArray(message);
  return {reinterpret_cast<const char*>(words.begin()), words.size() * sizeof(capnp::word)};
}

void name(records::Name128::Builder out) { out.setLow(7); }

TEST(ClusterHandshake, PassesOnAnyProtocolNumberAndAnyFieldsOfTheFuture) {
  auto hello = drawn<Hello>(6);
  hello.protocol = 4'000'000'000;
  Hello arrived;
  ASSERT_TRUE(decode(encode(hello), arrived));
  EXPECT_EQ(arrived.protocol, 4'000'000'000);

  // A later version of LeaseKeep, with two more words and two more pointers.
  capnp::MallocMessageBuilder message;
  auto root = message.getRoot<capnp::AnyPointer>().initAsAnyStruct(3, 3);
  root.getDataSection()[0] = 42;
  root.getDataSection()[20] = 1;
  root.getPointerSection()[0].setAs<capnp::Text>("north");
  root.getPointerSection()[2].setAs<capnp::Text>("of the future");
  const auto words = capnp::messageToFlatArray(message);
  LeaseKeep keep;
  ASSERT_TRUE(decode({reinterpret_cast<const char*>(words.begin()), words.size() * sizeof(capnp::word)}, keep));
  EXPECT_EQ(keep.node.value, "north");
  EXPECT_EQ(keep.incarnation, 42U);
}

TEST(ClusterHandshake, ReadsWhatAnOlderNodeDoesNotSendAsTheDefault) {
  capnp::MallocMessageBuilder message;
  message.getRoot<capnp::AnyPointer>().initAsAnyStruct(1, 0).getDataSection()[0] = 1;
  const auto words = capnp::messageToFlatArray(message);
  Hello hello = drawn<Hello>(7);
  ASSERT_TRUE(decode({reinterpret_cast<const char*>(words.begin()), words.size() * sizeof(capnp::word)}, hello));
  EXPECT_EQ(hello.protocol, 1U);
  EXPECT_TRUE(hello.cluster.empty());
  EXPECT_EQ(hello.node, policy::NodeView{});
}

TEST(ClusterValues, KeepTheBitsOfEveryFloat) {
  const auto nan = std::bit_cast<double>(0x7ff8'0000'dead'beefULL);
  const auto single_nan = std::bit_cast<float>(0xffc0'1234U);
  EngineFinished finished;
  finished.key.turn = {drawn<LeaseLocate>(1).conversation, 1};
  finished.result.confidence = nan;
  finished.result.seconds = -0.0;
  finished.result.emissions = {{0, {1, 2}, {single_nan, -0.0F}, "a"}};
  EngineFinished arrived;
  ASSERT_TRUE(decode(encode(finished), arrived));
  EXPECT_EQ(std::bit_cast<std::uint64_t>(arrived.result.confidence), 0x7ff8'0000'dead'beefULL);
  EXPECT_EQ(std::bit_cast<std::uint64_t>(arrived.result.seconds), 1ULL << 63);
  ASSERT_EQ(arrived.result.emissions.size(), 1U);
  EXPECT_EQ(std::bit_cast<std::uint32_t>(arrived.result.emissions[0].log_probabilities[0]), 0xffc0'1234U);
  EXPECT_EQ(std::bit_cast<std::uint32_t>(arrived.result.emissions[0].log_probabilities[1]), 1U << 31);
}

template <class Wire, class Plain>
void expect_same_names(Plain last, const std::function<std::string_view(Plain)>& name_of) {
  const auto listed = capnp::Schema::from<Wire>().getEnumerants();
  ASSERT_EQ(listed.size(), static_cast<unsigned>(last) + 1);
  for (unsigned i = 0; i < listed.size(); ++i) {
    std::string snake;
    for (const char each : std::string(listed[i].getProto().getName().cStr())) {
      if (std::isupper(each) != 0) snake += '_';
      snake += static_cast<char>(std::tolower(each));
    }
    EXPECT_EQ(snake, name_of(static_cast<Plain>(i)));
  }
}

TEST(ClusterValues, HaveEnumerationsInTheOrderOfTheirSchema) {
  expect_same_names<cluster::ErrorCode, ErrorCode>(ErrorCode::io, [](ErrorCode code) { return to_string(code); });
  expect_same_names<cluster::NodeState, policy::NodeState>(policy::NodeState::gone,
                                                           [](auto state) { return to_string(state); });
  expect_same_names<cluster::Task, policy::Task>(policy::Task::chat, [](auto task) { return to_string(task); });
}

TEST(ClusterValues, OfTheDataPlaneAreBounded) {
  expect_refused<Announce>(foreign<cluster::Announce>([](auto out) { out.initNode().initTransports(9); }), ErrorCode::too_large,
                           {"Announce: node: transports", "9", "8"});
  expect_refused<Announce>(foreign<cluster::Announce>([](auto out) { out.initNode().initTransports(1)[0].initAddress(4097); }),
                           ErrorCode::too_large, {"Announce: node: transports: 0: address", "4097", "4096"});
  expect_refused<Announce>(foreign<cluster::Announce>([](auto out) { out.initNode().initLinks(1025); }), ErrorCode::too_large,
                           {"Announce: node: links", "1025", "1024"});
  expect_refused<Announce>(foreign<cluster::Announce>([](auto out) {
                             auto experts = out.initNode().initExperts(1)[0];
                             experts.setWordsPerLayer(2);
                             experts.initWords(3);
                           }),
                           ErrorCode::corrupt, {"Announce: node: experts: 0: words", "3 words", "whole layers"});
  expect_refused<Announce>(foreign<cluster::Announce>([](auto out) {
                             auto experts = out.initNode().initExperts(1)[0];
                             experts.setWordsPerLayer(64);
                             experts.initWords(65537);
                           }),
                           ErrorCode::too_large, {"Announce: node: experts: 0: words", "65537"});
}

TEST(ClusterValues, AreRefusedBeyondTheirEnumeration) {
  expect_refused<Announce>(
      foreign<cluster::Announce>([](auto out) { out.initNode().setState(static_cast<cluster::NodeState>(4)); }),
      ErrorCode::corrupt, {"Announce: node: state", "number 4", "0 to 3"});
  expect_refused<Announce>(foreign<cluster::Announce>(
                               [](auto out) { out.initNode().initReplicas(2)[1].setTier(static_cast<records::Tier>(65535)); }),
                           ErrorCode::corrupt, {"Announce: node: replicas: 1: tier", "65535"});
  expect_refused<ReaderFailed>(foreign<cluster::ReaderFailed>([](auto out) {
                                 name(out.initTurn().initConversation());
                                 out.setCode(static_cast<cluster::ErrorCode>(11));
                               }),
                               ErrorCode::corrupt, {"ReaderFailed: code", "11", "0 to 10"});
  expect_refused<EngineRelease>(foreign<cluster::EngineRelease>([](auto out) {
                                  name(out.initKey().initTurn().initConversation());
                                  out.getKey().setPurpose(static_cast<cluster::Purpose>(5));
                                }),
                                ErrorCode::corrupt, {"EngineRelease: key: purpose", "5"});
}

TEST(ClusterValues, AreRefusedWhenAnEventOrAnErrorIsOfAKindOfTheFuture) {
  const auto set_kind = [](auto holder, capnp::StructSchema schema, std::uint16_t kind) {
    const auto offset = schema.getProto().getStruct().getDiscriminantOffset() * sizeof(kind);
    std::memcpy(capnp::toAny(holder).getDataSection().begin() + offset, &kind, sizeof(kind));
  };
  expect_refused<ReaderEvents>(foreign<cluster::ReaderEvents>([&](auto out) {
                                 name(out.initTurn().initConversation());
                                 set_kind(out.initEvents(3)[2], capnp::Schema::from<cluster::TurnEvent>(), 6);
                               }),
                               ErrorCode::corrupt, {"ReaderEvents: events: 2", "kind 6", "0 to 5"});
  expect_refused<EngineFinished>(foreign<cluster::EngineFinished>([&](auto out) {
                                   name(out.initKey().initTurn().initConversation());
                                   set_kind(out, capnp::Schema::from<cluster::EngineFinished::Error>(), 2);
                                 }),
                                 ErrorCode::corrupt, {"EngineFinished: error"});
}

TEST(ClusterValues, AreRefusedWithoutTheirConversation) {
  expect_refused<LeaseLocate>(foreign<cluster::LeaseLocate>([](auto) {}), ErrorCode::corrupt, {"LeaseLocate: conversation"});
  expect_refused<HomeCancel>(foreign<cluster::HomeCancel>([](auto out) { out.initTurn().setNumber(1); }), ErrorCode::corrupt,
                             {"HomeCancel: turn: conversation"});
}

TEST(ClusterValues, AreBoundedInNumber) {
  Announce announce;
  announce.node.replicas.resize(65);
  expect_refused<Announce>(encode(announce), ErrorCode::too_large, {"Announce: node: replicas", "65", "64"});
  announce.node.replicas.resize(64);
  EXPECT_TRUE(decode(encode(announce), announce));

  Welcome welcome;
  welcome.nodes.resize(1025);
  expect_refused<Welcome>(encode(welcome), ErrorCode::too_large, {"Welcome: nodes", "1025", "1024"});

  ReaderEvents events;
  events.turn = {drawn<LeaseLocate>(1).conversation, 1};
  events.events.resize(65537);
  expect_refused<ReaderEvents>(encode(events), ErrorCode::too_large, {"ReaderEvents: events", "65537", "65536"});

  EnginePrepare prepare;
  prepare.parts.passages.resize(257);
  expect_refused<EnginePrepare>(encode(prepare), ErrorCode::too_large, {"EnginePrepare: passages", "257", "256"});

  EnginePrepared prepared;
  prepared.prompt.resize((1 << 20) + 1);
  expect_refused<EnginePrepared>(encode(prepared), ErrorCode::too_large, {"EnginePrepared: prompt", "1048577", "1048576"});

  announce.node.replicas.clear();
  announce.node.id.value.assign(1025, 'n');
  expect_refused<Announce>(encode(announce), ErrorCode::too_large, {"Announce: node: id", "1025", "1024"});
  announce.node.id.value.pop_back();
  EXPECT_TRUE(decode(encode(announce), announce));
}

TEST(ClusterValues, AreRefusedWhenPlacesDoNotAscend) {
  EnginePrepared prepared;
  prepared.passages = {0, 2, 2};
  expect_refused<EnginePrepared>(encode(prepared), ErrorCode::corrupt, {"EnginePrepared: passages", "2 after 2"});
}

TEST(ClusterValues, AreRefusedWhenManyPointersShareOneLargeText) {
  EnginePrepare prepare;
  prepare.parts.passages.resize(100, {.name = "n", .text = "xy"});
  prepare.parts.passages[0].text.assign(2000, 'x');
  std::string bytes = encode(prepare);

  // A pointer to a text: 1, the distance to its target in words, 2 for bytes, their number with the zero at the end.
  std::vector<std::uint64_t> words(bytes.size() / 8);
  std::memcpy(words.data(), bytes.data(), bytes.size());
  const auto is_text = [](std::uint64_t word, std::uint64_t size) { return (word & 3) == 1 && word >> 32 == (size << 3 | 2); };
  const auto large = std::find_if(words.begin(), words.end(), [&](auto word) { return is_text(word, 2001); });
  ASSERT_NE(large, words.end());
  const auto target = large - words.begin() + 1 + (static_cast<std::int32_t>(*large & 0xffff'ffffU) >> 2);
  int bent = 0;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (!is_text(words[i], 3)) continue;
    const auto distance = static_cast<std::uint32_t>(target - static_cast<std::ptrdiff_t>(i) - 1) << 2 | 1;
    words[i] = (*large & 0xffff'ffff'0000'0000U) | distance;
    ++bent;
  }
  ASSERT_EQ(bent, 99);
  std::memcpy(bytes.data(), words.data(), bytes.size());
  expect_refused<EnginePrepare>(bytes, ErrorCode::corrupt, {"EnginePrepare: passages: ", "text", "traversal limit"});
}

}  // namespace
}  // namespace troupe::schemas
