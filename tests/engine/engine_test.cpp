// What users of an engine count on beside equal bits (bits_test.cpp): that it takes what fits, refuses what does not, ends
// what should end, gives memory back, and tells its listeners everything once.
#include "engine/engine.hpp"

#include <unistd.h>

#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine_thread.hpp"
#include "tests/engine/engine_fixture.hpp"

namespace troupe::engine {
namespace {

using model::TokenId;

TEST_F(EngineTest, IsRefusedAModelWhoseExpertsNobodyComputes) {
  const auto config = tests::config_of(tests::tiny_model("qwen3_moe"));
  policy::ExpertSelection one;
  one.add({0, 3});
  const auto part = model::Model::random(config, 1, one, *device_).value();
  const auto refused = Engine::create(part, *device_, clock_, blocks(16));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
  EXPECT_NE(refused.error().message.find("1 of its 16 experts"), std::string::npos) << refused.error().message;
  const auto whole = model::Model::random(config, 1, *device_).value();
  const auto local = model::LocalExperts::create(config, whole.weights, *device_, 64).value();
  const auto engine = Engine::create(part, *device_, clock_, blocks(16), local.get());
  ASSERT_TRUE(engine);
  EXPECT_EQ((*engine)->memory_plan().weights_bytes, part.weights.bytes());
}

TEST_F(EngineTest, AnswersOneRequest) {
  Engine& engine = make(blocks(16));
  Recorder recorder;
  ASSERT_TRUE(engine.submit(request(20, 5), recorder));
  while (!engine.idle()) engine.step();
  ASSERT_TRUE(recorder.finished);
  EXPECT_EQ(recorder.finished->reason, FinishReason::length);
  EXPECT_EQ(recorder.tokens.size(), 5U);
  EXPECT_EQ(recorder.finished->statistics.prompt_tokens, 20);
  EXPECT_EQ(recorder.finished->statistics.generated_tokens, 5);
  const EngineCounters counters = engine.counters();
  EXPECT_EQ(counters.tokens_prefilled, 20U);
  EXPECT_EQ(counters.tokens_decoded, 5U);
  EXPECT_EQ(counters.sequences_completed, 1U);
  expect_nothing_held(engine);
}

TEST_F(EngineTest, EndsAtAStopTokenWhichIsPartOfTheTokens) {
  Engine& engine = make(blocks(16));
  const auto free_running = alone(request(20, 8));
  GenerateRequest stopped = request(20, 8);
  stopped.stop.tokens = {free_running[3]};
  const auto first = static_cast<std::size_t>(std::ranges::find(free_running, free_running[3]) - free_running.begin());
  Recorder recorder;
  ASSERT_TRUE(engine.submit(std::move(stopped), recorder));
  while (!engine.idle()) engine.step();
  EXPECT_EQ(recorder.finished->reason, FinishReason::stop_token);
  EXPECT_EQ(recorder.tokens,
            std::vector<TokenId>(free_running.begin(), free_running.begin() + static_cast<std::ptrdiff_t>(first) + 1));
}

TEST_F(EngineTest, RefusesWhatCanNeverRunOrDoesNotMakeSense) {
  EngineOptions options = blocks(8);  // 128 positions
  options.waiting_max = 2;
  Engine& engine = make(options);
  Recorder recorder;
  const auto refused = [&](GenerateRequest wrong) {
    const auto submitted = engine.submit(std::move(wrong), recorder);
    EXPECT_FALSE(submitted);
    return submitted ? ErrorCode::io : submitted.error().code;
  };
  EXPECT_EQ(refused(request(0, 5)), ErrorCode::invalid_argument);
  EXPECT_EQ(refused(request(120, 20)), ErrorCode::too_large);
  EXPECT_EQ(refused(request(5, 0)), ErrorCode::invalid_argument);
  GenerateRequest foreign = request(5, 5);
  foreign.prompt[2] = model_->config.vocabulary;
  EXPECT_EQ(refused(foreign), ErrorCode::out_of_range);
  GenerateRequest hot = request(5, 5);
  hot.sampling.temperature = -1;
  EXPECT_EQ(refused(hot), ErrorCode::out_of_range);
  GenerateRequest textual = request(5, 5);
  textual.stop.strings = {"stop"};  // this model has no tokenizer
  EXPECT_EQ(refused(textual), ErrorCode::unsupported);

  Recorder others[2];
  for (Recorder& other : others) ASSERT_TRUE(engine.submit(request(5, 5), other));
  EXPECT_EQ(refused(request(5, 5)), ErrorCode::overloaded);
  EXPECT_EQ(engine.counters().sequences_refused, 7U);
  EXPECT_FALSE(recorder.finished) << "a refused request leaves nothing behind";
  while (!engine.idle()) engine.step();
  expect_nothing_held(engine);
}

TEST_F(EngineTest, CancellationFreesBlocksWithinTheStepWhereverItHits) {
  for (int steps = 0; steps < 12; ++steps) {
    Engine& engine = make(blocks(16));
    Recorder cancelled;
    Recorder neighbour;
    const auto id = engine.submit(request(100, 20, 1), cancelled);
    ASSERT_TRUE(engine.submit(request(30, 20, 2), neighbour));
    const auto expected = alone(request(30, 20, 2));
    for (int i = 0; i < steps; ++i) engine.step();
    engine.cancel(*id);
    ASSERT_TRUE(cancelled.finished) << "after " << steps << " steps";
    EXPECT_EQ(cancelled.finished->reason, FinishReason::cancelled);
    EXPECT_LE(engine.counters().blocks_held, 4) << "only the neighbour's 49 positions are left";
    while (!engine.idle()) engine.step();
    EXPECT_EQ(neighbour.tokens, expected);
    engine.cancel(*id);  // long gone: nothing happens
    expect_nothing_held(engine);
  }
}

/// Cancels its own sequence, or everybody's, in the middle of being told something.
class Quitter final : public Listener {
 public:
  enum class When { logits, tokens, end };
  explicit Quitter(When when) : when_(when) {}

