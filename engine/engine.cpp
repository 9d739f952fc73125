#include "engine/engine.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "base/check.hpp"
#include "kernels/numeric_class.hpp"
#include "policy/batch.hpp"

namespace troupe::engine {

using kernels::kv_block_positions;

std::string_view to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::end_token: return "end_token";
    case FinishReason::stop_token: return "stop_token";
    case FinishReason::stop_string: return "stop_string";
    case FinishReason::length: return "length";
    case FinishReason::unsure: return "unsure";
    case FinishReason::cancelled: return "cancelled";
    case FinishReason::deadline_exceeded: return "deadline_exceeded";
    case FinishReason::failed: return "failed";
  }
  return "unknown";
}

namespace {

policy::WaitingSequence as_waiting(const Sequence& sequence) {
  return {sequence.id.value, sequence.request.priority, sequence.id.value, sequence.submitted};
}

}  // namespace

Engine::Engine(const model::Model& model, kernels::Device& device, const Clock& clock, const EngineOptions& options,
               MemoryPlan plan, model::RopeTable rope, KvCache cache)
    : model_(model),
      device_(device),
      clock_(clock),
      options_(options),
      plan_(plan),
      admission_{.waiting_max = options.waiting_max,
                 // Every running sequence can decode in every step; more would wait for others to end.
                 .running_max = std::min(options.batch.sequences_max, options.batch.tokens_max),
                 .context_max = plan.context_max,
                 .blocks = plan.kv_blocks},
      rope_(std::move(rope)),
      cache_(std::move(cache)) {}

Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::create(const model::Model& model, kernels::Device& device, const Clock& clock,
                                               const EngineOptions& options, model::Experts* experts) {
  TROUPE_CHECK(model.weights.has_trunk(), "a model that runs sequences has its trunk");
  const std::int64_t all = model::expert_shape(model.config).count();
  const std::int64_t loaded = model.weights.experts().count();
  if (experts == nullptr && loaded < all) {
    return Error{ErrorCode::invalid_argument, "the model has " + std::to_string(loaded) + " of its " + std::to_string(all) +
                                                  " experts loaded, and nobody is given who computes the others"};
  }
  TROUPE_TRY(const MemoryPlan plan, plan_memory(model.config, options, {device.kind(), device.free_bytes()},
                                                {.trunk = true, .experts = model.weights.experts()}));
  TROUPE_TRY(auto rope, model::RopeTable::create(model.config, plan.context_max, device));
  TROUPE_TRY(auto cache, KvCache::create(device, model.config.kv_layout(device.kind()), plan.kv_blocks, model.fingerprint,
                                         std::string(kernels::numeric_class(device.kind()))));
  auto engine = std::unique_ptr<Engine>(new Engine(model, device, clock, options, plan, std::move(rope), std::move(cache)));
  if (model::runs_ahead(device.kind())) {
    if (experts != nullptr) {
      return Error{ErrorCode::unsupported,
                   "on a GPU a model computes its experts itself; experts on other nodes are for CPUs only (--device cpu)"};
    }
  } else if (experts == nullptr) {
    TROUPE_TRY(engine->local_experts_,
               model::LocalExperts::create(model.config, model.weights, device, options.batch.tokens_max));
    experts = engine->local_experts_.get();
  }
  engine->experts_ = experts;
  const model::ForwardLimits limits{options.batch.tokens_max, options.batch.sequences_max};
  TROUPE_TRY(auto passes, model::create_passes(model.config, model.weights, engine->rope_, device, limits, plan.passes));
  for (auto& pass : passes)
    engine->batches_.push_back({.pass = std::move(pass), .entries = {}, .active = false, .number = 0, .started = {}});
  engine->busy_before_ = device.stream().busy_seconds();
  return engine;
}

