// gpu_logits: what a checkpoint answers on the GPU, for tests/gpu/check_against_transformers.py. Reads prompts of token ids,
// and writes for each the logits of its last positions and its greedy continuation.
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.hpp"
#include "kernels/open_device.hpp"
#include "model/model.hpp"

namespace {

using namespace troupe;

/// Keeps what the engine shows of one answer.
class Keeper final : public engine::Listener {
 public:
  bool wants_logits() const override { return true; }
  void on_logits(engine::SequenceId /*sequence*/, std::int32_t /*position*/, std::span<const float> values) override {
    logits.insert(logits.end(), values.begin(), values.end());
  }
  void on_tokens(const engine::TokensEvent& event) override {
    for (const auto& token : event.tokens) tokens.push_back(token.token);
  }
  void on_finished(const engine::FinishedEvent& event) override { finished = event.reason == engine::FinishReason::length; }

  std::vector<float> logits;
  std::vector<model::TokenId> tokens;
  bool finished = false;
};

/// {"prompts": [[ids]], "answer": tokens} in; {"tokens": [[ids]]} out, and beside it the logits of each token as float32.
Result<void> run(const std::string& folder, const std::string& prompts_file, const std::string& answers_file) {
  TROUPE_TRY(const auto opened, kernels::open_device({.wish = kernels::DeviceWish::cuda, .gpu = 0, .cpu = {}}));
  TROUPE_TRY(auto config, model::load_config(folder + "/config.json"));
  TROUPE_TRY(auto weights, model::Weights::load(folder, config, *opened.device));
  const model::Model loaded{std::move(config), std::move(weights), {}, nullptr, std::nullopt};
  const SystemClock clock;
  engine::EngineOptions options;
  options.kv_bytes = std::size_t{1} << 30;
  TROUPE_TRY(const auto engine, engine::Engine::create(loaded, *opened.device, clock, options));

  const auto asked = nlohmann::json::parse(std::ifstream(prompts_file));
  std::vector<std::unique_ptr<Keeper>> keepers;
  for (const auto& prompt : asked.at("prompts")) {
    engine::GenerateRequest request;
    request.prompt = prompt.get<std::vector<model::TokenId>>();
    request.tokens_max = asked.at("answer").get<std::int32_t>();
    request.stop_at_end_tokens = false;
    keepers.push_back(std::make_unique<Keeper>());
    TROUPE_TRY_DO(engine->submit(std::move(request), *keepers.back()));
  }
  while (!engine->idle()) engine->step();
  nlohmann::json answered{{"tokens", nlohmann::json::array()}};
  std::ofstream logits(answers_file + ".logits", std::ios::binary);
  for (const auto& keeper : keepers) {
    if (!keeper->finished) return Error{ErrorCode::corrupt, "an answer failed"};
    answered["tokens"].push_back(keeper->tokens);
    logits.write(reinterpret_cast<const char*>(keeper->logits.data()),
                 static_cast<std::streamsize>(keeper->logits.size() * sizeof(float)));
  }
  std::ofstream(answers_file) << answered;
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("usage: gpu_logits CHECKPOINT PROMPTS.json ANSWERS.json\n", stderr);
    return 2;
  }
  try {
    if (const auto done = run(argv[1], argv[2], argv[3]); !done) {
      std::fprintf(stderr, "gpu_logits: %s\n", done.error().message.c_str());
      return 1;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gpu_logits: %s\n", error.what());
    return 1;
  }
  return 0;
}
