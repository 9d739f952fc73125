#include "schemas/client_codec.hpp"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.hpp"
#include "tests/support/random_turns.hpp"

namespace troupe::schemas {
namespace {

policy::Ask full_ask() {
  policy::Ask ask;
  ask.idempotency_key = "key";
  ask.question = "Wie lange? §2";
  ask.assurance = policy::Assurance::draft;
  ask.priority = policy::Priority::batch;
  ask.grounding = policy::Grounding::always;
  ask.tier = policy::Tier::mini;
  ask.sampling = {.temperature = 0.5F, .top_k = 4, .top_p = 0.25F, .min_p = 0.125F};
  ask.seed = ~std::uint64_t{0};
  ask.tokens_max = 17;
  ask.deadline_ms = 1234567890123;
  ask.latency_budget_ms = 5;
  ask.keep_if_unread = true;
  ask.tenant = "archive";
  return ask;
}

policy::Turn full_turn() {
  policy::Turn turn;
  turn.id.conversation.bytes = {1, 2, 3};
  turn.id.number = 4;
  turn.ask = full_ask();
  turn.accepted_ms = 1700000000000;
  policy::AttemptPlan plan{.attempt = 1,
                           .event_number = 2,
                           .tier = policy::Tier::heavy,
                           .why = "why",
                           .rule = "rule",
                           .model = {"fingerprint", "class"},
                           .prompt = {5, 6},
                           .sampling = turn.ask.sampling,
                           .seed = 7,
                           .tokens_max = 8,
                           .confidence_min = 0.5,
                           .escalation = {{policy::Tier::medium, 0.25, true, 0.75}, {policy::Tier::heavy, 0}},
                           .held_back = true,
                           .task = "answer",
                           .summary_version = 9,
                           .first_turn = 3,
                           .passages = {{"s#1", "S §1"}, {"s#2", "S §2"}},
                           .corpus_version = "v",
                           .second_opinion = true,
                           .uncited_min = 0.75,
                           .messages = {{"user", "and?"}},
                           .context_tokens = 1234,
                           .price = {3, 15},
                           .pins_version = 3,
                           .recalled = {{"Answers", "a: 1", 2}, {"Open", "who", 5}},
                           .left_out = {{"turn 1", "no room"}}};
  policy::AttemptResult result{.emissions = {{0, {1, 2}, {-0.5F, -1.5F}, "ab"}, {2, {}, {}, "c"}},
                               .finish_reason = "stop",
                               .confidence = 0.75,
                               .prompt_tokens = 10,
                               .reused_tokens = 11,
                               .generated_tokens = 12,
                               .seconds = 1.5,
                               .node = "a",
                               .active_parameters = 13,
                               .superseded_why = "too unsure",
                               .failed_check = "it cites [7]",
                               .cost = 0.0625};
  turn.attempts = {{plan, result}, {plan, std::nullopt}};
  turn.outcome = policy::TurnOutcome{.committed = true,
                                     .answer = "yes [2]",
                                     .citations = {{"s#2", "S §2"}},
                                     .attempt = 1,
                                     .confidence = 0.75,
                                     .confident = false,
                                     .doubt = "it cites [7]",
                                     .code = {},
                                     .message = {},
                                     .rule = "out of scope"};
  turn.ended_ms = 1700000001000;
  turn.kind = "handbook";
  turn.search = "how long";
  turn.retrieval_confidence = 0.25;
  turn.kind_confidence = 0.5;
  turn.kind_said = "chat";
  turn.stages = {{policy::Stage::intent, -1, 41, 2, 12, policy::Trouble::none, policy::Fallback::none, ""},
                 {policy::Stage::reasoning, 1, 300, 7, 45000, policy::Trouble::late, policy::Fallback::escalate, "too slow"}};
  return turn;
}

void expect_equal(const policy::Turn& a, const policy::Turn& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.ask.question, b.ask.question);
  EXPECT_EQ(a.accepted_ms, b.accepted_ms);
  EXPECT_EQ(a.attempts, b.attempts);
  EXPECT_EQ(a.outcome, b.outcome);
  EXPECT_EQ(a.ended_ms, b.ended_ms);
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.search, b.search);
  EXPECT_EQ(a.retrieval_confidence, b.retrieval_confidence);
  EXPECT_EQ(a.kind_confidence, b.kind_confidence);
  EXPECT_EQ(a.kind_said, b.kind_said);
  EXPECT_EQ(a.stages, b.stages);
}