Result<SequenceId> Engine::submit(GenerateRequest request, Listener& listener) {
  const auto check_tokens = [&](const char* of, const auto& tokens, auto id_of) -> Result<void> {
    const auto outside =
        std::ranges::find_if(tokens, [&](TokenId token) { return token < 0 || token >= model_.config.vocabulary; }, id_of);
    if (outside == tokens.end()) return {};
    return Error{ErrorCode::out_of_range, std::string(of) + " token " + std::to_string(outside - tokens.begin()) + " is " +
                                              std::to_string(std::invoke(id_of, *outside)) + ", the vocabulary has " +
                                              std::to_string(model_.config.vocabulary) + " tokens"};
  };
  const auto check = [&]() -> Result<void> {
    TROUPE_TRY_DO(policy::check_request(static_cast<std::int32_t>(std::min<std::size_t>(request.prompt.size(), 1U << 30)),
                                        request.tokens_max, waiting_, admission_, kv_block_positions));
    TROUPE_TRY_DO(model::validate(request.sampling));
    TROUPE_TRY_DO(model::validate(request.stop, model_.config.vocabulary));
    if (!model_.tokenizer && !request.stop.strings.empty()) {
      return Error{ErrorCode::unsupported, "stop strings need a model with a tokenizer; this one has random weights"};
    }
    if (request.answered.size() > static_cast<std::size_t>(request.tokens_max)) {
      return Error{ErrorCode::out_of_range, "the answer has " + std::to_string(request.answered.size()) +
                                                " tokens already, and at most " + std::to_string(request.tokens_max) +
                                                " were asked for"};
    }
    if (!(request.log_probability_sum_min <= 0)) {
      return Error{ErrorCode::out_of_range, "log_probability_sum_min is " + std::to_string(request.log_probability_sum_min) +
                                                ", expected at most 0; -infinity for none"};
    }
    TROUPE_TRY_DO(check_tokens("prompt", request.prompt, std::identity()));
    return check_tokens("answered", request.answered, &model::SampledToken::token);
  };
  if (auto checked = check(); !checked) {
    ++counters_.sequences_refused;
    return Error(std::move(checked).error());
  }
  const SequenceId id{++last_id_};
  sequences_[id] = std::make_unique<Sequence>(id, std::move(request), listener, model_.tokenizer.get(),
                                              model_.config.end_tokens, clock_.now());
  ++waiting_;
  ++counters_.sequences_submitted;
  return id;
}

void Engine::cancel(SequenceId sequence) {
  if (const auto found = sequences_.find(sequence); found != sequences_.end()) end(*found->second, FinishReason::cancelled);
}

std::vector<policy::WaitingSequence> Engine::waiting() const {
  std::vector<policy::WaitingSequence> queue;
  for (const auto& [id, sequence] : sequences_) {
    if (!sequence->running) queue.push_back(as_waiting(*sequence));
  }
  return queue;
}

std::int32_t Engine::queue_position(SequenceId sequence) const {
  const auto found = sequences_.find(sequence);
  if (found == sequences_.end() || found->second->running) return 0;
  return policy::queue_position(waiting(), sequence.value, clock_.now(), admission_);
}

std::optional<TimePoint> Engine::next_deadline() const {
  std::optional<TimePoint> earliest;
  for (const auto& [id, sequence] : sequences_) {
    const auto& deadline = sequence->request.deadline;
    if (sequence->pending_finish) continue;  // it ends with its last pass
    if (deadline && (!earliest || *deadline < *earliest)) earliest = deadline;
  }
  return earliest;
}

StepReport Engine::step() {
  const TimePoint begin = clock_.now();
  StepReport report;
  end_due_ones();
  report.progressed = admit();
  if (model::runs_ahead(device_.kind())) {
    // The device has its next batch before it is asked for what the last one has chosen.
    report.progressed |= start_batches();
    const auto oldest = std::ranges::min_element(
        batches_, {}, [](const InflightBatch& batch) { return std::pair(!batch.active, batch.number); });
    if (oldest->active) report.progressed |= advance(*oldest, report);
  } else {
    for (InflightBatch& batch : batches_) {
      if (batch.active && batch.pass->ready()) report.progressed |= advance(batch, report);
    }
    const auto idle = std::ranges::find_if(batches_, [](const InflightBatch& batch) { return !batch.active; });
    if (idle != batches_.end() && start_batch(*idle)) report.progressed |= advance(*idle, report);
  }

  report.passes_waiting = static_cast<std::int32_t>(std::ranges::count_if(batches_, &InflightBatch::active));
  const Duration took = clock_.now() - begin;
  if (report.rows > 0) {
    ++counters_.steps;
    counters_.step_time.record(took);
  }
  counters_.step_seconds += std::chrono::duration<double>(took).count();
  return report;
}

