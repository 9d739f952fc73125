// One loaded model that can run sequences, as an engine actor sees it: an engine on a thread of its own (engine_replica.hpp),
// one that a simulation steps, or, in a benchmark, something that only makes tokens up.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "policy/cluster_view.hpp"
#include "policy/turn.hpp"
#include "schemas/cluster_messages.hpp"

namespace troupe::actors {

/// How a sequence ended.
struct SequenceEnd {
  policy::AttemptResult result;  ///< without emissions and node
  std::optional<Error> error;    ///< it could not run, or not to its end
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
  /// Begins a sequence under a number of the caller's. Both functions are called from whatever thread drives the model;
  /// `on_end` once, last, even if the sequence cannot begin.
  virtual void start(std::uint64_t number, const schemas::EngineRequest& request, Duration time_left, OnEmission on_emission,
                     OnEnd on_end) = 0;
  /// Ends a sequence; its blocks are free soon after. Unknown numbers are ignored.
  virtual void cancel(std::uint64_t number) = 0;
};

}  // namespace troupe::actors