TEST(ClientCodec, AnAskComesBackAsItWas) {
  for (const policy::Ask& ask : {full_ask(), policy::Ask{}}) {
    capnp::MallocMessageBuilder message;
    auto builder = message.initRoot<client::Ask>();
    write(builder, ask);
    const auto back = read_checked(builder.asReader());
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->idempotency_key, ask.idempotency_key);
    EXPECT_EQ(back->question, ask.question);
    EXPECT_EQ(back->assurance, ask.assurance);
    EXPECT_EQ(back->priority, ask.priority);
    EXPECT_EQ(back->grounding, ask.grounding);
    EXPECT_EQ(back->tier, ask.tier);
    EXPECT_EQ(back->sampling, ask.sampling);
    EXPECT_EQ(back->seed, ask.seed);
    EXPECT_EQ(back->tokens_max, ask.tokens_max);
    EXPECT_EQ(back->deadline_ms, ask.deadline_ms);
    EXPECT_EQ(back->latency_budget_ms, ask.latency_budget_ms);
    EXPECT_EQ(back->keep_if_unread, ask.keep_if_unread);
    EXPECT_EQ(back->tenant, ask.tenant);
  }
}

TEST(ClientCodec, AnAskThatSaysNothingIsTheDefaultAsk) {
  capnp::MallocMessageBuilder message;
  const auto ask = read_checked(message.initRoot<client::Ask>().asReader());
  ASSERT_TRUE(ask);
  EXPECT_EQ(ask->assurance, policy::Assurance::standard);
  EXPECT_EQ(ask->tokens_max, policy::Ask{}.tokens_max);
  EXPECT_EQ(ask->deadline_ms, policy::Ask{}.deadline_ms);
  EXPECT_EQ(ask->sampling, policy::Sampling{});
}

TEST(ClientCodec, EveryKindOfEventComesBackAsItWas) {
  policy::CommittedEvent committed;
  committed.outcome = *full_turn().outcome;
  committed.tier = policy::Tier::heavy;
  committed.node = "b";
  committed.prompt_tokens = 1;
  committed.reused_tokens = 2;
  committed.generated_tokens = 3;
  committed.seconds = 0.25;
  const std::vector<policy::TurnEvent> events = {{0, policy::AcceptedEvent{"q"}},
                                                 {1, policy::AttemptEvent{0, policy::Tier::medium, "why"}},
                                                 {2, policy::TokensEvent{0, 5, {7, 8}, "text"}},
                                                 {3, policy::SupersededEvent{0, "unsure"}},
                                                 {std::uint64_t{1} << 40, committed},
                                                 {9, policy::FailedEvent{"cancelled", "told to"}}};
  for (const policy::TurnEvent& event : events) {
    capnp::MallocMessageBuilder message;
    auto builder = message.initRoot<client::TurnEvent>();
    write(builder, event);
    const auto back = read_checked(builder.asReader());
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(*back, event);
  }
}

TEST(ClientCodec, ATurnComesBackWithAndWithoutItsTokens) {
  policy::Turn turn = full_turn();
  capnp::MallocMessageBuilder message;
  auto builder = message.initRoot<client::Turn>();
  write(builder, turn, TurnDetail::tokens);
  const auto whole = read_checked(builder.asReader());
  ASSERT_TRUE(whole) << whole.error().message;
  expect_equal(*whole, turn);

  capnp::MallocMessageBuilder short_message;
  auto short_builder = short_message.initRoot<client::Turn>();
  write(short_builder, turn, TurnDetail::decisions);
  const auto decisions = read_checked(short_builder.asReader());
  ASSERT_TRUE(decisions);
  for (policy::Attempt& attempt : turn.attempts) {
    attempt.plan.prompt.clear();
    attempt.plan.messages.clear();
    if (attempt.result) attempt.result->emissions.clear();
  }
  expect_equal(*decisions, turn);
}

TEST(ClientCodec, ASummaryComesBackWithItsProvenance) {
  const policy::Summary summary{.version = 3,
                                .first_turn = 5,
                                .last_turn = 8,
                                .text = "User: Ana",
                                .tier = policy::Tier::mini,
                                .model = {"f", "c"},
                                .turns = {8},
                                .retired = {{"Answers", "a: 1", 2}},
                                .withdrawn = {{"Open", "who", 5}, {"User", "Kofi", 1}}};
  capnp::MallocMessageBuilder message;
  auto builder = message.initRoot<client::Summary>();
  write(builder, summary);
  const auto back = read_checked(builder.asReader());
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, summary);
}

