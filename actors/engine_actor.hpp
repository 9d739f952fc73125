// A replica of a model, for all conversations of the cluster: starts attempts, sends their tokens to the conversation's home,
// and sends them again to a home that missed some. What it keeps of an attempt is bounded by the attempt's own limit, and goes
// when the home has it all, or has not been heard of for a while.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "actors/context.hpp"
#include "actors/replica.hpp"

namespace troupe::actors {

using EngineActorImpl = EngineActor::extend<takes<Continuation>>;

class EngineState {
 public:
  explicit EngineState(EngineActorImpl::pointer self) : self_(self) {}
  ~EngineState();
  static inline const char* name = "engine";

  /// An attempt whose home is silent for so long is ended and forgotten; homes speak several times as often.
  static constexpr Duration silence_max = std::chrono::seconds(15);
  static constexpr std::size_t attempts_max = 4096;

  EngineActorImpl::behavior_type start(NodeContextPtr context, std::shared_ptr<Replica> replica);

 private:
  struct Attempt {
    std::uint64_t number = 0;  ///< of the replica's sequence
    std::uint64_t epoch = 0;
    policy::NodeId home;
    schemas::EngineRequest request;
    std::vector<policy::Emission> emissions;
    std::optional<SequenceEnd> end;
    TimePoint heard{};
    TimePoint deadline{};
  };

  caf::result<schemas::EnginePrepared> on_prepare(const schemas::EnginePrepare& request);
  void on_generate(const schemas::EngineGenerate& generate);
  void on_release(const schemas::EngineRelease& release);
  void on_emission(const schemas::AttemptKey& key, std::uint64_t number, policy::Emission emission);
  void on_end(const schemas::AttemptKey& key, std::uint64_t number, SequenceEnd end);
  /// Has the attempt's blocks brought here if that saves time, and then runs it.
  void begin(const schemas::EngineGenerate& generate);
  void run(const schemas::AttemptKey& key, std::uint64_t number);
  void repeat(const schemas::AttemptKey& key, const Attempt& attempt, std::int32_t from_index);
  void refuse(const schemas::EngineGenerate& generate, const Error& error);
  void send_finished(const schemas::AttemptKey& key, const Attempt& attempt);
  void tick();
  HomeActor home_of(const policy::NodeId& node) const;

  EngineActorImpl::pointer self_;
  NodeContextPtr context_;
  std::shared_ptr<Replica> replica_;
  std::map<schemas::AttemptKey, Attempt> attempts_;
  std::uint64_t last_number_ = 0;
};

EngineActorImpl::behavior_type engine_actor(EngineActorImpl::stateful_pointer<EngineState> self, NodeContextPtr context,
                                            std::shared_ptr<Replica> replica);

}  // namespace troupe::actors
