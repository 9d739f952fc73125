// A replica over a real engine and a tiny model, driven by the world's time instead of a thread. The tiny models say nothing,
// so prompts, texts and confidences are made here; all of them are functions of tokens and texts.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "actors/engine_replica.hpp"
#include "engine/engine.hpp"
#include "tests/sim/world.hpp"

namespace troupe::sim {

/// Sizes that are small enough for many seeds, and for a queue.
inline constexpr std::int32_t prompt_tokens_max = 56;
inline constexpr std::int32_t context_tokens_max = 120;

/// What a request gives on an engine that does nothing else. Whoever has many of the same keeps one of these.
class AloneAnswers {
 public:
  policy::TokenIds of(policy::Tier tier, const schemas::EngineRequest& request);

 private:
  struct Known {
    policy::Tier tier = policy::Tier::mini;
    schemas::EngineRequest request;
    policy::TokenIds ids;
  };
  std::vector<Known> known_;
};

/// What the prompts of answers say, by their tokens: these are made of hashes, and tests want to read them. Two prompts with
/// the same tokens are unlikely, and both are kept.
class PromptTexts {
 public:
  void keep(const policy::TokenIds& prompt, std::string text) { texts_[prompt].insert(std::move(text)); }
  const std::set<std::string>& of(const policy::TokenIds& prompt) { return texts_[prompt]; }

 private:
  std::map<policy::TokenIds, std::set<std::string>> texts_;
};

class SimReplica final : public actors::Replica {
 public:
  SimReplica(World& world, PromptTexts& prompts, std::string node, std::uint32_t index, policy::Tier tier);
  ~SimReplica() override;

  policy::ReplicaView view() const override { return replica_->view(); }
  Result<schemas::EnginePrepared> prepare(const schemas::EnginePrepare& request) const override;
  void start(std::uint64_t number, const schemas::EngineRequest& request, const std::vector<policy::Emission>& known,
             Duration time_left, OnEmission on_emission, OnEnd on_end) override;
  void cancel(std::uint64_t number) override;
  std::shared_ptr<actors::ReplicaBlocks> blocks() const override { return replica_->blocks(); }

  engine::EngineCounters counters() const { return engine_->counters(); }
  const std::string& name() const { return name_; }

 private:
  struct Running;
  void post(std::function<void(engine::Engine&)> work);
  void wake();
  void step();
  void check_cancelled();

  World& world_;
  PromptTexts& prompts_;
  std::string name_;
  std::shared_ptr<SimReplica*> self_ = std::make_shared<SimReplica*>(this);  ///< scheduled steps hold it weakly
  std::deque<std::function<void(engine::Engine&)>> queue_;
  bool awake_ = false;
  std::set<std::uint64_t> running_;
  std::map<std::uint64_t, TimePoint> cancelled_;  ///< sequences that are to end, and since when
  // The engine goes before the replica, whose sequences it calls.
  std::unique_ptr<actors::EngineReplica> replica_;
  std::unique_ptr<engine::Engine> engine_;
};

}  // namespace troupe::sim
