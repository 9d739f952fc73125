// Random messages between nodes, and what makes two of them equal: `fields` has all that is in one.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "base/random.hpp"
#include "schemas/cluster_messages.hpp"

namespace troupe::schemas {

/// Makes a random one of anything: `Draw(random)` converts to the type that is wanted.
class Draw {
 public:
  explicit Draw(Random& random) : random_(random) {}

  std::uint64_t bits() { return (std::uint64_t{random_.next()} << 32 | random_.next()) >> random_.below(64); }
  std::int32_t int32() { return static_cast<std::int32_t>(bits()); }
  std::uint32_t uint32() { return static_cast<std::uint32_t>(bits()); }
  std::int64_t int64() { return static_cast<std::int64_t>(bits()); }
  bool coin() { return random_.chance(0.5F); }
  template <class Enum>
  Enum upto(Enum last) {
    return static_cast<Enum>(random_.below(static_cast<std::uint64_t>(last) + 1));
  }
  /// Any bytes at all; half of them are empty or short.
  std::string text() {
    std::string text(coin() ? random_.below(4) : random_.below(40), '\0');
    for (char& each : text) each = static_cast<char>(random_.next());
    return text;
  }
  double number() {
    constexpr std::array odd = {0.0, -0.0, 1.0, std::numeric_limits<double>::denorm_min(),
                                std::numeric_limits<double>::infinity()};
    return coin() ? odd[random_.below(odd.size())]
                  : std::ldexp(random_.uniform(), static_cast<int>(random_.between(-900, 900)));
  }
  float single() { return coin() ? static_cast<float>(number()) : -random_.uniform(); }
  template <class Name>
  Name name() {
    Name name;
    for (auto& byte : name.bytes) byte = static_cast<std::uint8_t>(random_.next());
    name.bytes[random_.below(16)] |= 1;
    return name;
  }
  template <class Value, class Make>
  std::vector<Value> list(std::uint64_t count_max, Make make) {
    std::vector<Value> values(random_.below(count_max + 1));
    for (auto& value : values) value = make();
    return values;
  }
  policy::TokenIds ids(std::uint64_t count_max = 20) {
    return list<std::int32_t>(count_max, [&] { return int32(); });
  }

  // Parts.

