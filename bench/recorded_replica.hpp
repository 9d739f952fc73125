// A replica that answers some questions with what was recorded beforehand, and all others with the model that it is put before:
// so that a conversation that was held elsewhere can be held again, through everything that a node does with one.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "actors/replica.hpp"

namespace troupe::bench {

/// Answers by the seed of the question that they are given to. May be shared, and used from any thread.
class Recording {
 public:
  /// A seed for a question that is to have this answer.
  std::uint64_t add(std::string answer);
  /// Empty if there is none.
  std::string of(std::uint64_t seed) const;

 private:
  static constexpr std::uint64_t first_seed = 0x7265636f72640000;

  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::string> answers_;
};

class RecordedReplica final : public actors::Replica {
 public:
  RecordedReplica(std::shared_ptr<actors::Replica> replica, std::shared_ptr<const Recording> recording)
      : recording_(std::move(recording)), replica_(std::move(replica)) {}

  policy::ReplicaView view() const override { return replica_->view(); }
  Result<schemas::EnginePrepared> prepare(const schemas::EnginePrepare& request) const override {
    return replica_->prepare(request);
  }
  void start(std::uint64_t number, const schemas::EngineRequest& request, const std::vector<policy::Emission>& known,
             Duration time_left, OnEmission on_emission, OnEnd on_end) override;
  void cancel(std::uint64_t number) override { replica_->cancel(number); }
  std::shared_ptr<actors::ReplicaBlocks> blocks() const override { return replica_->blocks(); }

 private:
  /// What a model did before it does again, bit for bit, when it is asked greedily for the same; so it is done once.
  struct Done {
    std::vector<policy::Emission> emissions;
    actors::SequenceEnd end;
  };
  static constexpr std::size_t done_max = 65536;

  void run(std::uint64_t number, const schemas::EngineRequest& request, Duration time_left, OnEmission on_emission,
           OnEnd on_end);

  std::shared_ptr<const Recording> recording_;
  std::mutex mutex_;
  std::map<policy::TokenIds, std::shared_ptr<Done>> done_;
  std::shared_ptr<actors::Replica> replica_;  // goes first: its thread uses the others
};

}  // namespace troupe::bench
