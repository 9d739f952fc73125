#include "actors/engine_replica.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

#include "actors/prompt_messages.hpp"
#include "kernels/math.hpp"
#include "policy/context.hpp"

namespace troupe::actors {

namespace {

/// What the template and the numbering put around a part, generously.
constexpr std::int32_t tokens_around_a_part = 12;
constexpr Duration refresh_every = std::chrono::milliseconds(50);

}  // namespace

/// The way to the blocks, which is closed when the replica ends.
class EngineReplica::Blocks final : public ReplicaBlocks {
 public:
  Blocks(const engine::KvCache& cache, Post post)
      : memory_(cache.data(), cache.bytes()),
        host_readable_(cache.host_readable()),
        block_bytes_(cache.layout().block_bytes()),
        post_(std::move(post)) {}

  std::span<std::byte> memory() const override { return memory_; }
  bool host_readable() const override { return host_readable_; }
  std::size_t block_bytes() const override { return block_bytes_; }
  void post(Work work) override {
    const std::scoped_lock lock(mutex_);
    if (post_) post_([work = std::move(work)](engine::Engine& engine) { work(engine.blocks()); });
  }
  double prefill_seconds_per_token() const override { return prefill_seconds_per_token_.load(); }

  void measured(const engine::EngineCounters& counters) {
    if (counters.tokens_prefilled == 0) return;
    prefill_seconds_per_token_ = counters.prefill_seconds / static_cast<double>(counters.tokens_prefilled);
  }
  void close() {
    const std::scoped_lock lock(mutex_);
    post_ = nullptr;
  }

 private:
  std::span<std::byte> memory_;
  bool host_readable_;
  std::size_t block_bytes_;
  std::atomic<double> prefill_seconds_per_token_{0};
  std::mutex mutex_;
  Post post_;
};

/// Hears of its sequence where the engine is, and passes it on.
class EngineReplica::Sequence final : public engine::Listener {
 public:
  Sequence(EngineReplica& replica, std::uint64_t number, const std::vector<policy::Emission>& known, OnEmission on_emission,
           OnEnd on_end)
      : replica_(replica), number_(number), on_emission_(std::move(on_emission)), on_end_(std::move(on_end)) {
    for (const policy::Emission& emission : known) {
      for (const float log_probability : emission.log_probabilities) log_probability_ += log_probability;
    }
  }

  void on_tokens(const engine::TokensEvent& event) override {
    policy::Emission emission;
    emission.first_index = event.first_index;
    emission.text = event.text;
    for (const model::SampledToken& token : event.tokens) {
      emission.ids.push_back(token.token);
      emission.log_probabilities.push_back(token.log_probability);
      log_probability_ += token.log_probability;
    }
    on_emission_(std::move(emission));
    replica_.refresh_soon();
  }

  void on_finished(const engine::FinishedEvent& event) override {
    SequenceEnd end;
    end.result.finish_reason = to_string(event.reason);
    end.result.confidence = kernels::exp(static_cast<float>(log_probability_));
    end.result.prompt_tokens = event.statistics.prompt_tokens;
    end.result.reused_tokens = event.statistics.reused_tokens;
    end.result.generated_tokens = event.statistics.generated_tokens;
    end.result.seconds = std::chrono::duration<double>(event.statistics.total_time).count();
    end.result.active_parameters = replica_.view_.active_parameters;
    if (event.error) {
      end.error = *event.error;
    } else if (event.reason == engine::FinishReason::cancelled) {
      end.error = Error{ErrorCode::cancelled, "the sequence was cancelled"};
    } else if (event.reason == engine::FinishReason::deadline_exceeded) {
      end.error = Error{ErrorCode::deadline_exceeded, "the deadline passed while the answer was generated"};
    }
    on_end_(std::move(end));
    ended_ = true;
    // The engine is not done with this listener before its call returns.
    replica_.post_([&replica = replica_, number = number_](engine::Engine& engine) {
      replica.sequences_.erase(number);
      replica.refresh(engine);
    });
  }

