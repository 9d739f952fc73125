#include "bench/recorded_replica.hpp"

#include <utility>

namespace troupe::bench {

std::uint64_t Recording::add(std::string answer) {
  const std::scoped_lock lock(mutex_);
  const std::uint64_t seed = first_seed + answers_.size();
  answers_.emplace(seed, std::move(answer));
  return seed;
}

std::string Recording::of(std::uint64_t seed) const {
  const std::scoped_lock lock(mutex_);
  const auto found = answers_.find(seed);
  return found == answers_.end() ? "" : found->second;
}

void RecordedReplica::start(std::uint64_t number, const schemas::EngineRequest& request,
                            const std::vector<policy::Emission>& known, Duration time_left, OnEmission on_emission,
                            OnEnd on_end) {
  if (std::string answer = recording_->of(request.seed); !answer.empty()) {
    on_emission({0, {0}, {0.0F}, std::move(answer)});
    actors::SequenceEnd end;
    end.result.finish_reason = "end_token";
    end.result.confidence = 1;
    end.result.prompt_tokens = static_cast<std::int32_t>(request.prompt.size());
    end.result.reused_tokens = end.result.prompt_tokens;  // nothing is computed
    return on_end(std::move(end));
  }
  const bool repeatable = known.empty() && request.sampling.temperature == 0 && !request.prompt.empty();
  if (!repeatable) return replica_->start(number, request, known, time_left, std::move(on_emission), std::move(on_end));
  run(number, request, time_left, std::move(on_emission), std::move(on_end));
}

void RecordedReplica::run(std::uint64_t number, const schemas::EngineRequest& request, Duration time_left,
                          OnEmission on_emission, OnEnd on_end) {
  policy::TokenIds key = request.prompt;
  key.push_back(request.tokens_max);
  std::shared_ptr<const Done> before;
  {
    const std::scoped_lock lock(mutex_);
    if (const auto found = done_.find(key); found != done_.end()) before = found->second;
  }
  if (before) {
    for (const policy::Emission& emission : before->emissions) on_emission(emission);
    return on_end(before->end);
  }
  const auto now = std::make_shared<Done>();
  replica_->start(
      number, request, {}, time_left,
      [now, on_emission = std::move(on_emission)](policy::Emission emission) {
        now->emissions.push_back(emission);
        on_emission(std::move(emission));
      },
      [this, now, key = std::move(key), on_end = std::move(on_end)](actors::SequenceEnd end) {
        now->end = end;
        if (!end.error) {
          const std::scoped_lock lock(mutex_);
          if (done_.size() < done_max) done_.emplace(key, now);
        }
        on_end(std::move(end));
      });
}

}  // namespace troupe::bench
