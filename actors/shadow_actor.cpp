#include "actors/shadow_actor.hpp"

#include <algorithm>
#include <utility>

#include "policy/early_stop.hpp"

namespace troupe::actors {

namespace {

constexpr Duration drive_every = std::chrono::milliseconds(200);
constexpr Duration read_again_after = std::chrono::seconds(2);
/// Keys of attempts tell experiments apart by these many each.
constexpr std::int32_t attempts_of_an_arm = 16;

}  // namespace

ShadowActorImpl::behavior_type ShadowState::start(NodeContextPtr context) {
  context_ = std::move(context);
  install_defaults(self_);
  read_log();
  return {
      [this](const ShadowWork& work) { on_work(work); },
      [this](const schemas::EngineEmissions& emissions) {
        for (Job& job : jobs_) {
          if (job.call && job.call->key() == emissions.key) return job.call->take(emissions);
        }
      },
      [this](const schemas::EngineFinished& finished) {
        for (Job& job : jobs_) {
          if (const auto call = job.call; call && call->key() == finished.key) return call->take(finished);  // may end the job
        }
      },
      [](const Continuation& next) { next.run(); },
  };
}

void ShadowState::on_work(const ShadowWork& work) {
  Job& job = jobs_.emplace_back();
  job.number = ++last_number_;
  job.work = work;
  job.asked_ms = context_->wall->now_ms();
  const auto waiting = std::count_if(jobs_.begin(), jobs_.end(), [](const Job& each) { return !each.running; });
  if (static_cast<std::size_t>(waiting) > limits.waiting_max) {
    return give_up(std::prev(jobs_.end()), policy::ShadowFate::dropped,
                   std::to_string(limits.waiting_max) + " others were waiting");
  }
  drive();
}

ShadowState::JobPlace ShadowState::find(std::uint64_t number) {
  return std::find_if(jobs_.begin(), jobs_.end(), [number](const Job& job) { return job.number == number; });
}

// What waits, and what runs.

void ShadowState::drive() {
  const std::int64_t now_ms = context_->wall->now_ms();
  end_late(now_ms);
  begin_some(now_ms);
  std::vector<std::shared_ptr<ModelCall>> calls;
  for (const Job& job : jobs_) {
    if (job.call) calls.push_back(job.call);
  }
  for (const auto& call : calls) call->drive();  // may end its job
  if (jobs_.empty() || std::exchange(driving_, true)) return;
  after(self_, drive_every, [this] {
    driving_ = false;
    drive();
  });
}

void ShadowState::end_late(std::int64_t now_ms) {
  for (auto job = jobs_.begin(); job != jobs_.end();) {
    const auto each = job++;
    if (is_draining()) {
      give_up(each, policy::ShadowFate::dropped, "the node was being drained");
    } else if (!each->running && now_ms - each->asked_ms >= limits.wait_max_ms) {
      give_up(each, policy::ShadowFate::dropped, "there was no room for it in time");
    } else if (each->running && now_ms - each->turn.accepted_ms >= limits.time_max_ms) {
      const std::string waits_for = each->call ? each->call->waits_for() : std::string();
      give_up(each, policy::ShadowFate::failed, waits_for.empty() ? "it was not answered in time" : waits_for);
    }
  }
}

void ShadowState::begin_some(std::int64_t now_ms) {
  auto running =
      static_cast<std::size_t>(std::count_if(jobs_.begin(), jobs_.end(), [](const Job& job) { return job.running; }));
  const auto views = views_of(*context_->cluster.load());
  for (auto job = jobs_.begin(); job != jobs_.end() && running < limits.running_max;) {
    const auto each = job++;
    if (each->running) continue;
    auto route = policy::shadow_route(arm_of(*each), each->work.input->turn);
    if (!route) {
      give_up(each, policy::ShadowFate::failed, route.error().message);
    } else if (!policy::is_served(views, route->start())) {
      give_up(each, policy::ShadowFate::failed, "no node serves " + std::string(to_string(route->start())));
    } else if (policy::has_room(views, route->start())) {
      begin(*each, *std::move(route), now_ms);
      ++running;
    }
  }
}

void ShadowState::begin(Job& job, policy::RouteDecision route, std::int64_t now_ms) {
  const policy::Turn& client = job.work.input->turn;
  job.running = true;
  job.turn.id = client.id;
  job.turn.ask = client.ask;
  job.turn.kind = client.kind;
  job.turn.search = client.search;
  job.turn.retrieval_confidence = client.retrieval_confidence;
  job.turn.accepted_ms = now_ms;
  job.route = std::move(route);
  attempt(job, job.route.start(), job.route.why);
}

// Attempts.

void ShadowState::attempt(Job& job, policy::Tier tier, const std::string& why) {
  const policy::RoutingPolicy& policy = arm_of(job).policy;
  const policy::Ask& ask = job.turn.ask;
  policy::AttemptPlan plan;
  plan.attempt = static_cast<std::int32_t>(job.turn.attempts.size());
  plan.tier = tier;
  plan.why = why;
  policy::follow_route(job.route, ask.sampling, plan);
  plan.log_probability_sum_min = policy::least_log_probability_sum(policy, plan);
  plan.price = policy.price[policy::place_of(tier)];
  plan.seed = ask.seed.value_or(0);
  plan.task = policy::to_string(job.work.input->parts.task);

  ModelCall::Job call;
  call.key = {job.turn.id, schemas::Purpose::shadow,
              static_cast<std::int32_t>(job.work.arm) * attempts_of_an_arm + plan.attempt};
  call.epoch = job.work.epoch;
  call.tier = tier;
  call.parts = job.work.input->parts;
  const auto passages = static_cast<std::size_t>(policy.prompt_passages[policy::place_of(tier)]);
  if (call.parts.passages.size() > passages) call.parts.passages.resize(passages);
  call.prompt_tokens_max = policy.prompt_tokens[policy::place_of(tier)];
  call.tokens_max = ask.tokens_max;
  call.priority = policy::Priority::batch;  // whatever the client's was: everybody who waits for an answer goes first
  call.deadline_ms = job.turn.accepted_ms + limits.time_max_ms;
  call.sampling = plan.sampling;
  call.seed = plan.seed;
  call.log_probability_sum_min = plan.log_probability_sum_min;
  job.turn.attempts.push_back({std::move(plan), std::nullopt});
  job.call = std::make_shared<ModelCall>(
      context_, engine_link(self_), std::move(call),
      [this, number = job.number](Result<ModelCall::Reply> reply) { on_reply(number, std::move(reply)); });
}

void ShadowState::on_reply(std::uint64_t number, Result<ModelCall::Reply> reply) {
  const auto job = find(number);
  if (job == jobs_.end()) return;
  job->call.reset();
  policy::Attempt& attempt = job->turn.attempts.back();
  attempt.result.emplace();
  job->sources.clear();
  if (!reply && reply.error().code == ErrorCode::deadline_exceeded) {
    return give_up(job, policy::ShadowFate::failed, "it was not answered in time");
  }
  if (!reply) {
    attempt.result->finish_reason = "failed";
  } else {
    const policy::ShadowInput& input = *job->work.input;
    attempt.plan.model = reply->model;
    attempt.plan.tokens_max = reply->tokens_max;
    for (const std::uint32_t place : reply->passages) {
      attempt.plan.passages.push_back(input.passages.at(place));
      job->sources.push_back(input.parts.passages.at(place));
    }
    attempt.result = std::move(reply->result);
  }
  judge(job, reply ? std::string() : reply.error().message);
  self_->send(self_, Continuation{[this] { drive(); }});
}

void ShadowState::judge(JobPlace job, const std::string& trouble) {
  const policy::ShadowInput& input = *job->work.input;
  const policy::Hearing hearing{job->sources, policy::conversation_of(input.parts), input.could_cite};
  const policy::Judgement judgement = policy::judge(arm_of(*job).policy, job->turn, hearing);
  const policy::Decision& decision = judgement.decision;
  if (decision.verdict == policy::Decision::Verdict::escalate) return attempt(*job, *decision.next, decision.why);
  if (decision.verdict == policy::Decision::Verdict::commit) return commit(job, judgement);
  give_up(job, policy::ShadowFate::failed, trouble.empty() ? decision.why : trouble);
}

void ShadowState::commit(JobPlace job, const policy::Judgement& judgement) {
  job->turn.outcome = policy::outcome_of(arm_of(*job).policy, judgement, job->sources, job->turn.attempts.back());
  job->turn.ended_ms = context_->wall->now_ms();
  keep(policy::compare(name_of(*job), job->work.input->turn, job->turn));
  jobs_.erase(job);
}

void ShadowState::give_up(JobPlace job, policy::ShadowFate fate, const std::string& why) {
  job->turn.ended_ms = context_->wall->now_ms();
  auto record = policy::not_compared(name_of(*job), job->work.input->turn, job->running ? &job->turn : nullptr, fate, why);
  record.at_ms = job->turn.ended_ms;
  keep(std::move(record));
  jobs_.erase(job);
}

// The log.

void ShadowState::read_log() {
  using Ends = Result<storage::ShadowLogEnds>;
  auto found = resume(self_, std::function<void(Ends)>([this](const Ends& ends) {
                        if (!ends) {
                          context_->log(LogLevel::error, "cannot read the log of shadows", {{"why", ends.error().message}});
                          return after(self_, read_again_after, [this] { read_log(); });
                        }
                        log_ = *ends;
                        for (const policy::ShadowRecord& record : std::exchange(unwritten_, {})) write(record);
                      }));
  context_->journal->read([found](const storage::Store& store) { found(storage::read_shadow_ends(store)); });
}

void ShadowState::keep(policy::ShadowRecord record) {
  if (log_) return write(record);
  if (unwritten_.size() < unwritten_max) unwritten_.push_back(std::move(record));
}

void ShadowState::write(const policy::ShadowRecord& record) {
  storage::WriteBatch batch;
  batch.puts = storage::put_shadow(record, *log_);
  context_->journal->commit(std::move(batch), [context = context_, turn = record.turn](const Result<void>& written) {
    if (written) return;
    context->log(LogLevel::warning, "a shadow was not kept", {{"turn", to_string(turn)}, {"why", written.error().message}});
  });
}

ShadowActorImpl::behavior_type shadow_actor(ShadowActorImpl::stateful_pointer<ShadowState> self, NodeContextPtr context) {
  return self->state.start(std::move(context));
}

}  // namespace troupe::actors
