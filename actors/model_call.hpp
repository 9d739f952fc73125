// A small question to a model on the way to an answer: what kind of request this is, how it would stand alone, what to keep of
// a conversation; or the question of a turn once more, for its shadow. Greedy unless it says otherwise, so its reply is a
// function of what it reads; nobody sees it come.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/generation.hpp"

namespace troupe::actors {

class ModelCall {
 public:
  struct Job {
    schemas::AttemptKey key;
    std::uint64_t epoch = 0;
    policy::Tier tier = policy::Tier::mini;
    policy::ContextParts parts;
    std::int32_t prompt_tokens_max = 0;
    std::int32_t tokens_max = 0;
    policy::Priority priority = policy::Priority::standard;
    std::int64_t deadline_ms = 0;  ///< since 1970
    policy::Sampling sampling;
    std::uint64_t seed = 0;
    double log_probability_sum_min = -std::numeric_limits<double>::infinity();  ///< as engine::GenerateRequest's
  };
  struct Reply {
    std::string text;
    policy::ModelClass model;
    policy::AttemptResult result;
    std::vector<std::uint32_t> passages;  ///< places of those of the parts' that it read, ascending
    std::int32_t tokens_max = 0;          ///< that it might have said
  };
  using Done = std::function<void(Result<Reply>)>;

  /// `done` is called once, from one of the calls below or from the link, on the actor that owns this; it may destroy this.
  ModelCall(NodeContextPtr context, EngineLink link, Job job, Done done);

  void drive();
  void take(const schemas::EngineEmissions& emissions);
  void take(const schemas::EngineFinished& finished);
  const schemas::AttemptKey& key() const { return job_.key; }
  /// As Generation's.
  void tell_late() const {
    if (generation_) generation_->tell_late();
  }
  /// Where it is generated, once that has begun.
  std::optional<policy::ReplicaPlace> place() const { return generation_ ? generation_->place() : std::nullopt; }
  /// What could not be had when it was tried last; empty if nothing is missing.
  std::string waits_for() const;

 private:
  void prepare();
  void finish(Result<Reply> reply);
  /// Ends the call if its attempt is lost; this may be gone then.
  void finish_if_lost();
  void on_prepared(Result<schemas::EnginePrepared> prepared);

  NodeContextPtr context_;
  EngineLink link_;
  Job job_;
  Done done_;
  bool preparing_ = false;
  std::string waits_for_;
  Reply reply_;  ///< as far as it is known before it comes
  std::unique_ptr<Generation> generation_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  ///< for replies that come after this is gone
};

}  // namespace troupe::actors
