// A model that others host, as a replica of this node: what it says is not computed here and cannot be computed again.
#pragma once

#include <memory>
#include <string>

#include "actors/replica.hpp"
#include "base/log.hpp"
#include "policy/endpoint.hpp"
#include "remote/http.hpp"

namespace troupe::remote {

class RemoteReplica final : public actors::Replica {
 public:
  /// `seed` scatters the times of retries. Nothing is asked of the endpoint before the first sequence.
  RemoteReplica(policy::Endpoint endpoint, std::shared_ptr<Http> http, std::uint32_t index, policy::Tier tier,
                std::uint64_t seed, Log log);
  /// Ends what runs; nothing is told of it. Not on the Http's thread.
  ~RemoteReplica() override;

  policy::ReplicaView view() const override;
  /// Messages instead of tokens; how many tokens they are is estimated, generously. What is left of the context is the
  /// answer's.
  Result<schemas::EnginePrepared> prepare(const schemas::EnginePrepare& request) const override;
  /// A sequence of which something is known cannot go on: it ends as `not_found`. With `requests_max` of them running it ends
  /// as `overloaded`, and nothing was asked.
  void start(std::uint64_t number, const schemas::EngineRequest& request, const std::vector<policy::Emission>& known,
             Duration time_left, OnEmission on_emission, OnEnd on_end) override;
  void cancel(std::uint64_t number) override;

 private:
  class Calls;
  std::shared_ptr<Http> http_;
  std::shared_ptr<Calls> calls_;
};

}  // namespace troupe::remote