void Engine::end_due_ones() {
  const TimePoint now = clock_.now();
  std::vector<std::pair<SequenceId, FinishReason>> due;
  for (const auto& [id, sequence] : sequences_) {
    if (sequence->pending_finish) {
      if (sequence->passes == 0) due.emplace_back(id, *sequence->pending_finish);  // its answer was complete when it came
    } else if (sequence->request.deadline && *sequence->request.deadline <= now) {
      due.emplace_back(id, FinishReason::deadline_exceeded);
    }
  }
  for (const auto& [id, reason] : due) {
    // A listener that hears of one end may have cancelled the next.
    const auto found = sequences_.find(id);
    if (found != sequences_.end()) end(*found->second, reason);
  }
}

bool Engine::admit() {
  bool admitted = false;
  while (waiting_ > 0 && static_cast<std::int32_t>(sequences_.size()) - waiting_ < admission_.running_max) {
    const auto next = policy::next_to_admit(waiting(), clock_.now(), admission_);
    if (!try_admit(*sequences_.at(SequenceId{*next}))) break;
    admitted = true;
  }
  return admitted;
}

bool Engine::try_admit(Sequence& sequence) {
  BlockPool& pool = cache_.pool();
  const GenerateRequest& request = sequence.request;
  std::vector<BlockIndex> found;
  if (request.use_prefix_cache) {
    // The last token is always computed, since the next token of the answer is chosen from its logits.
    found = cache_.match_prefix(std::span(sequence.tokens).first(sequence.tokens.size() - 1), request.tenant_salt);
  }
  const std::int32_t needed = policy::blocks_for(sequence.positions_max(), kv_block_positions);
  std::size_t held = 0;
  while (held < found.size() && pool.hold(found[held])) ++held;
  const auto reused = static_cast<std::int32_t>(held);
  if (held < found.size() || !pool.reserve(needed - reused)) {
    for (std::size_t i = held; i-- > 0;) pool.release(found[i]);
    return false;
  }
  sequence.reserved = needed - reused;
  sequence.blocks = std::move(found);
  sequence.blocks.reserve(static_cast<std::size_t>(needed));
  sequence.named = reused;
  sequence.identity = reused > 0 ? *pool.name_of(sequence.blocks.back()) : root_identity(cache_.scope(request.tenant_salt));
  sequence.computed = reused * kv_block_positions;
  sequence.scheduled = sequence.computed;
  sequence.running = true;
  --waiting_;
  sequence.statistics.reused_tokens = sequence.computed;
  sequence.statistics.queue_time = clock_.now() - sequence.submitted;
  counters_.tokens_reused += static_cast<std::uint64_t>(sequence.computed);
  counters_.queue_time.record(sequence.statistics.queue_time);
  return true;
}

bool Engine::start_batches() {
  bool started = false;
  for (InflightBatch& batch : batches_) {
    if (batch.active) continue;
    if (!start_batch(batch)) break;
    started = true;
  }
  return started;
}

