// One replica: a model with a pool of KV blocks that answers many requests at once. Nothing here has a thread of its own:
// `step()` does the next piece of work and returns; engine_thread.hpp drives it from a thread, a simulation from its loop.
//
// Continuous batching (Yu et al., Orca, 2022) over paged KV blocks (Kwon et al., vLLM, 2023) with prefix reuse by content. What
// a sequence answers depends on its request alone: neither on its neighbours, nor on chunks, caches or timing.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "engine/block_exchange.hpp"
#include "engine/counters.hpp"
#include "engine/kv_cache.hpp"
#include "engine/options.hpp"
#include "engine/request.hpp"
#include "engine/sequence.hpp"
#include "model/experts.hpp"
#include "model/forward.hpp"
#include "model/model.hpp"
#include "model/rope_table.hpp"
#include "policy/admission.hpp"

namespace troupe::engine {

struct StepReport {
  std::int32_t rows = 0;            ///< tokens of passes that ended in this step
  std::int32_t passes_waiting = 0;  ///< begun and not ended: for experts, or for a device that runs ahead
  bool progressed = false;          ///< something happened: another step may find more to do at once
};

/// Used by one thread at a time; only the function given to `on_wake` is called from others.
class Engine {
 public:
  /// `model`, `device` and `clock` must outlive the engine, and so must `experts`; without them the engine computes its own.
  /// `invalid_argument` if there are none and the model was loaded without all of its own.
  static Result<std::unique_ptr<Engine>> create(const model::Model& model, kernels::Device& device, const Clock& clock,
                                                const EngineOptions& options, model::Experts* experts = nullptr);
  /// Sequences that are left end without an event. Waits for experts that still work for a pass.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Queues a request. Refused at once, with nothing kept: parameters out of range, tokens outside the vocabulary, an empty
  /// prompt, one that can never fit (`too_large`), or a full queue (`overloaded`).
  Result<SequenceId> submit(GenerateRequest request, Listener& listener);
  /// Ends a sequence; its listener hears `cancelled` and its blocks are free when this returns, or, if experts are just
  /// computing for it, as soon as they have answered. Unknown ids (finished ones) are ignored.
  void cancel(SequenceId sequence);
  /// Requests that stand before a waiting one; 0 for the next and for all that are not waiting.
  std::int32_t queue_position(SequenceId sequence) const;

  /// Ends what is late, admits what fits, and computes one batch (or goes on with those that waited for experts).
  StepReport step();
  /// Whether no request is waiting or running.
  bool idle() const { return sequences_.empty(); }
  /// The earliest deadline of any sequence that it can still end.
  std::optional<TimePoint> next_deadline() const;
  /// Called, from any thread, when experts have answered a pass that waited.
  void on_wake(std::function<void()> wake) { wake_ = std::move(wake); }

  EngineCounters counters() const;
  const MemoryPlan& memory_plan() const { return plan_; }
  const model::Model& model() const { return model_; }

  /// The blocks seam: what is cached, for whoever keeps or moves blocks. Sequences are this engine's business.
  KvCache& blocks() { return cache_; }
  const KvCache& blocks() const { return cache_; }

 private:
  /// Some tokens of a sequence in a pass.
  struct BatchPart {
    Sequence* sequence = nullptr;
    std::int32_t tokens = 0;
    bool decodes = false;  ///< a token of the answer
    bool chooses = false;  ///< the pass chooses the token that follows
  };
  /// One forward pass and whose rows are in it.
  struct InflightBatch {
    std::unique_ptr<model::ForwardPass> pass;
    std::vector<BatchPart> entries;
    bool active = false;
    std::uint64_t number = 0;  ///< grows with every start
    TimePoint started{};
  };

  Engine(const model::Model& model, kernels::Device& device, const Clock& clock, const EngineOptions& options, MemoryPlan plan,
         model::RopeTable rope, KvCache cache);

  /// Those whose deadline has passed, and those that came complete.
  void end_due_ones();
  bool admit();
  bool try_admit(Sequence& sequence);
  /// Starts as many as may be under way; whether there was one.
  bool start_batches();
  bool start_batch(InflightBatch& batch);
  bool advance(InflightBatch& batch, StepReport& report);
  void complete(InflightBatch& batch);
  void count_prefill(const std::vector<BatchPart>& parts, Duration took);
  void fail(InflightBatch& batch, const Error& error);
  void name_full_blocks(Sequence& sequence);
  /// Takes what a pass has chosen, emits, and finishes the sequence if that was its last token.
  void take_token(Sequence& sequence, Result<model::SampledToken> token);
  void emit(Sequence& sequence);
  /// Finishes the sequence, or leaves it to the pass that uses it.
  void end(Sequence& sequence, FinishReason reason, std::optional<Error> error = std::nullopt);
  /// A pass has done with the sequence; finishes it if that was to be.
  void leave_pass(Sequence& sequence);
  void finish(Sequence& sequence, FinishReason reason, std::optional<Error> error = std::nullopt);
  std::vector<policy::WaitingSequence> waiting() const;

  const model::Model& model_;
  kernels::Device& device_;
  const Clock& clock_;
  EngineOptions options_;
  MemoryPlan plan_;
  policy::AdmissionLimits admission_;
  model::RopeTable rope_;
  KvCache cache_;
  std::unique_ptr<model::Experts> local_experts_;
  model::Experts* experts_ = nullptr;
  std::function<void()> wake_;

  std::vector<InflightBatch> batches_;
  std::map<SequenceId, std::unique_ptr<Sequence>> sequences_;  ///< ascending ids are ascending arrivals
  std::uint64_t last_id_ = 0;
  std::uint64_t last_batch_ = 0;
  std::int32_t waiting_ = 0;
  EngineCounters counters_;
  double busy_before_ = 0;
};

}  // namespace troupe::engine
