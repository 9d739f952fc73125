#include "actors/engine_actor.hpp"

#include <algorithm>
#include <utility>

#include "actors/kv_shard_actor.hpp"

namespace troupe::actors {

namespace {
constexpr Duration tick_every = std::chrono::seconds(1);
constexpr Duration fetch_timeout = KvShardState::wait_max + std::chrono::milliseconds(500);
}  // namespace

EngineState::~EngineState() {
  for (const auto& [key, attempt] : attempts_) {
    if (!attempt.end) replica_->cancel(attempt.number);
  }
}

EngineActorImpl::behavior_type EngineState::start(NodeContextPtr context, std::shared_ptr<Replica> replica) {
  context_ = std::move(context);
  replica_ = std::move(replica);
  install_defaults(self_);
  after(self_, tick_every, [this] { tick(); });
  return {
      [this](const schemas::EnginePrepare& request) { return on_prepare(request); },
      [this](const schemas::EngineGenerate& generate) { on_generate(generate); },
      [this](const schemas::EngineRelease& release) { on_release(release); },
      [](const Continuation& next) { next.run(); },
  };
}

HomeActor EngineState::home_of(const policy::NodeId& node) const {
  const auto cluster = context_->cluster.load();
  const Peer* peer = cluster->find(node);
  return peer == nullptr ? HomeActor{} : peer->handles.home;
}

caf::result<schemas::EnginePrepared> EngineState::on_prepare(const schemas::EnginePrepare& request) {
  auto prepared = replica_->prepare(request);
  if (!prepared) return to_caf(prepared.error());
  return *std::move(prepared);
}

void EngineState::on_generate(const schemas::EngineGenerate& generate) {
  const auto found = attempts_.find(generate.key);
  if (found == attempts_.end()) return begin(generate);
  Attempt& attempt = found->second;
  if (generate.epoch < attempt.epoch) return;  // a home that has been replaced
  if (attempt.request != generate.request) {
    // The plan that this came from was never durable, and the home made another one.
    replica_->cancel(attempt.number);
    attempts_.erase(found);
    return begin(generate);
  }
  attempt.epoch = generate.epoch;
  attempt.home = generate.home;
  attempt.heard = context_->clock->now();
  repeat(generate.key, attempt, generate.from_index);
}

void EngineState::begin(const schemas::EngineGenerate& generate) {
  if (generate.only_known) {
    return refuse(generate, {ErrorCode::not_found, "node " + context_->self.value +
                                                       " no longer has the attempt that it began with the remote model"});
  }
  const policy::ReplicaView view = replica_->view();
  if (generate.model != view.model) {
    return refuse(generate, {ErrorCode::unsupported, "the attempt is for model " + generate.model.fingerprint + " (" +
                                                         generate.model.numeric_class + "), and this replica runs " +
                                                         view.model.fingerprint + " (" + view.model.numeric_class + ")"});
  }
  if (attempts_.size() >= attempts_max) {
    return refuse(generate, {ErrorCode::overloaded, "the replica has " + std::to_string(attempts_.size()) + " attempts"});
  }
  Attempt attempt;
  attempt.number = ++last_number_;
  attempt.epoch = generate.epoch;
  attempt.home = generate.home;
  attempt.request = generate.request;
  attempt.emissions = generate.known;
  // What was left over at the end of an answer comes again with its end.
  std::erase_if(attempt.emissions, [](const policy::Emission& emission) { return emission.ids.empty(); });
  attempt.heard = context_->clock->now();
  attempt.deadline = attempt.heard + std::chrono::milliseconds(generate.time_left_ms);
  FetchPrefix fetch{view.index, generate.request.prompt};
  for (const policy::Emission& emission : attempt.emissions) {
    fetch.tokens.insert(fetch.tokens.end(), emission.ids.begin(), emission.ids.end());
  }
  attempts_[generate.key] = std::move(attempt);
  const auto go_on = [this, key = generate.key, number = last_number_] { run(key, number); };
  const KvShardActorImpl shard = kv_shard_of(*context_);
  if (!shard || view.block_root.empty()) return go_on();
  // Without its beginning from elsewhere the sequence computes it; so it begins whatever the shard says, or does not.
  self_->request(shard, fetch_timeout, std::move(fetch))
      .then([go_on](const PrefixFetched&) { go_on(); }, [go_on](const caf::error&) { go_on(); });
}

void EngineState::run(const schemas::AttemptKey& key, std::uint64_t number) {
  const auto found = attempts_.find(key);
  if (found == attempts_.end() || found->second.number != number) return;
  const Attempt& attempt = found->second;
  replica_->start(number, attempt.request, attempt.emissions, attempt.deadline - context_->clock->now(),
                  resume(self_, std::function<void(policy::Emission)>([this, key, number](policy::Emission emission) {
                           on_emission(key, number, std::move(emission));
                         })),
                  resume(self_, std::function<void(SequenceEnd)>(
                                    [this, key, number](SequenceEnd end) { on_end(key, number, std::move(end)); })));
}

void EngineState::refuse(const schemas::EngineGenerate& generate, const Error& error) {
  if (const HomeActor home = home_of(generate.home)) {
    self_->send(home, schemas::EngineFinished{generate.key, 0, {}, error.code, error.message});
  }
}

void EngineState::on_emission(const schemas::AttemptKey& key, std::uint64_t number, policy::Emission emission) {
  const auto found = attempts_.find(key);
  if (found == attempts_.end() || found->second.number != number) return;
  Attempt& attempt = found->second;
  attempt.emissions.push_back(emission);
  if (const HomeActor home = home_of(attempt.home)) {
    self_->send(home, schemas::EngineEmissions{key, {std::move(emission)}});
  }
}

void EngineState::on_end(const schemas::AttemptKey& key, std::uint64_t number, SequenceEnd end) {
  const auto found = attempts_.find(key);
  if (found == attempts_.end() || found->second.number != number) return;
  found->second.end = std::move(end);
  send_finished(key, found->second);
}

void EngineState::repeat(const schemas::AttemptKey& key, const Attempt& attempt, std::int32_t from_index) {
  const HomeActor home = home_of(attempt.home);
  if (!home) return;
  schemas::EngineEmissions again{key, {}};
  for (const policy::Emission& emission : attempt.emissions) {
    if (emission.first_index >= from_index) again.emissions.push_back(emission);
  }
  if (!again.emissions.empty()) self_->send(home, std::move(again));
  if (attempt.end) send_finished(key, attempt);
}

void EngineState::send_finished(const schemas::AttemptKey& key, const Attempt& attempt) {
  const HomeActor home = home_of(attempt.home);
  if (!home) return;
  schemas::EngineFinished finished{
      key, static_cast<std::int32_t>(attempt.emissions.size()), attempt.end->result, std::nullopt, {}};
  finished.result.node = context_->self.value;
  if (attempt.end->error) {
    finished.error = attempt.end->error->code;
    finished.message = attempt.end->error->message;
  }
  self_->send(home, std::move(finished));
}

void EngineState::on_release(const schemas::EngineRelease& release) {
  const auto found = attempts_.find(release.key);
  if (found == attempts_.end() || release.epoch < found->second.epoch) return;
  if (!found->second.end) replica_->cancel(found->second.number);
  attempts_.erase(found);
}

void EngineState::tick() {
  const TimePoint now = context_->clock->now();
  std::erase_if(attempts_, [&](const auto& entry) {
    const Attempt& attempt = entry.second;
    if (now - attempt.heard < silence_max) return false;
    if (!attempt.end) replica_->cancel(attempt.number);
    return true;
  });
  after(self_, tick_every, [this] { tick(); });
}

EngineActorImpl::behavior_type engine_actor(EngineActorImpl::stateful_pointer<EngineState> self, NodeContextPtr context,
                                            std::shared_ptr<Replica> replica) {
  return self->state.start(std::move(context), std::move(replica));
}

}  // namespace troupe::actors