bool Engine::start_batch(InflightBatch& batch) {
  const bool runs_ahead = model::runs_ahead(device_.kind());
  const TimePoint now = clock_.now();
  std::vector<policy::RunnableSequence> runnable;
  for (const auto& [id, sequence] : sequences_) {
    if (!sequence->running || sequence->pending_finish || (sequence->passes > 0 && !runs_ahead)) continue;
    if (sequence->tokens_left() == 0) continue;
    // A prompt that has begun goes on gaining by waiting, so that none starves behind more urgent ones.
    const auto priority = policy::promoted_priority(as_waiting(*sequence), now, admission_);
    runnable.push_back({id.value, priority, id.value, sequence->tokens_left(), sequence->decoding()});
  }
  policy::BatchLimits limits = options_.batch;
  if (!runs_ahead) {
    const std::int32_t running = static_cast<std::int32_t>(sequences_.size()) - waiting_;
    limits.sequences_max = std::min(limits.sequences_max, (running + plan_.passes - 1) / plan_.passes);
  }
  const std::vector<policy::BatchEntry> planned = policy::plan_batch(runnable, limits);
  if (planned.empty()) return false;

  std::vector<TokenId> tokens;
  std::vector<kernels::SequenceRows> rows;
  std::vector<std::int32_t> logit_rows;
  std::vector<model::TokenChoice> choices;
  bool shows_logits = false;
  for (const policy::BatchEntry& entry : planned) {
    Sequence& sequence = *sequences_.at(SequenceId{entry.id});
    BatchPart part{&sequence, entry.tokens, sequence.decoding(), false};
    const std::int32_t begin = sequence.scheduled;
    const std::int32_t end = begin + entry.tokens;
    while (static_cast<std::int32_t>(sequence.blocks.size()) * kv_block_positions < end) {
      sequence.blocks.push_back(cache_.take_reserved());
      --sequence.reserved;
    }
    rows.push_back({static_cast<std::int32_t>(tokens.size()), entry.tokens, begin, sequence.blocks.data()});
    const auto known = static_cast<std::int32_t>(sequence.tokens.size());
    if (begin < known) {
      tokens.insert(tokens.end(), sequence.tokens.begin() + begin, sequence.tokens.begin() + end);
    } else {
      tokens.push_back(-1 - *sequence.coming);
    }
    sequence.coming.reset();
    part.chooses = end >= known;
    if (part.chooses) {
      sequence.coming = static_cast<std::int32_t>(logit_rows.size());
      logit_rows.push_back(static_cast<std::int32_t>(tokens.size()) - 1);
      choices.push_back({sequence.request.sampling, end});
      shows_logits = shows_logits || sequence.listener->wants_logits();
    }
    sequence.scheduled = end;
    ++sequence.passes;
    batch.entries.push_back(part);
  }
  batch.active = true;
  batch.number = ++last_batch_;
  batch.started = clock_.now();
  batch.pass->start({tokens, rows, logit_rows, choices, shows_logits, cache_.data()}, wake_);
  return true;
}

bool Engine::advance(InflightBatch& batch, StepReport& report) {
  const auto state = batch.pass->advance(*experts_);
  if (!state) {
    fail(batch, state.error());
    return true;
  }
  if (*state != model::ForwardPass::State::done) return false;
  for (const BatchPart& part : batch.entries) report.rows += part.tokens;
  complete(batch);
  return true;
}

void Engine::complete(InflightBatch& batch) {
  const auto parts = std::exchange(batch.entries, {});
  batch.active = false;
  count_prefill(parts, clock_.now() - batch.started);
  std::size_t row = 0;
  for (const BatchPart& part : parts) {
    Sequence& sequence = *part.sequence;
    const std::size_t mine = part.chooses ? row++ : row;
    sequence.computed += part.tokens;
    const bool goes_on = !sequence.pending_finish;
    if (goes_on) name_full_blocks(sequence);
    if (part.chooses && goes_on && sequence.listener->wants_logits()) {
      sequence.listener->on_logits(sequence.id, static_cast<std::int32_t>(sequence.tokens.size()), batch.pass->logits(mine));
    }
    // Only now, so that a listener may end its own sequence in on_logits.
    if (sequence.pending_finish || !part.chooses) {
      leave_pass(sequence);
    } else {
      --sequence.passes;
      take_token(sequence, batch.pass->sampled(mine));
    }
  }
}

void Engine::count_prefill(const std::vector<BatchPart>& parts, Duration took) {
  std::int32_t all = 0;
  std::int32_t prefilled = 0;
  for (const BatchPart& part : parts) {
    all += part.tokens;
    if (!part.decodes) prefilled += part.tokens;
  }
  counters_.tokens_prefilled += static_cast<std::uint64_t>(prefilled);
  counters_.prefill_seconds += std::chrono::duration<double>(took).count() * prefilled / all;
}

void Engine::fail(InflightBatch& batch, const Error& error) {
  batch.active = false;
  for (const BatchPart& part : std::exchange(batch.entries, {})) {
    if (!part.sequence->pending_finish) end(*part.sequence, FinishReason::failed, error);
    leave_pass(*part.sequence);
  }
}

