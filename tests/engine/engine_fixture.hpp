// An engine with a tiny model, and a listener that remembers what it heard.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "engine/engine.hpp"
#include "kernels/cpu_device.hpp"
#include "tests/support/tiny_models.hpp"

namespace troupe::engine {

using model::TokenId;

/// Remembers what it heard, and that it was told in order.
class Recorder final : public Listener {
 public:
  void on_tokens(const TokensEvent& event) override {
    EXPECT_EQ(event.first_index, static_cast<std::int32_t>(tokens.size())) << "tokens arrive once and in order";
    EXPECT_FALSE(finished) << "nothing follows the end";
    for (const auto& token : event.tokens) tokens.push_back(token.token);
    text += event.text;
  }
  void on_finished(const FinishedEvent& event) override {
    EXPECT_FALSE(finished) << "a sequence ends once";
    finished = event;
  }

  std::vector<TokenId> tokens;
  std::string text;
  std::optional<FinishedEvent> finished;
};

class EngineTest : public testing::Test {
 protected:
  EngineTest() : device_(kernels::CpuDevice::create({.threads = 1}).value()) {}

  Engine& make(const EngineOptions& options, std::string_view name = "llama", model::Experts* experts = nullptr) {
    engine_.reset();
    model_.emplace(tests::make(tests::tiny_model(name), *device_));
    engine_ = Engine::create(*model_, *device_, clock_, options, experts).value();
    return *engine_;
  }

  static EngineOptions blocks(std::int32_t count) {
    EngineOptions options;
    options.kv_blocks = count;
    options.batch = {64, 16, 64};
    return options;
  }

  GenerateRequest request(std::int32_t prompt_tokens, std::int32_t tokens_max, std::uint64_t seed = 1) const {
    Random random(seed);
    GenerateRequest made;
    for (std::int32_t i = 0; i < prompt_tokens; ++i) {
      made.prompt.push_back(static_cast<TokenId>(random.below(static_cast<std::uint64_t>(model_->config.vocabulary))));
    }
    made.tokens_max = tokens_max;
    made.stop_at_end_tokens = false;
    return made;
  }

  /// The answer of an engine that has nothing else to do.
  std::vector<TokenId> alone(GenerateRequest generate) {
    EngineOptions options = blocks(64);
    const auto engine = Engine::create(*model_, *device_, clock_, options).value();
    Recorder recorder;
    generate.deadline.reset();
    EXPECT_TRUE(engine->submit(std::move(generate), recorder));
    while (!engine->idle()) engine->step();
    return recorder.tokens;
  }

  static void expect_nothing_held(const Engine& engine) {
    const EngineCounters counters = engine.counters();
    EXPECT_EQ(counters.blocks_held, 0);
    EXPECT_EQ(counters.blocks_reserved, 0);
    EXPECT_EQ(counters.blocks_free + counters.blocks_cached, counters.blocks);
    EXPECT_EQ(counters.running, 0);
    EXPECT_EQ(counters.waiting, 0);
  }

  std::unique_ptr<kernels::CpuDevice> device_;
  ManualClock clock_;
  std::optional<model::Model> model_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace troupe::engine
