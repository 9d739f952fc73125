#include "bench/chain.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "engine/options.hpp"
#include "kernels/cpu_device.hpp"
#include "storage/markdown.hpp"

namespace troupe::bench {
namespace {

using End = StoryAnswer::End;

/// Conversations about the bundled handbook, with the smallest of the bundled models.
class ChainTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::filesystem::path portfolio = TROUPE_SOURCE_DIR "/portfolio";
    auto device = kernels::CpuDevice::create();
    ASSERT_TRUE(device) << device.error().message;
    device_ = *std::move(device);
    auto model = model::Model::load(portfolio / "mini", *device_);
    ASSERT_TRUE(model) << model.error().message;
    model_ = std::make_unique<model::Model>(*std::move(model));
    auto set = read_questions(portfolio / "handbook" / "questions.jsonl");
    ASSERT_TRUE(set) << set.error().message;
    set_ = spread(*set, 8);
    auto corpus = storage::read_markdown(portfolio / "handbook");
    ASSERT_TRUE(corpus) << corpus.error().message;
    corpus_ = *std::move(corpus);
    load_ = story_load(set_, 4, 1);
    options_.clients = 2;
    options_.memory_bytes = std::size_t{256} << 20;
    options_.tokens_max = 48;
  }
  Result<StoryRun> run() const {
    return run_chain(*model_, *device_, set_, load_, corpus_, options_, [](double) {});
  }
  static std::size_t count(const StoryRun& run, End end) {
    return static_cast<std::size_t>(std::ranges::count(run.answers, end, &StoryAnswer::end));
  }

  std::unique_ptr<kernels::CpuDevice> device_;
  std::unique_ptr<model::Model> model_;
  QuestionSet set_;
  std::vector<storage::Section> corpus_;
  StoryLoad load_;
  ChainOptions options_;
};

TEST_F(ChainTest, AnswersEveryQuestionAndReusesNothing) {
  double last = 0;
  const auto done = run_chain(*model_, *device_, set_, load_, corpus_, options_, [&](double share) {
    EXPECT_GT(share, last);
    last = share;
  });
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(last, 1);
  EXPECT_EQ(count(*done, End::answered), 8U);
  EXPECT_EQ(done->work.reused_tokens, 0U);
  EXPECT_GT(done->work.computed_tokens, 8U * 300) << "four chunks of each question, and those of the ones before";
  EXPECT_GT(done->work.cost, done->work.computed_tokens);
  for (const StoryAnswer& answer : done->answers) {
    EXPECT_FALSE(answer.text.empty());
    EXPECT_GT(answer.latency, Duration::zero());
  }
  EXPECT_TRUE(std::ranges::any_of(done->answers, &StoryAnswer::cut)) << "four turns with their passages exceed the window";
}

TEST_F(ChainTest, SamplesOtherwiseInEveryRun) {
  options_.temperature = 3;
  const auto one = run();
  const auto again = run();
  options_.run = 1;
  const auto other = run();
  ASSERT_TRUE(one && again && other);
  std::size_t same = 0;
  for (std::size_t i = 0; i < set_.questions.size(); ++i) {
    EXPECT_EQ(one->answers[i].text, again->answers[i].text) << "a run is drawn by its seed and number";
    same += one->answers[i].text == other->answers[i].text ? 1 : 0;
  }
  EXPECT_LT(same, set_.questions.size());
}

TEST_F(ChainTest, FailsWhatTheMemoryDoesNotHoldAndGoesOn) {
  // Weights and activations of mini, and 1.5 MiB: 768 tokens, which a conversation outgrows alone.
  engine::EngineOptions whole;
  const auto plan = engine::plan_memory(model_->config, whole, {device_->kind(), device_->free_bytes()});
  ASSERT_TRUE(plan);
  options_.memory_bytes = plan->total() - plan->kv_bytes + (std::size_t{3} << 19);
  const auto done = run();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_GT(count(*done, End::out_of_memory), 0U);
  EXPECT_GT(count(*done, End::answered), 0U);
  EXPECT_EQ(count(*done, End::refused), 0U);
}

TEST_F(ChainTest, RefusesMemoryThatTheModelAloneNeeds) {
  options_.memory_bytes = 1 << 20;
  const auto refused = run();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::too_large);
  EXPECT_NE(refused.error().message.find("the memory is 1 MiB"), std::string::npos) << refused.error().message;
}

TEST_F(ChainTest, EndsWhenItIsInterrupted) {
  options_.interrupted = [] { return true; };
  const auto ended = run();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::cancelled);
}

}  // namespace
}  // namespace troupe::bench