void Engine::name_full_blocks(Sequence& sequence) {
  if (!sequence.request.use_prefix_cache) return;
  while ((sequence.named + 1) * kv_block_positions <= sequence.computed) {
    const auto first = static_cast<std::size_t>(sequence.named) * kv_block_positions;
    const std::span<const TokenId, kv_block_positions> tokens(sequence.tokens.begin() + static_cast<std::ptrdiff_t>(first),
                                                              kv_block_positions);
    sequence.identity = block_identity(sequence.identity, tokens);
    cache_.name(sequence.blocks[static_cast<std::size_t>(sequence.named)], sequence.identity);
    ++sequence.named;
  }
}

void Engine::take_token(Sequence& sequence, Result<model::SampledToken> token) {
  if (!token) return end(sequence, FinishReason::failed, std::move(token).error());
  // Where a pass runs ahead, it is choosing the token after this one.
  if (sequence.passes == 0) sequence.coming.reset();
  const TimePoint now = clock_.now();
  if (sequence.answer.size() == static_cast<std::int32_t>(sequence.request.answered.size())) {
    sequence.statistics.first_token_time = now - sequence.submitted;
    counters_.first_token_time.record(sequence.statistics.first_token_time);
  } else {
    counters_.token_time.record(now - sequence.last_token);
  }
  sequence.last_token = now;
  ++counters_.tokens_decoded;
  sequence.tokens.push_back(token->token);
  if (const auto reason = sequence.answer.add(*std::move(token))) {
    end(sequence, *reason);
    return;
  }
  emit(sequence);
}

void Engine::emit(Sequence& sequence) {
  if (const auto emission = sequence.answer.take()) {
    sequence.listener->on_tokens({sequence.id, emission->first_index, emission->tokens, emission->text});
  }
}

void Engine::end(Sequence& sequence, FinishReason reason, std::optional<Error> error) {
  if (sequence.passes == 0) return finish(sequence, reason, std::move(error));
  if (sequence.pending_finish) return;
  sequence.pending_finish = reason;
  sequence.pending_error = std::move(error);
}

void Engine::leave_pass(Sequence& sequence) {
  if (--sequence.passes == 0 && sequence.pending_finish) {
    finish(sequence, *sequence.pending_finish, std::move(sequence.pending_error));
  }
}

void Engine::finish(Sequence& sequence, FinishReason reason, std::optional<Error> error) {
  BlockPool& pool = cache_.pool();
  // The tail first: what is evicted first should be what the fewest others can share.
  for (auto block = sequence.blocks.rbegin(); block != sequence.blocks.rend(); ++block) pool.release(*block);
  pool.unreserve(sequence.reserved);
  if (!sequence.running) --waiting_;
  switch (reason) {
    case FinishReason::cancelled: ++counters_.sequences_cancelled; break;
    case FinishReason::deadline_exceeded: ++counters_.sequences_expired; break;
    case FinishReason::failed: ++counters_.sequences_failed; break;
    default: ++counters_.sequences_completed; break;
  }
  sequence.statistics.prompt_tokens = static_cast<std::int32_t>(sequence.request.prompt.size());
  sequence.statistics.generated_tokens = sequence.answer.size();
  sequence.statistics.total_time = clock_.now() - sequence.submitted;
  const auto owner = std::move(sequences_.extract(sequence.id).mapped());
  owner->answer.close();
  emit(*owner);
  owner->listener->on_finished({owner->id, reason, std::move(error), owner->statistics});
}

EngineCounters Engine::counters() const {
  EngineCounters now = counters_;
  const BlockPool& pool = cache_.pool();
  now.waiting = waiting_;
  now.running = static_cast<std::int32_t>(sequences_.size()) - waiting_;
  now.blocks = pool.blocks();
  now.blocks_free = pool.free();
  now.blocks_cached = pool.cached();
  now.blocks_held = pool.held();
  now.blocks_reserved = pool.reserved();
  now.blocks_evicted = pool.evictions();
  now.kernel_seconds = device_.stream().busy_seconds() - busy_before_;
  return now;
}

}  // namespace troupe::engine