TEST(ClientCodec, PinsAndTheirChangesComeBackAsTheyWere) {
  using Kind = policy::PinChange::Kind;
  for (const policy::PinChange& change :
       {policy::PinChange{}, {Kind::add, "case K6"}, {Kind::remove, "case K6", 0}, {Kind::add, "", 7}}) {
    capnp::MallocMessageBuilder message;
    auto builder = message.initRoot<client::PinChange>();
    write(builder, change);
    EXPECT_EQ(read_checked(builder.asReader()).value(), change);
  }
  const policy::Pins pins{4, {"case K6", "site Split"}};
  capnp::MallocMessageBuilder message;
  auto builder = message.initRoot<client::Pins>();
  write(builder, pins);
  EXPECT_EQ(read_checked(builder.asReader()).value(), pins);
  builder.initTexts(policy::Pins::count_max + 1);
  EXPECT_EQ(read_checked(builder.asReader()).error().code, ErrorCode::too_large);
}

TEST(ClientCodec, AClusterComesBackAndItsModelsAreListedOnce) {
  policy::ReplicaView replica{.index = 1,
                              .tier = policy::Tier::heavy,
                              .model_name = "m",
                              .model = {"f", "c"},
                              .parameters = 2,
                              .active_parameters = 3,
                              .context_max = 4,
                              .running = 5,
                              .waiting = 6,
                              .blocks_total = 7,
                              .blocks_free = 8,
                              .blocks_cached = 9,
                              .generated_tokens = 10,
                              .prompt_tokens = 11,
                              .reused_tokens = 12,
                              .block_root = {},
                              .fault = "stuck"};
  policy::ReplicaView small = replica;
  small.tier = policy::Tier::mini;
  policy::NodeView node{.id = {"a"},
                        .incarnation = 1,
                        .state = policy::NodeState::draining,
                        .cluster_address = "127.0.0.1:1",
                        .client_address = "127.0.0.1:2",
                        .leases = true,
                        .version = "0.1.0",
                        .conversations = 3,
                        .turns = 4,
                        .corpus_version = "v",
                        .corpus_sections = 5,
                        .replicas = {replica, replica, small},
                        .conversations_stored = 6,
                        .transports = {},
                        .links = {{{"b"}, "ucx"}, {{"c"}, "nccl"}},
                        .experts = {{"large", replica.model, {}, 128, 4096, 2, 9}, {"huge", small.model, {}, 4, 5, 6, 7}},
                        .expert_bytes_free = 7,
                        .experts_alone = 8,
                        .blocks = {1, 2, 3, 4, 5, 6, 7},
                        .contracts = {{{1, 2, 3, 4, 5}, {6, 7, 8, 9, 10}, {11, 12, 13, 14, 15}, {16, 17, 18, 19, 20}}}};
  node.experts[0].experts.add({0, 63});
  node.experts[0].experts.add({5, 64});
  policy::ClusterView view;
  view.id.bytes = {9};
  view.self.value = "a";
  view.nodes = {node, node, node};
  view.nodes[1].id.value = "b";
  view.nodes[2].id.value = "c";
  view.nodes[2].state = policy::NodeState::gone;
  capnp::MallocMessageBuilder message;
  auto builder = message.initRoot<client::ClusterView>();
  write(builder, view);
  const auto back = read_checked(builder.asReader());
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->id, view.id);
  EXPECT_EQ(back->self, view.self);
  EXPECT_EQ(back->nodes, view.nodes);

  const auto models = served_models(view);
  ASSERT_EQ(models.size(), 2U);
  EXPECT_EQ(models[0].tier, policy::Tier::mini);
  EXPECT_EQ(models[1].tier, policy::Tier::heavy);
  EXPECT_EQ(models[1].nodes, (std::vector<std::string>{"a", "b"}));
  capnp::MallocMessageBuilder models_message;
  auto models_builder = models_message.initRoot<client::Models>();
  write(models_builder, models);
  const auto models_back = read_checked(models_builder.asReader());
  ASSERT_TRUE(models_back);
  EXPECT_EQ(*models_back, models);
}

TEST(ClientCodec, AFailureKeepsItsCodeAndAnUnknownOneIsNamed) {
  capnp::MallocMessageBuilder message;
  auto builder = message.initRoot<client::Failure>();
  write(builder, ErrorCode::too_large, "by far");
  EXPECT_EQ(read(builder.asReader()).code, ErrorCode::too_large);
  EXPECT_EQ(read(builder.asReader()).message, "by far");
  builder.setCode("novel");
  EXPECT_EQ(read(builder.asReader()).code, ErrorCode::unavailable);
  EXPECT_NE(read(builder.asReader()).message.find("novel"), std::string::npos);
}

