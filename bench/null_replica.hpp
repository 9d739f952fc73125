// A replica that makes tokens up as fast as it is asked for them: what is left of the path is everything but the model.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "actors/replica.hpp"

namespace troupe::bench {

class NullReplica final : public actors::Replica {
 public:
  explicit NullReplica(policy::Tier tier);
  /// From now on a sequence has a token each `step`, its first one at once; zero: as fast as can be.
  void set_step(Duration step);
  ~NullReplica() override;
  NullReplica(const NullReplica&) = delete;
  NullReplica& operator=(const NullReplica&) = delete;

  policy::ReplicaView view() const override;
  Result<schemas::EnginePrepared> prepare(const schemas::EnginePrepare& request) const override;
  void start(std::uint64_t number, const schemas::EngineRequest& request, const std::vector<policy::Emission>& known,
             Duration time_left, OnEmission on_emission, OnEnd on_end) override;
  void cancel(std::uint64_t number) override;

 private:
  struct Sequence {
    std::int32_t next = 0;
    std::int32_t tokens_max = 0;
    TimePoint due{};  ///< of the next token
    OnEmission on_emission;
    OnEnd on_end;
  };
  void run();
  /// One token for each sequence that is due, as a decode step would; when the next one is.
  TimePoint step(TimePoint now);

  policy::ReplicaView view_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, Sequence> sequences_;
  Duration step_{};
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace troupe::bench
