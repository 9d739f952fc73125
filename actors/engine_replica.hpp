// A replica that is an engine: translates between messages and the engine's requests, whoever drives it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "actors/replica.hpp"
#include "engine/engine.hpp"

namespace troupe::actors {

/// The order of destruction: the driver first (it may be a thread that is still calling), then this.
class EngineReplica final : public Replica {
 public:
  /// Runs work where the engine may be used: between two steps, in the order of the calls. EngineThread::post, or the
  /// simulation's.
  using Post = std::function<void(std::function<void(engine::Engine&)>)>;

  /// `model` must outlive the replica; `engine` is only looked at.
  EngineReplica(const model::Model& model, const engine::Engine& engine, std::shared_ptr<const Clock> clock,
                std::uint32_t index, policy::Tier tier, std::string model_name, Post post);
  ~EngineReplica() override;
  /// To be called before the driver ends: nothing is posted for others from now on.
  void close();

  policy::ReplicaView view() const override;
  Result<schemas::EnginePrepared> prepare(const schemas::EnginePrepare& request) const override;
  void start(std::uint64_t number, const schemas::EngineRequest& request, const std::vector<policy::Emission>& known,
             Duration time_left, OnEmission on_emission, OnEnd on_end) override;
  void cancel(std::uint64_t number) override;
  std::shared_ptr<ReplicaBlocks> blocks() const override;

 private:
  class Sequence;
  class Blocks;
  Result<policy::TokenIds> tokens_of(std::span<const policy::Message> messages) const;
  Result<std::int32_t> count(std::string_view text) const;
  void refresh(const engine::Engine& engine);
  /// After the step that runs, but not too often: what is seen of a replica follows its work.
  void refresh_soon();

  const model::Model& model_;
  std::shared_ptr<const Clock> clock_;
  Post post_;
  std::shared_ptr<Blocks> blocks_;
  mutable std::mutex mutex_;
  policy::ReplicaView view_;                                      ///< under the mutex
  std::map<std::uint64_t, std::unique_ptr<Sequence>> sequences_;  ///< used only where the engine is
  TimePoint refreshed_{};                                         ///< the same
  bool refresh_posted_ = false;                                   ///< the same
};

}  // namespace troupe::actors
