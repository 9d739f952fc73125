// One loaded model that can run sequences, as an engine actor sees it: an engine on a thread of its own (engine_replica.hpp),
// one that a simulation steps, or, in a benchmark, something that only makes tokens up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "engine/kv_cache.hpp"
#include "policy/cluster_view.hpp"
#include "policy/turn.hpp"
#include "schemas/cluster_messages.hpp"

namespace troupe::actors {

/// How a sequence ended.
struct SequenceEnd {
  policy::AttemptResult result;  ///< without emissions and node
  std::optional<Error> error;    ///< it could not run, or not to its end
};

/// The KV blocks of a replica, for whoever keeps or moves them. May be used from any thread, and outlives the replica: then
/// nothing happens any more, and the memory is gone.
class ReplicaBlocks {
 public:
  using Work = std::function<void(engine::KvCache&)>;

  virtual ~ReplicaBlocks() = default;
  /// All blocks, one after another, as long as the replica is there. Device memory.
  virtual std::span<std::byte> memory() const = 0;
  /// Whether the host, and with it the fabric, reads and writes that memory. Else blocks go through KvCache alone.
  virtual bool host_readable() const = 0;
  virtual std::size_t block_bytes() const = 0;
  /// Has `work` run where blocks may be used, in the order of the calls. It must be quick.
  virtual void post(Work work) = 0;
  /// What the model has taken for a token of a prompt so far; 0: not known yet.
  virtual double prefill_seconds_per_token() const = 0;
};

class Replica {
 public:
  using OnEmission = std::function<void(policy::Emission)>;
  using OnEnd = std::function<void(SequenceEnd)>;

  virtual ~Replica() = default;
  /// The model, and how busy it is.
  virtual policy::ReplicaView view() const = 0;
  /// What the model would see, as tokens. Any thread; some milliseconds at most.
  virtual Result<schemas::EnginePrepared> prepare(const schemas::EnginePrepare& request) const = 0;
  /// Begins a sequence under a number of the caller's, or goes on with one whose first emissions are known (without text that
  /// came last and without tokens). Both functions are called from whatever thread drives the model; `on_end` once, last,
  /// even if the sequence cannot begin.
  virtual void start(std::uint64_t number, const schemas::EngineRequest& request, const std::vector<policy::Emission>& known,
                     Duration time_left, OnEmission on_emission, OnEnd on_end) = 0;
  /// Ends a sequence; its blocks are free soon after. Unknown numbers are ignored.
  virtual void cancel(std::uint64_t number) = 0;
  /// Null: its blocks do not move.
  virtual std::shared_ptr<ReplicaBlocks> blocks() const { return nullptr; }
};

}  // namespace troupe::actors