  bool wants_logits() const override { return true; }
  void on_logits(SequenceId, std::int32_t, std::span<const float>) override {
    if (when_ == When::logits) quit();
  }
  void on_tokens(const TokensEvent&) override {
    if (when_ == When::tokens) quit();
  }
  void on_finished(const FinishedEvent& event) override {
    EXPECT_FALSE(reason) << "a sequence ends once";
    reason = event.reason;
    if (when_ == When::end) quit();
  }

  Engine* engine = nullptr;
  std::vector<SequenceId> sequences;
  std::optional<FinishReason> reason;

 private:
  void quit() {
    for (const SequenceId sequence : sequences) engine->cancel(sequence);
  }

  When when_;
};

TEST_F(EngineTest, AListenerMayCancelItsOwnSequenceAndItsNeighboursWhileItListens) {
  for (const Quitter::When when : {Quitter::When::logits, Quitter::When::tokens}) {
    Engine& engine = make(blocks(32));
    std::vector<Quitter> quitters(3, Quitter(when));
    std::vector<SequenceId> ids;
    for (std::size_t i = 0; i < quitters.size(); ++i) ids.push_back(engine.submit(request(20, 10, i), quitters[i]).value());
    for (Quitter& quitter : quitters) {
      quitter.engine = &engine;
      quitter.sequences = ids;
    }
    while (!engine.idle()) engine.step();
    for (const Quitter& quitter : quitters) EXPECT_EQ(quitter.reason, FinishReason::cancelled);
    expect_nothing_held(engine);
  }
}

TEST_F(EngineTest, AListenerMayCancelOthersWhenItsDeadlineEndsIt) {
  Engine& engine = make(blocks(32));
  std::vector<Quitter> quitters(3, Quitter(Quitter::When::end));
  std::vector<SequenceId> ids;
  for (std::size_t i = 0; i < quitters.size(); ++i) {
    GenerateRequest late = request(20, 10, i);
    late.deadline = clock_.now() + std::chrono::seconds(1);
    ids.push_back(engine.submit(std::move(late), quitters[i]).value());
  }
  for (Quitter& quitter : quitters) {
    quitter.engine = &engine;
    quitter.sequences = ids;
  }
  engine.step();
  clock_.advance(std::chrono::seconds(1));
  engine.step();
  EXPECT_EQ(quitters[0].reason, FinishReason::deadline_exceeded);
  EXPECT_EQ(quitters[1].reason, FinishReason::cancelled);
  EXPECT_EQ(quitters[2].reason, FinishReason::cancelled);
  EXPECT_TRUE(engine.idle());
  expect_nothing_held(engine);
}

TEST_F(EngineTest, APromptThatHasBegunIsNotStarvedByMoreUrgentOnes) {
  EngineOptions options = blocks(64);
  options.batch = {16, 16, 16};
  Engine& engine = make(options);
  Recorder patient;
  GenerateRequest batch = request(24, 1);
  batch.priority = Priority::batch;
  ASSERT_TRUE(engine.submit(std::move(batch), patient));
  std::vector<std::unique_ptr<Recorder>> urgent;
  for (int i = 0; i < 40 && !patient.finished; ++i) {
    GenerateRequest other = request(16, 1, static_cast<std::uint64_t>(i) + 2);  // as much as a step computes
    other.priority = Priority::interactive;
    ASSERT_TRUE(engine.submit(std::move(other), *urgent.emplace_back(std::make_unique<Recorder>())));
    engine.step();
    clock_.advance(std::chrono::seconds(1));
  }
  EXPECT_TRUE(patient.finished);
}

/// Answers nothing until it is told to.
class LateExperts final : public model::Experts {
 public:
  void compute(const model::ExpertWork& /*work*/, model::ExpertsDone done) override { done_ = std::move(done); }
  bool asked() const { return done_ != nullptr; }
  void answer() { std::exchange(done_, nullptr)({}); }

