// Retrieval and one large model, chained as teams first do it: what `troupe bench story` measures troupe against. It is no
// straw man: the same model, engine, kernels and threads, continuous batching, and none of troupe's durable records on the way.
// It differs in what the story is about:
//
// - each turn's passages are chunks of fixed size that overlap (bench/chunks.hpp), the best by keyword search;
// - a prompt is the whole conversation word for word, earlier turns with their passages (or, as it is told, without).
//   What no longer fits into the model's window is cut off at the old end, a turn at a time;
// - no prefix is reused, and every question is admitted at once. KV memory is taken as sequences grow, and when there is no
//   more, the sequence that came last fails, as an out-of-memory error ends a request; it is not asked again. A GPU's usually
//   ends the whole batch;
// - answers are sampled, at the temperature that chat libraries have by default.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "base/result.hpp"
#include "bench/chunks.hpp"
#include "bench/question_set.hpp"
#include "bench/story.hpp"
#include "kernels/device.hpp"
#include "model/model.hpp"
#include "storage/corpus.hpp"

namespace troupe::bench {

struct ChainOptions {
  std::size_t clients = 12;      ///< conversations at a time; each asks as soon as it has its answer
  std::size_t memory_bytes = 0;  ///< for weights, activations and KV blocks
  ChunkSize chunks;
  std::size_t passages = 4;       ///< chunks of a turn
  bool forgets_passages = false;  ///< earlier turns are there without theirs
  float temperature = 0.7F;
  std::int32_t tokens_max = 256;  ///< of an answer
  std::uint64_t seed = 1;         ///< with `run`: what answers are drawn by
  std::uint64_t run = 0;
  std::function<bool()> interrupted;  ///< looked at after each step; empty: never
};

/// Goes through the load once. `corpus` is what the questions are about. `too_large` if the weights leave no memory for KV
/// blocks, `cancelled` when interrupted; otherwise errors are the engine's.
Result<StoryRun> run_chain(const model::Model& model, kernels::Device& device, const QuestionSet& set, const StoryLoad& load,
                           std::span<const storage::Section> corpus, const ChainOptions& options,
                           const std::function<void(double)>& progress);

}  // namespace troupe::bench