  policy::ConversationId conversation() { return name<policy::ConversationId>(); }
  policy::ClusterId cluster() { return coin() ? policy::ClusterId{} : name<policy::ClusterId>(); }
  policy::NodeId node_id() { return {text()}; }
  policy::TurnId turn_id() { return {conversation(), uint32()}; }
  policy::Tier tier() { return upto(policy::Tier::heavy); }
  policy::ModelClass model() { return {text(), text()}; }
  policy::Sampling sampling() { return {single(), int32(), single(), single()}; }
  ReaderId reader() { return {node_id(), bits()}; }
  AttemptKey key() { return {turn_id(), upto(Purpose::summarize), int32()}; }
  ErrorCode code() { return upto(ErrorCode::io); }
  policy::ReplicaView replica() {
    return {uint32(), tier(),  text(),  model(), bits(), bits(), int32(), int32(),
            int32(),  int32(), int32(), int32(), bits(), bits(), bits(),  coin() ? policy::BlockId{} : name<policy::BlockId>(),
            text()};
  }
  policy::BlockTraffic traffic() { return {bits(), bits(), bits(), bits(), bits(), bits(), bits()}; }
  std::vector<policy::BlockId> blocks() {
    return list<policy::BlockId>(6, [&] { return name<policy::BlockId>(); });
  }
  policy::NodeView node() {
    return {node_id(),
            bits(),
            upto(policy::NodeState::gone),
            text(),
            text(),
            coin(),
            text(),
            int32(),
            int32(),
            text(),
            int32(),
            list<policy::ReplicaView>(3, [&] { return replica(); }),
            int32(),
            list<policy::TransportView>(3, [&] { return policy::TransportView{text(), text(), text()}; }),
            list<policy::LinkView>(3, [&] { return policy::LinkView{node_id(), text()}; }),
            list<policy::ExpertsView>(3, [&] { return experts(); }),
            bits(),
            int64(),
            traffic(),
            {counts(), counts(), counts(), counts()}};
  }
  policy::StageCounts counts() { return {bits(), bits(), bits(), bits(), bits()}; }
  policy::ExpertsView experts() {
    policy::ExpertsView view{text(), model(), {}, int64(), bits(), int64(), bits()};
    const std::uint64_t count = coin() ? 0 : random_.below(40);
    for (std::uint64_t i = 0; i < count; ++i)
      view.experts.add({static_cast<std::int32_t>(random_.below(60)), static_cast<std::int32_t>(random_.below(200))});
    return view;
  }
  policy::Passage passage() { return {text(), text()}; }
  std::vector<policy::Passage> passages() {
    return list<policy::Passage>(4, [&] { return passage(); });
  }
  policy::Ask ask() {
    policy::Ask ask;
    ask.idempotency_key = text();
    ask.question = text();
    ask.assurance = upto(policy::Assurance::high);
    ask.priority = upto(policy::Priority::batch);
    ask.grounding = upto(policy::Grounding::always);
    if (coin()) ask.tier = tier();
    ask.sampling = sampling();
    if (coin()) ask.seed = bits();
    ask.tokens_max = int32();
    ask.deadline_ms = int64();
    ask.latency_budget_ms = int64();
    ask.keep_if_unread = coin();
    ask.tenant = text();
    return ask;
  }
  policy::Emission emission() {
    policy::Emission emission{int32(), ids(), {}, text()};
    for (std::size_t i = 0; i < emission.ids.size(); ++i) emission.log_probabilities.push_back(single());
    return emission;
  }
  std::vector<policy::Emission> emissions() {
    return list<policy::Emission>(4, [&] { return emission(); });
  }
  policy::AttemptResult result() {
    return {emissions(), text(), number(), int32(), int32(), int32(), number(), text(), bits(), text(), text(), number()};
  }
  std::vector<policy::Message> messages() {
    return list<policy::Message>(3, [&] { return policy::Message{text(), text()}; });
  }
  policy::AttemptPlan plan() {
    policy::AttemptPlan plan;
    plan.attempt = static_cast<std::int32_t>(random_.below(64));
    plan.event_number = bits();
    plan.tier = tier();
    plan.why = text();
    plan.rule = text();
    plan.model = model();
    plan.prompt = ids();
    plan.sampling = sampling();
    plan.seed = bits();
    plan.tokens_max = int32();
    plan.confidence_min = number();
    plan.uncited_min = number();
    plan.escalation = list<policy::Rung>(3, [&] { return policy::Rung{tier(), number(), coin(), number()}; });
    plan.held_back = coin();
    plan.task = text();
    plan.summary_version = uint32();
    plan.first_turn = uint32();
    plan.passages = passages();
    plan.corpus_version = text();
    plan.second_opinion = coin();
    plan.messages = messages();
    plan.context_tokens = int32();
    plan.price = {number(), number()};
    return plan;
  }
  policy::TurnOutcome outcome() {
    return {coin(), text(), passages(), int32(), number(), coin(), text(), text(), text(), text()};
  }
  policy::Turn turn() {
    policy::Turn turn;
    turn.id = {conversation(), uint32() | 1};
    turn.ask = ask();
    turn.accepted_ms = int64();
    turn.attempts = list<policy::Attempt>(3, [&] { return policy::Attempt{plan(), {}}; });
    for (auto& attempt : turn.attempts) {
      if (coin()) attempt.result = result();
    }
    turn.kind = text();
    turn.search = text();
    if (coin()) turn.retrieval_confidence = static_cast<double>(random_.uniform());
    if (coin()) turn.kind_confidence = static_cast<double>(random_.uniform());
    turn.kind_said = text();
    if (coin()) turn.outcome = outcome();
    if (turn.outcome) turn.ended_ms = int64();
    return turn;
  }
  std::vector<policy::MemoryEntry> entries() {
    return list<policy::MemoryEntry>(3, [&] { return policy::MemoryEntry{text(), text(), uint32()}; });
  }
  policy::Summary summary() {
    return {uint32() | 1, uint32(), uint32(), text(), tier(), model(), {uint32(), uint32()}, entries(), entries()};
  }
  policy::TurnEvent event() {
    policy::TurnEvent event{bits(), {}};
    switch (random_.below(6)) {
      case 0: event.what = policy::AcceptedEvent{text()}; break;
      case 1: event.what = policy::AttemptEvent{int32(), tier(), text()}; break;
      case 2: event.what = policy::TokensEvent{int32(), int32(), ids(), text()}; break;
      case 3: event.what = policy::SupersededEvent{int32(), text()}; break;
      case 4: event.what = policy::CommittedEvent{outcome(), tier(), text(), int32(), int32(), int32(), number()}; break;
      default: event.what = policy::FailedEvent{text(), text()}; break;
    }
    return event;
  }
  std::vector<std::uint32_t> places() {
    auto places = list<std::uint32_t>(6, [&] { return uint32(); });
    std::sort(places.begin(), places.end());
    places.erase(std::unique(places.begin(), places.end()), places.end());
    return places;
  }
  policy::ContextParts parts() {
    const auto exchange = [&] { return policy::Exchange{text(), text()}; };
    const auto passage_text = [&] { return policy::PassageText{text(), text()}; };
    return {upto(policy::Task::chat),
            text(),
            list<policy::Exchange>(4, exchange),
            list<policy::PassageText>(4, passage_text),
            text(),
            text()};
  }