 private:
  model::ExpertsDone done_;
};

TEST_F(EngineTest, NobodyIsWokenForADeadlineThatIsOverWhileExpertsCompute) {
  LateExperts experts;
  Engine& engine = make(blocks(16), "qwen3_moe", &experts);
  Recorder recorder;
  GenerateRequest late = request(4, 4);
  late.deadline = clock_.now() + std::chrono::seconds(1);
  ASSERT_TRUE(engine.submit(std::move(late), recorder));
  engine.step();
  ASSERT_TRUE(experts.asked());
  EXPECT_TRUE(engine.next_deadline());
  clock_.advance(std::chrono::seconds(2));
  engine.step();
  EXPECT_FALSE(recorder.finished) << "its memory is in use";
  EXPECT_FALSE(engine.next_deadline());
  while (experts.asked()) {  // layer after layer
    experts.answer();
    engine.step();
  }
  ASSERT_TRUE(recorder.finished);
  EXPECT_EQ(recorder.finished->reason, FinishReason::deadline_exceeded);
}

TEST_F(EngineTest, ADeadlineEndsARequestWaitingOrRunning) {
  EngineOptions options = blocks(8);
  Engine& engine = make(options);
  Recorder running;
  Recorder waiting;
  GenerateRequest first = request(60, 60, 1);
  first.deadline = clock_.now() + std::chrono::seconds(2);
  GenerateRequest second = request(60, 60, 2);  // does not fit beside the first
  second.deadline = clock_.now() + std::chrono::seconds(1);
  const auto first_id = engine.submit(std::move(first), running);
  const auto second_id = engine.submit(std::move(second), waiting);
  for (int i = 0; i < 5; ++i) engine.step();
  EXPECT_EQ(engine.queue_position(*first_id), 0);
  EXPECT_EQ(engine.queue_position(*second_id), 0);
  EXPECT_EQ(engine.counters().waiting, 1);
  EXPECT_EQ(engine.next_deadline(), clock_.now() + std::chrono::seconds(1));
  clock_.advance(std::chrono::seconds(1));
  engine.step();
  ASSERT_TRUE(waiting.finished);
  EXPECT_EQ(waiting.finished->reason, FinishReason::deadline_exceeded);
  EXPECT_FALSE(running.finished);
  clock_.advance(std::chrono::seconds(1));
  engine.step();
  ASSERT_TRUE(running.finished);
  EXPECT_EQ(running.finished->reason, FinishReason::deadline_exceeded);
  EXPECT_FALSE(running.tokens.empty()) << "what was said before the deadline was heard";
  EXPECT_EQ(engine.counters().sequences_expired, 2U);
  expect_nothing_held(engine);
}

TEST_F(EngineTest, AnInteractiveRequestOvertakesWaitingBatchWork) {
  Engine& engine = make(blocks(8));
  std::vector<Recorder> recorders(3);
  GenerateRequest work = request(60, 60, 1);
  work.priority = Priority::batch;
  ASSERT_TRUE(engine.submit(work, recorders[0]));
  engine.step();
  ASSERT_TRUE(engine.submit(work, recorders[1]));
  GenerateRequest urgent = request(60, 60, 2);
  urgent.priority = Priority::interactive;
  const auto id = engine.submit(urgent, recorders[2]);
  EXPECT_EQ(engine.queue_position(*id), 0);
  while (!recorders[2].finished) {
    engine.step();
    EXPECT_FALSE(recorders[1].finished) << "the batch request behind it runs later";
  }
  while (!engine.idle()) engine.step();
  EXPECT_TRUE(recorders[1].finished);
}

TEST_F(EngineTest, TenTimesOversubscribedItAnswersEveryoneInBoundedMemory) {
  const auto resident_pages = [] {
    std::ifstream file("/proc/self/statm");
    std::int64_t total = 0, resident = 0;
    file >> total >> resident;
    return resident;
  };
  EngineOptions options = blocks(24);  // 384 positions
  Engine& engine = make(options, "qwen3_moe");
  std::vector<GenerateRequest> requests;
  std::int64_t positions = 0;
  for (std::uint64_t seed = 0; positions < 10 * 384; ++seed) {
    Random random(seed, 7);
    GenerateRequest made =
        request(static_cast<std::int32_t>(random.between(1, 200)), static_cast<std::int32_t>(random.between(1, 40)), seed);
    if (seed % 2 == 0) made.sampling = {.temperature = 0.8F, .top_p = 0.9F, .seed = seed};
    positions += static_cast<std::int64_t>(made.prompt.size()) + made.tokens_max;
    requests.push_back(std::move(made));
  }
  std::vector<Recorder> recorders(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) ASSERT_TRUE(engine.submit(requests[i], recorders[i]));
  for (int i = 0; i < 10; ++i) engine.step();
  const std::int64_t before = resident_pages();
  std::int32_t most_held = 0;
  while (!engine.idle()) {
    engine.step();
    const EngineCounters counters = engine.counters();
    most_held = std::max(most_held, counters.blocks_held);
    ASSERT_LE(counters.blocks_held + counters.blocks_reserved, counters.blocks);
  }
  constexpr std::int64_t allowance_bytes = 4 << 20;  // of allocator noise; ten pools would be far more
  EXPECT_LE((resident_pages() - before) * sysconf(_SC_PAGESIZE), allowance_bytes);
  EXPECT_GT(most_held, 12) << "the pool was well used";
  for (std::size_t i = 0; i < requests.size(); ++i) {
    ASSERT_TRUE(recorders[i].finished);
    EXPECT_EQ(recorders[i].finished->reason, FinishReason::length);
    EXPECT_EQ(recorders[i].tokens, alone(requests[i])) << "request " << i;
  }
  expect_nothing_held(engine);
}

TEST_F(EngineTest, AFollowUpReusesTheTurnBefore) {
  Engine& engine = make(blocks(32));
  Recorder first;
  GenerateRequest turn = request(100, 20);
  ASSERT_TRUE(engine.submit(turn, first));
  while (!engine.idle()) engine.step();
  GenerateRequest follow_up = turn;
  follow_up.prompt.insert(follow_up.prompt.end(), first.tokens.begin(), first.tokens.end());
  follow_up.prompt.push_back(7);
  Recorder second;
  ASSERT_TRUE(engine.submit(follow_up, second));
  while (!engine.idle()) engine.step();
  EXPECT_EQ(second.finished->statistics.reused_tokens, 112) << "the 7 blocks that 119 computed positions fill";
  EXPECT_EQ(engine.counters().tokens_reused, 112U);
  EXPECT_EQ(second.tokens, alone(follow_up));
}

TEST_F(EngineTest, TenantsDoNotShareBlocks) {
  Engine& engine = make(blocks(32));
  GenerateRequest mine = request(64, 4);
  mine.tenant_salt = "mine";
  GenerateRequest theirs = mine;
  theirs.tenant_salt = "theirs";
  for (const auto& [asked, reused] : {std::pair{mine, 0}, std::pair{theirs, 0}, std::pair{mine, 48}}) {
    Recorder recorder;
    ASSERT_TRUE(engine.submit(asked, recorder));
    while (!engine.idle()) engine.step();
    EXPECT_EQ(recorder.finished->statistics.reused_tokens, reused);
  }
}

/// Experts on a node that is gone.
class LostExperts final : public model::Experts {
 public:
  void compute(const model::ExpertWork& work, model::ExpertsDone done) override {
    static_cast<void>(work);
    done(Error{ErrorCode::unavailable, "the node with experts 4 to 7 is gone"});
  }
};

TEST_F(EngineTest, LostExpertsFailTheirSequencesAndNothingElse) {
  LostExperts lost;
  Engine& engine = make(blocks(32), "qwen3_moe", &lost);
  Recorder recorder;
  ASSERT_TRUE(engine.submit(request(40, 4), recorder));
  while (!engine.idle()) engine.step();
  ASSERT_TRUE(recorder.finished);
  EXPECT_EQ(recorder.finished->reason, FinishReason::failed);
  EXPECT_EQ(recorder.finished->error->code, ErrorCode::unavailable);
  EXPECT_EQ(engine.counters().blocks_cached, 0) << "unfinished blocks get no name";
  expect_nothing_held(engine);
}

TEST_F(EngineTest, AThreadDrivesItForManyCallers) {
  const SystemClock clock;
  model_.emplace(tests::make(tests::tiny_model("qwen3"), *device_));
  EngineOptions options = blocks(64);
  const auto engine = Engine::create(*model_, *device_, clock, options).value();
  constexpr std::size_t callers = 4;
  constexpr std::size_t each = 8;
  std::vector<Recorder> recorders(callers * each);
  {
    EngineThread driver(*engine, clock);
    std::vector<std::thread> threads;
    for (std::size_t caller = 0; caller < callers; ++caller) {
      threads.emplace_back([&, caller] {
        for (std::size_t i = 0; i < each; ++i) {
          const std::size_t number = caller * each + i;
          EXPECT_TRUE(driver.submit(request(30, 6, number), recorders[number]));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    while (!driver.call([](Engine& driven) { return driven.idle(); })) std::this_thread::yield();
  }
  for (std::size_t i = 0; i < recorders.size(); ++i) {
    ASSERT_TRUE(recorders[i].finished);
    EXPECT_EQ(recorders[i].tokens, alone(request(30, 6, i)));
  }
  expect_nothing_held(*engine);
}

TEST_F(EngineTest, OptionsOutOfRangeAreRefusedByName) {
  model_.emplace(tests::make(tests::tiny_model("llama"), *device_));
  const auto refusal = [&](const EngineOptions& options) {
    const auto made = Engine::create(*model_, *device_, clock_, options);
    return made ? std::string() : made.error().message;
  };
  EngineOptions options = blocks(8);
  options.context_max = 4096;
  EXPECT_NE(refusal(options).find("a context of 4096"), std::string::npos);
  options = blocks(8);
  options.batch.tokens_max = 0;
  EXPECT_NE(refusal(options).find("batch.tokens_max is 0, expected 1"), std::string::npos);
  options = blocks(0);
  options.kv_bytes = 16;
  EXPECT_NE(refusal(options).find("--kv-memory"), std::string::npos);
}

}  // namespace
}  // namespace troupe::engine
