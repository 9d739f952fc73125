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
  ~NullReplica() override;
  NullReplica(const NullReplica&) = delete;
  NullReplica& operator=(const NullReplica&) = delete;

  policy::ReplicaView view() const override;
  Result<schemas::EnginePrepared> prepare(const schemas::EnginePrepare& request) const override;
  void start(std::uint64_t number, const schemas::EngineRequest& request, Duration time_left, OnEmission on_emission,
             OnEnd on_end) override;
  void cancel(std::uint64_t number) override;

 private:
  struct Sequence {
    std::int32_t next = 0;
    std::int32_t tokens_max = 0;
    OnEmission on_emission;
    OnEnd on_end;
  };
  void run();

  policy::ReplicaView view_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, Sequence> sequences_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace troupe::bench