  // Messages.

  void fill(Hello& to) { to = {uint32(), cluster(), node()}; }
  void fill(Welcome& to) {
    to = {cluster(), list<policy::NodeView>(3, [&] { return node(); }), node_id()};
  }
  void fill(Announce& to) { to = {node()}; }
  void fill(LeaseKeep& to) { to = {node_id(), bits()}; }
  void fill(LeaseKept& to) { to = {int64()}; }
  void fill(LeaseAcquire& to) { to = {conversation(), node_id(), bits(), coin(), bits()}; }
  void fill(LeaseMove& to) { to = {conversation(), node_id(), bits(), bits(), node_id()}; }
  void fill(NodeDrain& to) { to = {node_id()}; }
  void fill(NodeJoin& to) { to = {node_id()}; }
  void fill(ExpertLoad& to) { to = {model(), experts().experts}; }
  void fill(ExpertLoaded& to) { to = {model(), experts().experts}; }
  void fill(HomeTake& to) {
    const auto record = [&] { return std::pair(text(), text()); };
    to = {conversation(), node_id(), bits(), text(), text(), list<std::pair<std::string, std::string>>(5, record)};
  }
  void fill(HomeTaken& to) { to = {conversation()}; }
  void fill(HomeHandOver& to) { to = {conversation(), bits(), uint32(), node_id(), uint32()}; }
  void fill(LeaseGrant& to) { to = {node_id(), bits()}; }
  void fill(LeaseLocate& to) { to = {conversation()}; }
  void fill(HomeOpen& to) { to = {conversation(), coin()}; }
  void fill(HomeOpened& to) { to = {bits(), uint32()}; }
  void fill(HomeAsk& to) { to = {conversation(), bits(), ask()}; }
  void fill(HomeAccepted& to) { to = {uint32()}; }
  void fill(HomeMore& to) { to = {turn_id(), bits(), reader(), bits(), uint32(), coin()}; }
  void fill(HomeLeave& to) { to = {turn_id(), reader(), coin()}; }
  void fill(HomeCancel& to) { to = {turn_id(), bits()}; }
  void fill(HomeHistory& to) { to = {conversation(), bits(), uint32(), uint32()}; }
  void fill(HomeHistoryPage& to) {
    to = {list<policy::Turn>(3, [&] { return turn(); }), list<policy::Summary>(3, [&] { return summary(); }), coin()};
  }
  void fill(HomeTurn& to) { to = {turn_id(), bits()}; }
  void fill(HomePin& to) { to = {conversation(), bits(), {upto(policy::PinChange::Kind::remove), text(), uint32() / 2}}; }
  void fill(HomePins& to) {
    to.pins = {uint32(), list<std::string>(3, [&] { return "p" + text(); })};  // none is empty
  }
  void fill(policy::Turn& to) { to = turn(); }
  void fill(ReaderEvents& to) {
    to = {bits(), turn_id(), bits(), list<policy::TurnEvent>(8, [&] { return event(); })};
  }
  void fill(ReaderFailed& to) { to = {bits(), turn_id(), code(), text()}; }
  void fill(EnginePrepare& to) { to = {upto(Purpose::summarize), parts(), int32()}; }
  void fill(EnginePrepared& to) { to = {ids(), places(), uint32(), model(), int32(), messages()}; }
  void fill(EngineGenerate& to) {
    to = {key(),
          bits(),
          node_id(),
          model(),
          int32(),
          int64(),
          {ids(200), sampling(), bits(), int32(), upto(policy::Priority::batch), messages()},
          emissions(),
          coin()};
  }
  void fill(KvHoldings& to) { to = {node_id(), coin(), blocks(), blocks()}; }
  void fill(KvLease& to) { to = {node_id(), model(), blocks(), int64()}; }
  void fill(KvLeased& to) {
    to = {bits(), text(), bits(), bits(), list<KvLeasedBlock>(6, [&] { return KvLeasedBlock{bits(), bits()}; })};
  }
  void fill(KvRelease& to) { to = {node_id(), bits()}; }
  void fill(EngineRelease& to) { to = {key(), bits()}; }
  void fill(EngineEmissions& to) { to = {key(), emissions()}; }
  void fill(EngineFinished& to) { to = {key(), int32(), result(), coin() ? std::optional(code()) : std::nullopt, text()}; }

