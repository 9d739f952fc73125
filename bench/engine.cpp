#include "bench/engine.hpp"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "bench/ceilings.hpp"
#include "bench/matmul.hpp"

namespace troupe::bench {

namespace {

using engine::Engine;

constexpr std::int32_t decode_prompt_tokens = 16;

class NullListener final : public engine::Listener {
  void on_tokens(const engine::TokensEvent&) override {}
  void on_finished(const engine::FinishedEvent&) override {}
};

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

double seconds_of(auto&& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Bytes that decoding one token after `context` others cannot avoid to read.
double decode_bytes(const model::ModelConfig& config, std::int32_t context) {
  const double weights = 2.0 * static_cast<double>(model::count_parameters(config).active);
  const double kv_token =
      static_cast<double>(config.kv_layout(kernels::DeviceKind::cpu).block_bytes()) / kernels::kv_block_positions;
  return weights + kv_token * context;
}

/// Operations of a prompt: products with all active weights (the output projection for its last token only), and attention.
double prefill_operations(const model::ModelConfig& config, std::int32_t tokens) {
  const double output = static_cast<double>(config.vocabulary) * config.hidden;
  const double layers = static_cast<double>(model::count_parameters(config).active) - output;
  const double pairs = 0.5 * tokens * (tokens + 1.0);
  return 2 * layers * tokens + 2 * output + 4 * pairs * config.query_width() * config.layers;
}

struct Round {
  double decode_step = 0;
  double overhead = 0;
  double prefill = 0;
};

/// One sequence: a prompt in one step, then `decode` steps of one token.
Round run(Engine& engine, std::int32_t prompt_tokens, std::int32_t decode, std::uint64_t seed) {
  Random random(seed);
  engine::GenerateRequest request;
  for (std::int32_t i = 0; i < prompt_tokens; ++i) {
    request.prompt.push_back(
        static_cast<model::TokenId>(random.below(static_cast<std::uint64_t>(engine.model().config.vocabulary))));
  }
  request.tokens_max = decode + 1;
  request.stop_at_end_tokens = false;
  request.use_prefix_cache = false;
  NullListener listener;
  Round round;
  if (!engine.submit(std::move(request), listener)) return round;
  round.prefill = seconds_of([&] { engine.step(); });
  const auto before = engine.counters();
  std::vector<double> steps;
  while (!engine.idle()) steps.push_back(seconds_of([&] { engine.step(); }));
  if (steps.empty()) return round;
  const auto after = engine.counters();
  round.decode_step = median(steps);
  round.overhead = 1 - (after.kernel_seconds - before.kernel_seconds) / (after.step_seconds - before.step_seconds);
  return round;
}

/// Our time for the products of a layer, over oneDNN's; empty without oneDNN.
Result<std::optional<double>> invariance_cost(const model::ModelConfig& config, kernels::CpuDevice& device, Ceilings& ceilings,
                                              std::int32_t rows) {
  const std::int32_t inner = config.moe ? config.moe->intermediate : config.intermediate;
  const MatmulShape shapes[] = {{rows, config.hidden, config.qkv_width()},
                                {rows, config.query_width(), config.hidden},
                                {rows, config.hidden, 2 * inner},
                                {rows, inner, config.hidden}};
  double ours = 0;
  double theirs = 0;
  for (const MatmulShape& shape : shapes) {
    TROUPE_TRY(const MatmulMeasurement measured, measure_matmul(device, ceilings, shape, 3));
    if (!measured.onednn_seconds) return std::optional<double>();
    ours += measured.seconds;
    theirs += *measured.onednn_seconds;
  }
  return std::optional(ours / theirs);
}

}  // namespace

Result<EngineMeasurement> measure_engine(const model::Model& model, kernels::CpuDevice& device,
                                         const EngineBenchOptions& options, const model::Progress& progress) {
  const model::ModelConfig& config = model.config;
  const SystemClock clock;
  engine::EngineOptions engine_options;
  engine_options.batch = {options.prompt_tokens, 1, options.prompt_tokens};
  engine_options.context_max = std::max(options.prompt_tokens + 1, decode_prompt_tokens + options.decode_tokens + 1);
  TROUPE_TRY(const auto engine, Engine::create(model, device, clock, engine_options));
  TROUPE_TRY(Ceilings ceilings, Ceilings::create(device));

  EngineMeasurement found;
  found.decode_bytes = decode_bytes(config, decode_prompt_tokens + options.decode_tokens / 2);
  found.prefill_operations = prefill_operations(config, options.prompt_tokens);
  std::vector<double> decode, prefill, overhead, decode_step, prefill_seconds, read, arithmetic;
  for (std::int32_t i = 0; i < options.rounds; ++i) {
    if (progress) progress(static_cast<double>(i) / options.rounds);
    const double read_before = ceilings.measure_read();
    const Round decoding = run(*engine, decode_prompt_tokens, options.decode_tokens, static_cast<std::uint64_t>(i));
    read.push_back((read_before + ceilings.measure_read()) / 2);
    const double arithmetic_before = ceilings.measure_arithmetic();
    const Round prefilling = run(*engine, options.prompt_tokens, 0, static_cast<std::uint64_t>(i));
    arithmetic.push_back((arithmetic_before + ceilings.measure_arithmetic()) / 2);

    decode_step.push_back(decoding.decode_step);
    prefill_seconds.push_back(prefilling.prefill);
    overhead.push_back(decoding.overhead);
    decode.push_back(found.decode_bytes / decoding.decode_step / read.back());
    prefill.push_back(found.prefill_operations / prefilling.prefill / arithmetic.back());
  }
  if (options.onednn) {
    TROUPE_TRY(found.invariance_cost, invariance_cost(config, device, ceilings, options.prompt_tokens));
  }
  if (progress) progress(1);
  found.decode_fraction = median(decode);
  found.prefill_fraction = median(prefill);
  found.overhead_fraction = median(overhead);
  found.decode_step_seconds = median(decode_step);
  found.decode_tokens_per_second = 1 / found.decode_step_seconds;
  found.prefill_tokens_per_second = options.prompt_tokens / median(prefill_seconds);
  found.read_ceiling = median(read);
  found.arithmetic_ceiling = median(arithmetic);
  return found;
}

}  // namespace troupe::bench