TEST(ClientCodec, ShadowsComeBackAsTheyWere) {
  Random random(5);
  policy::ShadowPage page;
  for (std::uint64_t number = 4; number < 40; ++number) {
    page.records.push_back({number, tests::random_shadow(random, {tests::random_name<policy::ConversationId>(random), 2})});
    for (policy::ShadowAnswer* answer : {&page.records.back().record.client, &page.records.back().record.shadow}) {
      answer->confidence = answer->cost = answer->computed = 0.5;  // a NaN would equal nothing
    }
  }
  page.next = 41;
  page.more = true;
  page.running = {{"a", 0.25, "0.25 of the turns: heavy, alone"}};
  capnp::MallocMessageBuilder message;
  write(message.initRoot<client::ShadowPage>(), page);
  const auto read = read_checked(message.getRoot<client::ShadowPage>().asReader());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->records, page.records);
  EXPECT_EQ(read->next, 41U);
  EXPECT_TRUE(read->more);
  EXPECT_EQ(read->running, page.running);

  const policy::ShadowQuery query{.from = 3, .limit = 9, .experiment = "a", .since_ms = -5, .texts = true};
  capnp::MallocMessageBuilder query_message;
  write(query_message.initRoot<client::ShadowQuery>(), query);
  const auto asked = read_checked(query_message.getRoot<client::ShadowQuery>().asReader());
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->from, 3U);
  EXPECT_EQ(asked->limit, 9U);
  EXPECT_EQ(asked->experiment, "a");
  EXPECT_EQ(asked->since_ms, -5);
  EXPECT_TRUE(asked->texts);
}

TEST(ClientCodec, RefusesShadowsThatAreTooMany) {
  capnp::MallocMessageBuilder message;
  message.initRoot<client::ShadowPage>().initRecords(policy::ShadowPage::numbers_max + 1);
  const auto page = read_checked(message.getRoot<client::ShadowPage>().asReader());
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().code, ErrorCode::too_large);
  capnp::MallocMessageBuilder other;
  auto record = other.initRoot<client::ShadowPage>().initRecords(1)[0];
  record.setConversation(capnp::Data::Reader(reinterpret_cast<const kj::byte*>("0123456789abcdef"), 16));
  record.initClient().initTiers(ClientLimits::attempts + 1);
  const auto tiers = read_checked(other.getRoot<client::ShadowPage>().asReader());
  ASSERT_FALSE(tiers);
  EXPECT_EQ(tiers.error().code, ErrorCode::too_large);
}

TEST(ClientCodec, RefusesWhatItDoesNotKnowAndWhatIsTooLong) {
  capnp::MallocMessageBuilder message;
  auto ask = message.initRoot<client::Ask>();
  ask.setPriority(static_cast<client::Priority>(9));
  auto refused = read_checked(ask.asReader());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::unsupported);
  EXPECT_NE(refused.error().message.find("priority is number 9"), std::string::npos) << refused.error().message;
  ask.setPriority(client::Priority::BATCH);
  ask.setQuestion(std::string(policy::Ask::question_bytes_max + 1, 'q').c_str());
  refused = read_checked(ask.asReader());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::too_large);

  capnp::MallocMessageBuilder turn_message;
  auto turn = turn_message.initRoot<client::Turn>();
  turn.setConversation(capnp::Data::Reader(reinterpret_cast<const kj::byte*>("0123456789abcdef"), 16));
  turn.initAttempts(ClientLimits::attempts + 1);
  const auto long_turn = read_checked(turn.asReader());
  ASSERT_FALSE(long_turn);
  EXPECT_EQ(long_turn.error().code, ErrorCode::too_large);
}

TEST(ClientCodec, AnyChangeOfBytesGivesAValueOrAnError) {
  capnp::MallocMessageBuilder message;
  write(message.initRoot<client::Turn>(), full_turn(), TurnDetail::tokens);
  const kj::Array<capnp::word> words = capnp::messageToFlatArray(message);
  const std::string bytes(reinterpret_cast<const char*>(words.begin()), words.asBytes().size());
  Random random(77);
  int errors = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string changed = bytes;
    const auto changes = 1 + random.below(4);
    for (std::uint64_t i = 0; i < changes; ++i) changed[random.below(changed.size())] = static_cast<char>(random.next());
    if (round % 8 == 0) changed.resize(8 * random.below(changed.size() / 8));
    std::vector<capnp::word> aligned(changed.size() / sizeof(capnp::word));
    if (!changed.empty()) std::memcpy(aligned.data(), changed.data(), changed.size());
    capnp::ReaderOptions options;
    options.traversalLimitInWords = words_of(ClientLimits::request_bytes);
    options.nestingLimit = ClientLimits::nesting;
    try {
      capnp::FlatArrayMessageReader reader(kj::arrayPtr(aligned.data(), aligned.size()), options);
      if (!read_checked(reader.getRoot<client::Turn>())) ++errors;
    } catch (const kj::Exception&) {
      ++errors;  // the frame itself is no message
    }
  }
  EXPECT_GT(errors, 300);
}

}  // namespace
}  // namespace troupe::schemas