 private:
  Random& random_;
};

inline auto fields(const Hello& of) { return std::tie(of.protocol, of.cluster, of.node); }
inline auto fields(const Welcome& of) { return std::tie(of.cluster, of.nodes, of.node.value); }
inline auto fields(const Announce& of) { return std::tie(of.node); }
inline auto fields(const LeaseKeep& of) { return std::tie(of.node, of.incarnation); }
inline auto fields(const LeaseKept& of) { return std::tie(of.valid_ms); }
inline auto fields(const LeaseAcquire& of) { return std::tie(of.conversation, of.node, of.incarnation, of.create, of.after); }
inline auto fields(const LeaseMove& of) { return std::tie(of.conversation, of.from, of.incarnation, of.epoch, of.to); }
inline auto fields(const NodeDrain& of) { return std::tie(of.node); }
inline auto fields(const NodeJoin& of) { return std::tie(of.node); }
inline auto fields(const ExpertLoad& of) { return std::tie(of.model, of.experts); }
inline auto fields(const ExpertLoaded& of) { return std::tie(of.model, of.experts); }
inline auto fields(const HomeTake& of) { return std::tie(of.conversation, of.from, of.epoch, of.begin, of.end, of.records); }
inline auto fields(const HomeTaken& of) { return std::tie(of.conversation); }
inline auto fields(const HomeHandOver& of) { return std::tie(of.conversation, of.epoch, of.turn, of.node, of.replica); }
inline auto fields(const KvHoldings& of) { return std::tie(of.node, of.all, of.come, of.gone); }
inline auto fields(const KvLease& of) { return std::tie(of.node, of.model, of.chain, of.valid_ms); }
inline auto fields(const KvLeased& of) { return std::tie(of.lease, of.region_key, of.region_bytes, of.block_bytes, of.blocks); }
inline auto fields(const KvRelease& of) { return std::tie(of.node, of.lease); }
inline auto fields(const LeaseGrant& of) { return std::tie(of.home, of.epoch); }
inline auto fields(const LeaseLocate& of) { return std::tie(of.conversation); }
inline auto fields(const HomeOpen& of) { return std::tie(of.conversation, of.create); }
inline auto fields(const HomeOpened& of) { return std::tie(of.epoch, of.turns); }
inline auto fields(const policy::Ask& of) {
  return std::tie(of.idempotency_key, of.question, of.assurance, of.priority, of.grounding, of.tier, of.sampling, of.seed,
                  of.tokens_max, of.deadline_ms, of.latency_budget_ms, of.keep_if_unread, of.tenant);
}
inline auto fields(const HomeAsk& of) { return std::tuple_cat(std::tie(of.conversation, of.epoch), fields(of.ask)); }
inline auto fields(const HomeAccepted& of) { return std::tie(of.turn); }
inline auto fields(const HomeMore& of) { return std::tie(of.turn, of.epoch, of.reader, of.from, of.credit, of.again); }
inline auto fields(const HomeLeave& of) { return std::tie(of.turn, of.reader, of.abandoned); }
inline auto fields(const HomeCancel& of) { return std::tie(of.turn, of.epoch); }
inline auto fields(const HomeHistory& of) { return std::tie(of.conversation, of.epoch, of.from, of.limit); }
inline auto fields(const policy::Turn& of) {
  return std::tuple_cat(std::tie(of.id, of.accepted_ms, of.attempts, of.outcome, of.ended_ms, of.kind, of.search,
                                 of.kind_confidence, of.kind_said),
                        fields(of.ask));
}
inline auto fields(const HomeHistoryPage& of) {
  std::vector<decltype(fields(of.turns[0]))> turns;
  for (const auto& turn : of.turns) turns.push_back(fields(turn));
  return std::tuple_cat(std::tuple(turns), std::tie(of.summaries, of.more));
}
inline auto fields(const HomeTurn& of) { return std::tie(of.turn, of.epoch); }
inline auto fields(const HomePin& of) { return std::tie(of.conversation, of.epoch, of.change); }
inline auto fields(const HomePins& of) { return std::tie(of.pins); }
inline auto fields(const ReaderEvents& of) { return std::tie(of.reader, of.turn, of.from, of.events); }
inline auto fields(const ReaderFailed& of) { return std::tie(of.reader, of.turn, of.code, of.message); }
inline auto fields(const EnginePrepare& of) { return std::tie(of.purpose, of.parts, of.tokens_max); }
inline auto fields(const EnginePrepared& of) {
  return std::tie(of.prompt, of.passages, of.recent_left_out, of.model, of.context_max, of.messages);
}
inline auto fields(const EngineGenerate& of) {
  return std::tie(of.key, of.epoch, of.home, of.model, of.from_index, of.time_left_ms, of.request, of.known, of.only_known);
}
inline auto fields(const EngineRelease& of) { return std::tie(of.key, of.epoch); }
inline auto fields(const EngineEmissions& of) { return std::tie(of.key, of.emissions); }
inline auto fields(const EngineFinished& of) { return std::tie(of.key, of.emissions, of.result, of.error, of.message); }

}  // namespace troupe::schemas
