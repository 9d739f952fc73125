#include "tests/sim/sim_replica.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/check.hpp"
#include "kernels/cpu_device.hpp"
#include "policy/prompt.hpp"
#include "policy/routing.hpp"
#include "tests/support/tiny_models.hpp"

namespace troupe::sim {

namespace {

using std::chrono::milliseconds;

constexpr std::int32_t rules_tokens = 32;
constexpr std::int32_t kv_blocks = 16;  ///< two sequences at their longest; others wait
constexpr std::int32_t first_purpose_token = 8;
constexpr std::int32_t first_text_token = 12;
constexpr std::int32_t text_tokens = 190;  ///< all of them are in each tiny model's vocabulary
constexpr std::size_t bytes_per_token = 40;
/// The tiny models are sure of no token: for them an answer may be less probable, by this power, before it stops as unsure.
constexpr double unsureness = 32;

/// The tiny models, once for all worlds: they are immutable, and a single compute thread uses one at a time.
struct Models {
  Models() {
    auto opened = kernels::CpuDevice::create({.instruction_set = {}, .threads = 1});
    TROUPE_CHECK(opened.has_value(), "a processor is a device");
    device = *std::move(opened);
    for (const char* name : {"llama", "qwen3", "qwen3_moe"}) models.push_back(tests::make(tests::tiny_model(name), *device));
  }
  const model::Model& of(policy::Tier tier) const { return models[policy::place_of(tier)]; }
  std::unique_ptr<kernels::CpuDevice> device;
  std::vector<model::Model> models;
};

Models& tiny() {
  static Models models;
  return models;
}

std::unique_ptr<engine::Engine> make_engine(policy::Tier tier, const Clock& clock) {
  engine::EngineOptions options;
  options.kv_blocks = kv_blocks;
  options.context_max = context_tokens_max;
  options.batch = {.tokens_max = 64, .sequences_max = 8, .chunk_tokens_max = 32};
  auto engine = engine::Engine::create(tiny().of(tier), *tiny().device, clock, options);
  TROUPE_CHECK(engine.has_value(), "there is memory for a small engine");
  return *std::move(engine);
}

std::vector<policy::Message> messages_for(const schemas::EnginePrepare& request) {
  switch (request.purpose) {
    case schemas::Purpose::answer:
    case schemas::Purpose::shadow: return policy::messages_of(request.parts);
    case schemas::Purpose::classify: return policy::classify_messages(request.parts.instruction, request.parts.question);
    case schemas::Purpose::rewrite: return policy::rewrite_messages(request.parts.recent, request.parts.question);
    case schemas::Purpose::summarize: return policy::summary_messages(request.parts.summary, request.parts.recent);
  }
  return {};
}

std::int32_t token_of(std::uint64_t hash) { return first_text_token + static_cast<std::int32_t>(hash % text_tokens); }

/// What a token of an answer to a prompt of this purpose says. Answers cite at times, rightly or not, and mostly in the words
/// of the corpus, so that some citations hold and some do not; a classification names a kind with its first token.
std::string text_of(schemas::Purpose purpose, std::int32_t index, std::int32_t id) {
  if (purpose == schemas::Purpose::classify) {
    constexpr std::array<std::string_view, 8> kinds = {"lookup",    "compare",   "multi_step",   "chat",
                                                       "summarize", "follow_up", "out_of_scope", "?"};
    return index == 0 ? std::string(kinds[static_cast<std::size_t>(id) % kinds.size()]) : std::string();
  }
  constexpr std::array<std::string_view, 4> words = {"ask", "say", "pets", "t"};
  const std::string_view word = words[static_cast<std::size_t>(id) % words.size()];
  std::string text = std::string(word) + (word == "t" ? std::to_string(id) : "") + " ";
  // Nearly every answer begins with a citation: one without any is refused, if it was to come from passages.
  const bool cites = index == 0 ? id % 8 != 4 : id % 8 == 3;
  if (purpose == schemas::Purpose::answer && cites) text += id % 64 == 3 ? "[9] " : "[1] ";
  return text;
}

policy::TokenIds generate_alone(policy::Tier tier, const schemas::EngineRequest& request) {
  struct Answer final : engine::Listener {
    policy::TokenIds ids;
    void on_tokens(const engine::TokensEvent& event) override {
      for (const auto& token : event.tokens) ids.push_back(token.token);
    }
    void on_finished(const engine::FinishedEvent& /*event*/) override {}
  };
  engine::GenerateRequest generate;
  generate.prompt = request.prompt;
  generate.tokens_max = request.tokens_max;
  generate.sampling = {.temperature = request.sampling.temperature,
                       .top_k = request.sampling.top_k,
                       .top_p = request.sampling.top_p,
                       .min_p = request.sampling.min_p,
                       .seed = request.seed};
  generate.log_probability_sum_min = request.log_probability_sum_min * unsureness;
  const ManualClock clock;
  Answer answer;
  const auto engine = make_engine(tier, clock);
  TROUPE_CHECK(engine->submit(generate, answer).has_value(), "what an engine has answered it takes again");
  while (!engine->idle()) engine->step();
  return answer.ids;
}

}  // namespace

policy::TokenIds AloneAnswers::of(policy::Tier tier, const schemas::EngineRequest& request) {
  for (const Known& known : known_) {
    if (known.tier == tier && known.request == request) return known.ids;
  }
  known_.push_back({tier, request, generate_alone(tier, request)});
  return known_.back().ids;
}

SimReplica::SimReplica(World& world, PromptTexts& prompts, std::string node, std::uint32_t index, policy::Tier tier)
    : world_(world),
      prompts_(prompts),
      name_(std::move(node) + "/" + std::string(policy::to_string(tier))),
      engine_(make_engine(tier, *world.clock())) {
  replica_ = std::make_unique<actors::EngineReplica>(
      tiny().of(tier), *engine_, world.clock(), index, tier, "tiny-" + std::string(policy::to_string(tier)),
      [this](std::function<void(engine::Engine&)> work) { post(std::move(work)); });
}

SimReplica::~SimReplica() { replica_->close(); }

void SimReplica::post(std::function<void(engine::Engine&)> work) {
  queue_.push_back(std::move(work));
  wake();
}

void SimReplica::wake() {
  if (std::exchange(awake_, true)) return;
  world_.schedule(world_.between(milliseconds(1), milliseconds(5)), [weak = std::weak_ptr(self_)] {
    if (const auto self = weak.lock()) (*self)->step();
  });
}

void SimReplica::step() {
  for (std::size_t works = queue_.size(); works > 0; --works) {
    const auto work = std::move(queue_.front());
    queue_.pop_front();
    work(*engine_);
  }
  engine_->step();
  check_cancelled();
  awake_ = false;
  if (!queue_.empty() || !engine_->idle()) wake();
}

void SimReplica::check_cancelled() {
  constexpr Duration long_enough = milliseconds(30);
  std::erase_if(cancelled_, [&](const auto& entry) {
    if (world_.now() - entry.second < long_enough) return false;
    world_.violated("a sequence of " + name_ + " that was cancelled goes on and holds its blocks");
    return true;
  });
}

Result<schemas::EnginePrepared> SimReplica::prepare(const schemas::EnginePrepare& request) const {
  const policy::ReplicaView seen = view();
  schemas::EnginePrepared prepared;
  prepared.model = seen.model;
  prepared.context_max = seen.context_max;
  if (request.purpose == schemas::Purpose::answer && request.parts.task == policy::Task::answer) {
    for (std::uint32_t place = 0; place < request.parts.passages.size(); ++place) prepared.passages.push_back(place);
  }
  std::string text;
  for (const policy::Message& message : messages_for(request)) text += message.role + ": " + message.content + "\n";
  const auto budget = static_cast<std::size_t>(std::min(request.tokens_max, prompt_tokens_max) + rules_tokens);
  // All prompts of a purpose begin with the same rules, whose KV blocks they share.
  prepared.prompt.assign(rules_tokens + 1, first_purpose_token + static_cast<std::int32_t>(request.purpose));
  for (std::size_t at = 0; at < text.size() && prepared.prompt.size() + 2 < budget; at += bytes_per_token) {
    prepared.prompt.push_back(token_of(hash_of(std::string_view(text).substr(at, bytes_per_token))));
  }
  // The last two stand for all of it, so that what no longer fits makes a difference too.
  const std::uint64_t whole = hash_of(text);
  prepared.prompt.push_back(token_of(whole));
  prepared.prompt.push_back(token_of(whole >> 32));
  if (request.purpose == schemas::Purpose::answer) prompts_.keep(prepared.prompt, std::move(text));
  return prepared;
}

/// One sequence between the engine's words and the actors'.
struct SimReplica::Running {
  schemas::Purpose purpose = schemas::Purpose::answer;
  std::uint64_t hash = hash_of("");
  std::int32_t tokens = 0;
  OnEmission on_emission;
  OnEnd on_end;

