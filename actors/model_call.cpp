#include "actors/model_call.hpp"

#include <utility>

namespace troupe::actors {

namespace {
/// As what a prompt is assembled: a shadow reads what an answer reads.
schemas::Purpose prepared_as(schemas::Purpose purpose) {
  return purpose == schemas::Purpose::shadow ? schemas::Purpose::answer : purpose;
}
}  // namespace

ModelCall::ModelCall(NodeContextPtr context, EngineLink link, Job job, Done done)
    : context_(std::move(context)), link_(std::move(link)), job_(std::move(job)), done_(std::move(done)) {}

void ModelCall::drive() {
  if (generation_) {
    generation_->drive();
    finish_if_lost();
  } else if (!preparing_) {
    prepare();
  }
}

void ModelCall::prepare() {
  const auto cluster = context_->cluster.load();
  const auto place = place_for(*context_, *cluster, job_.tier);
  const EngineActor engine = place ? engine_at(*cluster, *place) : EngineActor{};
  waits_for_ = engine ? "" : "no node serves tier " + std::string(to_string(job_.tier));
  if (!engine) return;  // drive() tries again
  preparing_ = true;
  link_.prepare(engine, {prepared_as(job_.key.purpose), job_.parts, job_.prompt_tokens_max},
                [this, alive = std::weak_ptr(alive_)](Result<schemas::EnginePrepared> prepared) {
                  if (!alive.expired()) on_prepared(std::move(prepared));
                });
}

void ModelCall::on_prepared(Result<schemas::EnginePrepared> prepared) {
  preparing_ = false;
  if (!prepared) {
    const ErrorCode code = prepared.error().code;
    if (code == ErrorCode::unavailable || code == ErrorCode::overloaded) {
      waits_for_ = prepared.error().message;
      return;  // drive() tries again
    }
    return finish(prepared.error());
  }
  reply_.model = prepared->model;
  reply_.passages = std::move(prepared->passages);
  Generation::Job job;
  job.key = job_.key;
  job.epoch = job_.epoch;
  job.model = prepared->model;
  job.request.prompt = std::move(prepared->prompt);
  job.request.messages = std::move(prepared->messages);
  const std::int32_t room = prepared->context_max - static_cast<std::int32_t>(job.request.prompt.size());
  job.request.tokens_max = reply_.tokens_max = std::min(job_.tokens_max, room);
  job.request.sampling = job_.sampling;
  job.request.seed = job_.seed;
  if (!prepared->model.remote()) job.request.log_probability_sum_min = job_.log_probability_sum_min;
  job.request.priority = job_.priority;
  job.deadline_ms = job_.deadline_ms;
  if (job.request.tokens_max < 1) return finish(Error{ErrorCode::too_large, "the prompt leaves no room for a reply"});
  generation_ = std::make_unique<Generation>(context_, link_, std::move(job), std::nullopt);
  generation_->drive();
}

std::string ModelCall::waits_for() const {
  return generation_ && generation_->trouble() ? generation_->trouble()->message : waits_for_;
}

void ModelCall::finish_if_lost() {
  if (generation_->lost()) finish(Error(*generation_->lost()));
}

void ModelCall::finish(Result<Reply> reply) {
  const Done done = std::move(done_);
  done(std::move(reply));  // this may be gone now
}

void ModelCall::take(const schemas::EngineEmissions& emissions) {
  if (generation_) generation_->take(emissions);
}

void ModelCall::take(const schemas::EngineFinished& finished) {
  if (!generation_) return;
  auto end = generation_->take(finished);
  if (!end) return finish_if_lost();
  if (!*end) return finish(end->error());
  if ((*end)->finish_reason == "failed") return finish(Error{ErrorCode::corrupt, "the model failed: " + finished.message});
  reply_.text = text_of(**end);
  reply_.result = **std::move(end);
  finish(std::move(reply_));
}

}  // namespace troupe::actors
