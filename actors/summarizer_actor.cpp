#include "actors/summarizer_actor.hpp"

#include <algorithm>
#include <utility>

#include "policy/routing.hpp"

namespace troupe::actors {

namespace {
constexpr Duration drive_every = std::chrono::milliseconds(200);
constexpr std::int64_t time_for_one_ms = 60000;
}  // namespace

SummarizerActorImpl::behavior_type SummarizerState::start(NodeContextPtr context) {
  context_ = std::move(context);
  install_defaults(self_);
  return {
      [this](const SummaryWork& work) { return on_work(work); },
      [this](const SummaryForget& forget) {
        std::erase_if(jobs_, [&](const Job& job) { return job.work.key == forget.key; });
        drive();
      },
      [this](const schemas::EngineEmissions& emissions) {
        for (Job& job : jobs_) {
          if (job.work.key == emissions.key && job.call) return job.call->take(emissions);
        }
      },
      [this](const schemas::EngineFinished& finished) {
        for (Job& job : jobs_) {
          if (job.work.key != finished.key) continue;
          if (const auto call = job.call) call->take(finished);  // the job may be gone now
          return;
        }
      },
      [](const Continuation& next) { next.run(); },
  };
}

caf::result<SummaryText> SummarizerState::on_work(const SummaryWork& work) {
  if (jobs_.size() >= waiting_max) {
    return to_caf({ErrorCode::overloaded, std::to_string(jobs_.size()) + " summaries are waiting to be written"});
  }
  // A conversation that was begun again asks for the same summary: whoever asked first is no longer there.
  std::erase_if(jobs_, [&](const Job& job) { return job.work.key == work.key; });
  auto promise = self_->make_response_promise<SummaryText>();
  jobs_.push_back({work, promise, nullptr});
  drive();
  return promise;
}

void SummarizerState::begin(Job& job) {
  ModelCall::Job call;
  call.key = job.work.key;
  call.epoch = job.work.epoch;
  call.tier = context_->routing->smallest();
  call.parts.summary = job.work.before;
  call.parts.recent = job.work.exchanges;
  const policy::Contract& contract = context_->routing->contracts[policy::place_of(policy::Stage::summary)];
  call.prompt_tokens_max = contract.prompt_tokens_max.value_or(policy::RoutingPolicy::tokens_limit);  // what the model holds
  call.tokens_max = contract.answer_tokens_max.value_or(policy::Ask::tokens_limit);
  call.priority = policy::Priority::standard;
  call.deadline_ms = context_->wall->now_ms() + time_for_one_ms;
  job.call = std::make_shared<ModelCall>(
      context_, engine_link(self_), std::move(call),
      [this, key = job.work.key](Result<ModelCall::Reply> reply) { on_reply(key, std::move(reply)); });
}

void SummarizerState::on_reply(const schemas::AttemptKey& key, Result<ModelCall::Reply> reply) {
  const auto job = std::find_if(jobs_.begin(), jobs_.end(), [&](const Job& each) { return each.work.key == key; });
  if (job == jobs_.end()) return;
  auto promise = job->promise;
  jobs_.erase(job);
  if (!reply) {
    promise.deliver(to_caf(std::move(reply).error().within("writing a summary")));
  } else {
    reply->result.emissions.clear();
    promise.deliver(
        SummaryText{policy::summary_of(reply->text), context_->routing->smallest(), reply->model, reply->text, reply->result});
  }
  drive();
}

void SummarizerState::drive() {
  std::vector<std::shared_ptr<ModelCall>> running;
  for (Job& job : jobs_) {
    if (running.size() == running_max) break;
    if (!job.call) begin(job);
    running.push_back(job.call);
  }
  for (const auto& call : running) call->drive();
  if (jobs_.empty() || std::exchange(driving_, true)) return;
  after(self_, drive_every, [this] {
    driving_ = false;
    drive();
  });
}

SummarizerActorImpl::behavior_type summarizer_actor(SummarizerActorImpl::stateful_pointer<SummarizerState> self,
                                                    NodeContextPtr context) {
  return self->state.start(std::move(context));
}

}  // namespace troupe::actors