  void refuse(const Error& error) {
    SequenceEnd end;
    end.result.finish_reason = "failed";
    end.error = error;
    on_end_(std::move(end));
    ended_ = true;
  }

  void cancel(engine::Engine& engine) {
    if (!ended_) engine.cancel(id);
  }

  engine::SequenceId id;

 private:
  EngineReplica& replica_;
  std::uint64_t number_;
  OnEmission on_emission_;
  OnEnd on_end_;
  double log_probability_ = 0;
  bool ended_ = false;
};

EngineReplica::EngineReplica(const model::Model& model, const engine::Engine& engine, std::shared_ptr<const Clock> clock,
                             std::uint32_t index, policy::Tier tier, std::string model_name, Post post)
    : model_(model), clock_(std::move(clock)), post_(std::move(post)) {
  blocks_ = std::make_shared<Blocks>(engine.blocks(), post_);
  const engine::MemoryPlan& plan = engine.memory_plan();
  const model::ParameterCount parameters = model::count_parameters(model.config);
  view_.index = index;
  view_.tier = tier;
  view_.model_name = std::move(model_name);
  view_.model = {model::to_hex(model.fingerprint), std::string(engine.blocks().scope({}).numeric_class)};
  view_.parameters = static_cast<std::uint64_t>(parameters.total);
  view_.active_parameters = static_cast<std::uint64_t>(parameters.active);
  view_.context_max = plan.context_max;
  view_.blocks_total = plan.kv_blocks;
  view_.blocks_free = plan.kv_blocks;
  view_.block_root = engine::root_identity(engine.blocks().scope({}));
}

EngineReplica::~EngineReplica() { close(); }

void EngineReplica::close() { blocks_->close(); }

std::shared_ptr<ReplicaBlocks> EngineReplica::blocks() const { return blocks_; }

policy::ReplicaView EngineReplica::view() const {
  const std::scoped_lock lock(mutex_);
  return view_;
}

void EngineReplica::refresh(const engine::Engine& engine) {
  const engine::EngineCounters counters = engine.counters();
  blocks_->measured(counters);
  const std::scoped_lock lock(mutex_);
  view_.running = counters.running;
  view_.waiting = counters.waiting;
  view_.blocks_free = counters.blocks_free;
  view_.blocks_cached = counters.blocks_cached;
  view_.generated_tokens = counters.tokens_decoded;
  view_.prompt_tokens = counters.tokens_prefilled + counters.tokens_reused;
  view_.reused_tokens = counters.tokens_reused;
}

void EngineReplica::refresh_soon() {
  // The counters hold histograms: copying them at each step would be felt.
  const TimePoint now = clock_->now();
  if (refresh_posted_ || now - refreshed_ < refresh_every) return;
  refresh_posted_ = true;
  refreshed_ = now;
  post_([this](engine::Engine& engine) {
    refresh_posted_ = false;
    refresh(engine);
  });
}

Result<policy::TokenIds> EngineReplica::tokens_of(std::span<const policy::Message> messages) const {
  if (!model_.chat_template || !model_.tokenizer) {
    return Error{ErrorCode::unsupported,
                 "model " + view_.model_name + " has no chat template, so it cannot hold a conversation"};
  }
  std::vector<model::ChatMessage> chat;
  for (const policy::Message& message : messages) chat.push_back({message.role, message.content});
  TROUPE_TRY(const auto rendered, model_.chat_template->render(chat, /*add_generation_prompt=*/true));
  // What a message says is never taken for a special token, so that it cannot pretend to be another message.
  return model_.tokenizer->encode(rendered.text, rendered.from_messages);
}

Result<std::int32_t> EngineReplica::count(std::string_view text) const {
  TROUPE_TRY(const auto tokens, model_.tokenizer->encode(text, model::Tokenizer::SpecialTokens::as_text));
  return static_cast<std::int32_t>(tokens.size()) + tokens_around_a_part;
}

Result<schemas::EnginePrepared> EngineReplica::prepare(const schemas::EnginePrepare& request) const {
  schemas::EnginePrepared prepared;
  prepared.model = view_.model;
  prepared.context_max = view_.context_max;
  const std::int32_t budget = std::min(request.tokens_max, view_.context_max);
  if (request.purpose != schemas::Purpose::answer) {
    TROUPE_TRY(prepared.prompt, tokens_of(messages_for(request.purpose, request.parts)));
  } else {
    if (!model_.tokenizer) return Error{ErrorCode::unsupported, "model " + view_.model_name + " has no tokenizer"};
    policy::PartSizes sizes;
    policy::ContextParts nothing;
    nothing.task = request.parts.task;
    TROUPE_TRY(const auto system, tokens_of(policy::messages_of(nothing)));
    sizes.system = static_cast<std::int32_t>(system.size());
    TROUPE_TRY(sizes.summary, count(request.parts.summary));
    TROUPE_TRY(sizes.question, count(request.parts.question));
    for (const policy::Exchange& exchange : request.parts.recent) {
      TROUPE_TRY(const auto question, count(exchange.question));
      TROUPE_TRY(const auto answer, count(exchange.answer));
      sizes.recent.push_back(question + answer);
    }
    for (const policy::PassageText& passage : request.parts.passages) {
      TROUPE_TRY(const auto tokens, count(passage.name + ": " + passage.text));
      sizes.passages.push_back(tokens);
    }
    TROUPE_TRY(const policy::Assembly assembly, policy::assemble(request.parts, sizes, budget));
    for (std::uint32_t place = 0; place < request.parts.passages.size(); ++place) {
      const auto& out = assembly.passages_left_out;
      if (std::find(out.begin(), out.end(), place) == out.end()) prepared.passages.push_back(place);
    }
    prepared.recent_left_out = static_cast<std::uint32_t>(assembly.recent_left_out);
    TROUPE_TRY(prepared.prompt, tokens_of(policy::messages_of(assembly.parts)));
  }
  if (static_cast<std::int64_t>(prepared.prompt.size()) > budget) {
    return Error{ErrorCode::too_large, "the prompt has " + std::to_string(prepared.prompt.size()) + " tokens, and model " +
                                           view_.model_name + " has room for " + std::to_string(budget)};
  }
  return prepared;
}

void EngineReplica::start(std::uint64_t number, const schemas::EngineRequest& request,
                          const std::vector<policy::Emission>& known, Duration time_left, OnEmission on_emission,
                          OnEnd on_end) {
  engine::GenerateRequest generate;
  generate.prompt = request.prompt;
  generate.tokens_max = request.tokens_max;
  generate.sampling.temperature = request.sampling.temperature;
  generate.sampling.top_k = request.sampling.top_k;
  generate.sampling.top_p = request.sampling.top_p;
  generate.sampling.min_p = request.sampling.min_p;
  generate.sampling.seed = request.seed;
  generate.log_probability_sum_min = request.log_probability_sum_min;
  generate.priority = request.priority;
  generate.deadline = clock_->now() + time_left;
  for (const policy::Emission& emission : known) {
    for (std::size_t i = 0; i < emission.ids.size(); ++i) {
      generate.answered.push_back({.token = emission.ids[i], .log_probability = emission.log_probabilities[i], .top = {}});
    }
  }
  auto sequence = std::make_shared<std::unique_ptr<Sequence>>(
      std::make_unique<Sequence>(*this, number, known, std::move(on_emission), std::move(on_end)));
  post_([this, number, generate = std::move(generate), sequence](engine::Engine& engine) {
    Sequence& listener = **sequence;
    const auto id = engine.submit(generate, listener);
    if (id) {
      listener.id = *id;
      sequences_[number] = std::move(*sequence);
    } else {
      listener.refuse(id.error());
    }
    refresh(engine);
  });
}

void EngineReplica::cancel(std::uint64_t number) {
  post_([this, number](engine::Engine& engine) {
    const auto found = sequences_.find(number);
    if (found != sequences_.end()) found->second->cancel(engine);
    refresh(engine);
  });
}

}  // namespace troupe::actors