  /// What the next tokens say.
  std::string pass(const policy::TokenIds& ids) {
    std::string text;
    for (const std::int32_t id : ids) {
      text += text_of(purpose, tokens++, id);
      hash = hash_of(std::to_string(id) + ",", hash);
    }
    return text;
  }
  void emit(policy::Emission emission) {
    emission.text = pass(emission.ids);
    on_emission(std::move(emission));
  }
  void end(actors::SequenceEnd end) {
    const bool whole = !end.error;
    if (whole && hash % 5 == 0) on_emission({.first_index = tokens, .ids = {}, .log_probabilities = {}, .text = "."});
    // What kind of question it is is said with the first token, and that is all.
    const bool said = purpose == schemas::Purpose::classify && tokens > 0;
    if (said && end.result.finish_reason == "length") end.result.finish_reason = "end_token";
    end.result.confidence = static_cast<double>(hash >> 40) / static_cast<double>(1U << 24U);
    on_end(std::move(end));
  }
};

void SimReplica::start(std::uint64_t number, const schemas::EngineRequest& request, const std::vector<policy::Emission>& known,
                       Duration time_left, OnEmission on_emission, OnEnd on_end) {
  auto running = std::make_shared<Running>();
  running->purpose = static_cast<schemas::Purpose>(request.prompt.front() - first_purpose_token);
  for (const policy::Emission& emission : known) running->pass(emission.ids);
  running->on_emission = std::move(on_emission);
  running->on_end = std::move(on_end);
  running_.insert(number);
  schemas::EngineRequest stretched = request;
  stretched.log_probability_sum_min *= unsureness;
  replica_->start(
      number, stretched, known, time_left, [running](policy::Emission emission) { running->emit(std::move(emission)); },
      [this, number, running](actors::SequenceEnd end) {
        running_.erase(number);
        cancelled_.erase(number);
        running->end(std::move(end));
      });
}

void SimReplica::cancel(std::uint64_t number) {
  if (running_.contains(number)) cancelled_.emplace(number, world_.now());
  if (world_.defect() != Defect::leaked_block) replica_->cancel(number);
}

}  // namespace troupe::sim
