// An engine on the GPU does what one on a CPU does: chooses as model::sample chooses, ends when it should, refuses what does
// not fit; and a GPU that fails ends its process.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "engine/engine.hpp"
#include "kernels/cuda/device.hpp"
#include "kernels/open_device.hpp"
#include "tests/gpu/hopper_test.hpp"
#include "tests/support/tiny_models.hpp"

namespace troupe {
namespace {

std::unique_ptr<kernels::Device> gpu() {
  return std::move(kernels::open_device({.wish = kernels::DeviceWish::cuda, .gpu = 0, .cpu = {}}).value().device);
}

engine::EngineOptions small_options() {
  engine::EngineOptions options;
  options.kv_blocks = 512;
  options.batch = {.tokens_max = 256, .sequences_max = 128, .chunk_tokens_max = 256};
  return options;
}

std::vector<model::TokenId> random_tokens(const model::ModelConfig& config, std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<model::TokenId> tokens(count);
  for (model::TokenId& token : tokens) {
    token = static_cast<model::TokenId>(random.below(static_cast<std::uint64_t>(config.vocabulary)));
  }
  return tokens;
}

/// Chooses each token again on the host, from the logits that the GPU shows.
class Doubter final : public engine::Listener {
 public:
  explicit Doubter(model::SamplingParameters parameters) : parameters_(parameters) {}
  bool wants_logits() const override { return true; }
  void on_logits(engine::SequenceId /*sequence*/, std::int32_t position, std::span<const float> logits) override {
    kernels::LogitSummary summary;
    summary.max = -std::numeric_limits<float>::infinity();
    for (std::size_t token = 0; token < logits.size(); ++token) {
      if (logits[token] > summary.max) summary = {static_cast<std::int32_t>(token), logits[token], 0};
    }
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - static_cast<double>(summary.max));
    summary.log_sum_exp = static_cast<float>(static_cast<double>(summary.max) + std::log(sum));
    expected_ = model::sample(logits, summary, parameters_, position).value();
  }
  void on_tokens(const engine::TokensEvent& event) override {
    ASSERT_EQ(event.tokens.size(), 1U);
    const model::SampledToken& token = event.tokens.front();
    EXPECT_EQ(token.token, expected_.token);
    EXPECT_NEAR(token.log_probability, expected_.log_probability, 1e-4);
    ASSERT_EQ(token.top.size(), expected_.top.size());
    for (std::size_t i = 0; i < token.top.size(); ++i) {
      EXPECT_EQ(token.top[i].token, expected_.top[i].token);
      EXPECT_NEAR(token.top[i].log_probability, expected_.top[i].log_probability, 1e-4);
    }
    ++tokens;
  }
  void on_finished(const engine::FinishedEvent& event) override { reason = event.reason; }

  int tokens = 0;
  std::optional<engine::FinishReason> reason;

 private:
  model::SamplingParameters parameters_;
  model::SampledToken expected_;
};

class CudaEngine : public kernels::cuda::OnHopper {};
using CudaEngineDeathTest = CudaEngine;

TEST_F(CudaEngine, ChoosesWhatTheSamplerOfTheHostChooses) {
  const auto device = gpu();
  const SystemClock clock;
  for (const tests::TinyModel& tiny : tests::tiny_models_for_gpu()) {
    const model::Model model = make(tiny, *device);
    const auto engine = engine::Engine::create(model, *device, clock, small_options()).value();
    std::vector<std::unique_ptr<Doubter>> doubters;
    Random random(7);
    for (std::uint64_t i = 0; i < 96; ++i) {
      engine::GenerateRequest request;
      request.prompt = random_tokens(model.config, 1 + random.below(60), i);
      request.tokens_max = 20;
      request.stop_at_end_tokens = false;
      if (i % 4 != 0) request.sampling.temperature = 0.2F + 2 * random.uniform();
      if (i % 3 == 0) request.sampling.top_k = static_cast<std::int32_t>(1 + random.below(50));
      if (i % 5 == 0) request.sampling.top_p = 0.05F + 0.9F * random.uniform();
      if (i % 7 == 0) request.sampling.min_p = 0.3F * random.uniform();
      request.sampling.log_probabilities = static_cast<std::int32_t>(i % 21);
      request.sampling.seed = random.next();
      doubters.push_back(std::make_unique<Doubter>(request.sampling));
      ASSERT_TRUE(engine->submit(std::move(request), *doubters.back()));
    }
    while (!engine->idle()) engine->step();
    for (const auto& doubter : doubters) {
      EXPECT_EQ(doubter->reason, engine::FinishReason::length);
      EXPECT_EQ(doubter->tokens, 20);
    }
  }
}

TEST_F(CudaEngine, SaysWhatDoesNotFit) {
  const auto device = gpu();
  const SystemClock clock;
  const model::Model model = make(tests::tiny_models_for_gpu().front(), *device);
  engine::EngineOptions options = small_options();
  options.kv_blocks = 0;
  options.kv_bytes = std::size_t{1} << 42;
  const auto large = engine::Engine::create(model, *device, clock, options);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ErrorCode::overloaded);
  EXPECT_NE(large.error().message.find("MiB free"), std::string::npos) << large.error().message;
  const auto memory = device->allocate(std::size_t{1} << 42);
  ASSERT_FALSE(memory);
  EXPECT_EQ(memory.error().code, ErrorCode::overloaded);

  const model::Model narrow = make(tests::tiny_model("llama"), *device);
  const auto engine = engine::Engine::create(narrow, *device, clock, small_options());
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().code, ErrorCode::unsupported);
  EXPECT_NE(engine.error().message.find("16 dimensions, expected 64 or 128"), std::string::npos) << engine.error().message;
}

TEST_F(CudaEngine, TakesWhatIsFreeForItsPool) {
  const auto device = gpu();
  const SystemClock clock;
  const model::Model model = make(tests::tiny_models_for_gpu().front(), *device);
  engine::EngineOptions options = small_options();
  options.kv_blocks = 0;
  const std::size_t before = *device->free_bytes();
  const auto engine = engine::Engine::create(model, *device, clock, options).value();
  EXPECT_GT(engine->memory_plan().kv_bytes, before / 2);
  EXPECT_LT(*device->free_bytes(), 2 * engine::gpu_reserve_bytes);
  EXPECT_GT(*device->free_bytes(), engine::gpu_reserve_bytes / 2);
}

TEST_F(CudaEngineDeathTest, AFailedGpuEndsTheProcess) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto wild_access = [] {
    const auto device = gpu();
    const model::Model model = make(tests::tiny_models_for_gpu().front(), *device);
    const auto rope = model::RopeTable::create(model.config, 64, *device).value();
    const auto passes = model::create_passes(model.config, model.weights, rope, *device, {64, 1}, 1).value();
    const std::vector<std::int32_t> blocks(4, 1 << 29);
    const std::vector<model::TokenId> tokens(64, 1);
    const kernels::SequenceRows sequence{0, 64, 0, blocks.data()};
    const auto pool = device->allocate(1 << 20).value();
    passes.front()->start({tokens, {&sequence, 1}, {}, {}, false, pool.as<std::byte>()}, {});
    device->stream().synchronize();
  };
  EXPECT_EXIT(wild_access(), testing::ExitedWithCode(kernels::cuda::device_failed_status),
              "the GPU failed in .*with the same bits");
}

}  // namespace
}  // namespace troupe
