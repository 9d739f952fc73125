#include "tests/gpu/engine_bench.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>

#include "base/random.hpp"
#include "engine/engine.hpp"
#include "kernels/open_device.hpp"
#include "model/model.hpp"

namespace troupe::bench {

namespace {

constexpr int decode_parts = 5;
constexpr std::int32_t decode_steps_each = 24;
constexpr std::int32_t decode_steps = decode_parts * decode_steps_each;
constexpr std::int32_t decode_steps_before = 8;   // that do not count
constexpr std::int32_t decode_steps_beside = 28;  // of the first sequences, while the last ones' prompts are read
constexpr int prefill_rounds = 5;
constexpr std::int32_t chunk_tokens = 8192;

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

class NullListener final : public engine::Listener {
  void on_tokens(const engine::TokensEvent&) override {}
  void on_finished(const engine::FinishedEvent& event) override { failed |= event.reason == engine::FinishReason::failed; }

 public:
  bool failed = false;
};

/// Sampled, so that all that choosing a token may take is in the time.
engine::GenerateRequest random_request(const model::ModelConfig& config, std::int32_t prompt, std::int32_t answer,
                                       std::uint64_t seed) {
  Random random(seed);
  engine::GenerateRequest request;
  for (std::int32_t i = 0; i < prompt; ++i) {
    request.prompt.push_back(static_cast<model::TokenId>(random.below(static_cast<std::uint64_t>(config.vocabulary))));
  }
  request.tokens_max = answer;
  request.stop_at_end_tokens = false;
  request.use_prefix_cache = false;
  request.sampling.temperature = 0.8F;
  request.sampling.top_p = 0.95F;
  request.sampling.seed = seed;
  return request;
}

/// Weights that a step of so many tokens cannot avoid to read: where tokens choose experts at random, those that some do.
double weight_bytes(const model::ModelConfig& config, std::int32_t tokens) {
  const model::ParameterCount parameters = model::count_parameters(config);
  if (!config.moe) return 2.0 * static_cast<double>(parameters.active);
  const double expert = 3.0 * config.hidden * config.moe->intermediate;
  double sparse = 0;
  for (std::int32_t layer = 0; layer < config.layers; ++layer) sparse += config.is_sparse(layer) ? 1 : 0;
  const double chosen = config.moe->experts_per_token;
  const double all = config.moe->experts;
  const double distinct = all * (1 - std::pow(1 - chosen / all, tokens));
  return 2.0 * (static_cast<double>(parameters.active) + sparse * expert * (distinct - chosen));
}

double prefill_operations(const model::ModelConfig& config, std::int32_t tokens) {
  const double output = static_cast<double>(config.vocabulary) * config.hidden;
  const double layers = static_cast<double>(model::count_parameters(config).active) - output;
  const double pairs = 0.5 * tokens * (tokens + 1.0);
  return 2 * layers * tokens + 2 * output + 4 * pairs * config.query_width() * config.layers;
}

Result<EngineDecodeSpeed> measure_decoding(const std::string& name, const EngineCases::Decode& which, engine::Engine& engine) {
  const model::ModelConfig& config = engine.model().config;
  NullListener listener;
  for (std::int32_t i = 0; i < which.batch; ++i) {
    const std::int32_t answer = decode_steps_before + decode_steps + decode_steps_beside;
    TROUPE_TRY_DO(engine.submit(random_request(config, which.context, answer, static_cast<std::uint64_t>(i) + 1), listener));
  }
  // Until every sequence decodes.
  const auto decoded = [&] { return engine.counters().tokens_decoded; };
  const auto before = static_cast<std::uint64_t>(which.batch) * decode_steps_before;
  const std::uint64_t start = decoded();
  while (decoded() - start < before) engine.step();
  const auto counters = engine.counters();
  const double begin = now();
  EngineDecodeSpeed speed;
  std::vector<double> steps;
  double last = begin;
  for (int part = 0; part < decode_parts; ++part) {
    for (std::int32_t i = 0; i < decode_steps_each; ++i) {
      engine.step();
      const double at = now();
      steps.push_back(at - last);
      last = at;
    }
    speed.part_seconds.push_back(median({steps.end() - decode_steps_each, steps.end()}));
  }
  const auto after = engine.counters();
  speed.model = name;
  speed.batch = which.batch;
  speed.context = which.context;
  speed.seconds = median(steps);
  speed.bytes = weight_bytes(config, which.batch) +
                static_cast<double>(engine.memory_plan().kv_bytes_per_token) * which.batch * (which.context + decode_steps / 2);
  speed.idle = 1 - (after.kernel_seconds - counters.kernel_seconds) / (last - begin);
  while (!engine.idle()) engine.step();
  if (listener.failed) return Error{ErrorCode::corrupt, "a sequence failed"};
  return speed;
}

Result<EnginePrefillSpeed> measure_prefill(const std::string& name, std::int32_t tokens, engine::Engine& engine) {
  const model::ModelConfig& config = engine.model().config;
  NullListener listener;
  std::vector<double> seconds;
  for (int i = 0; i < prefill_rounds; ++i) {
    TROUPE_TRY_DO(engine.submit(random_request(config, tokens, 1, static_cast<std::uint64_t>(i) + 100), listener));
    const double begin = now();
    while (!engine.idle()) engine.step();
    seconds.push_back(now() - begin);
  }
  if (listener.failed) return Error{ErrorCode::corrupt, "a sequence failed"};
  return EnginePrefillSpeed{name, tokens, median(seconds), prefill_operations(config, tokens)};
}

}  // namespace

const std::vector<EngineCases>& engine_cases() {
  static const std::vector<EngineCases> cases{
      {"llama-3.1-8b", {{1, 1024}, {1, 16384}, {8, 1024}, {32, 1024}, {128, 1024}}, {1024, 8192}},
      {"llama-3.2-1b", {{1, 1024}, {32, 1024}}, {8192}},
      {"qwen3-0.6b", {{1, 1024}, {32, 1024}}, {8192}},
      {"qwen3-30b-a3b", {{1, 1024}, {8, 1024}, {32, 1024}}, {8192}},
  };
  return cases;
}

Result<LoadSpeed> measure_load(const std::string& folder) {
  TROUPE_TRY(const auto config, model::load_config(folder + "/config.json"));
  TROUPE_TRY(const auto opened, kernels::open_device({.wish = kernels::DeviceWish::cuda, .gpu = 0, .cpu = {}}));
  LoadSpeed speed;
  std::vector<double> seconds;
  for (int i = 0; i < 3; ++i) {
    const double begin = now();
    TROUPE_TRY(const auto weights, model::Weights::load(folder, config, *opened.device));
    seconds.push_back(now() - begin);
    speed.bytes = static_cast<double>(weights.bytes());
  }
  speed.seconds = median(seconds);
  return speed;
}

Result<void> measure_engine_cases(const EngineCases& cases, const std::string& shapes, EngineSpeeds& speeds,
                                  const std::function<void(const std::string&)>& say) {
  TROUPE_TRY(const auto config, model::load_config(shapes + "/" + cases.model + ".json"));
  TROUPE_TRY(const auto opened, kernels::open_device({.wish = kernels::DeviceWish::cuda, .gpu = 0, .cpu = {}}));
  const double begin = now();
  TROUPE_TRY(const auto model, model::Model::random(config, 1, *opened.device));
  speeds.weights_seconds = now() - begin;
  say(cases.model + ": " + std::to_string(model.weights.bytes() >> 20) + " MiB of random weights in " +
      std::to_string(speeds.weights_seconds) + " s");
  const SystemClock clock;
  engine::EngineOptions options;
  options.batch = {.tokens_max = chunk_tokens, .sequences_max = 256, .chunk_tokens_max = chunk_tokens};
  options.context_max = 20000;
  TROUPE_TRY(const auto engine, engine::Engine::create(model, *opened.device, clock, options));
  for (const EngineCases::Decode& which : cases.decoding) {
    TROUPE_TRY(auto speed, measure_decoding(cases.model, which, *engine));
    say(cases.model + ", batch " + std::to_string(which.batch) + ", context " + std::to_string(which.context) + ": " +
        std::to_string(speed.seconds * 1e3) + " ms a step, idle " + std::to_string(speed.idle));
    speeds.decoding.push_back(std::move(speed));
  }
  for (const std::int32_t tokens : cases.prefill) {
    TROUPE_TRY(auto speed, measure_prefill(cases.model, tokens, *engine));
    say(cases.model + ", prompt of " + std::to_string(tokens) + ": " + std::to_string(speed.seconds * 1e3) + " ms");
    speeds.prefill.push_back(std::move(speed));
  }
  return {};
}

}  // namespace troupe::bench
