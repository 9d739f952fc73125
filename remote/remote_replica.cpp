#include "remote/remote_replica.hpp"

#include <algorithm>
#include <future>
#include <map>
#include <mutex>
#include <utility>

#include "actors/prompt_messages.hpp"
#include "policy/context.hpp"
#include "remote/remote_call.hpp"

namespace troupe::remote {

namespace {

policy::PartSizes sizes_of(const policy::ContextParts& parts) {
  policy::PartSizes sizes;
  policy::ContextParts nothing;
  nothing.task = parts.task;
  sizes.system = static_cast<std::int32_t>(policy::estimated_tokens(policy::messages_of(nothing)));
  sizes.summary = policy::estimated_tokens(parts.summary);
  sizes.question = policy::estimated_tokens(parts.question);
  for (const policy::Exchange& exchange : parts.recent)
    sizes.recent.push_back(policy::estimated_tokens(exchange.question) + policy::estimated_tokens(exchange.answer));
  for (const policy::PassageText& passage : parts.passages)
    sizes.passages.push_back(policy::estimated_tokens(passage.name) + policy::estimated_tokens(passage.text));
  return sizes;
}

}  // namespace

/// The calls that run, on the Http's thread; and what is seen of them, from any. Outlives the replica as long as anything that
/// was posted needs it.
class RemoteReplica::Calls : public std::enable_shared_from_this<Calls> {
 public:
  Calls(EndpointState state, policy::ReplicaView view) : state_(std::move(state)), view_(std::move(view)) {}

  const policy::Endpoint& endpoint() const { return state_.endpoint; }
  policy::ReplicaView view() const {
    const std::scoped_lock lock(mutex_);
    return view_;
  }

  void begin(Http& http, std::uint64_t number, RemoteQuestion question, TimePoint deadline, OnEmission on_emission,
             OnEnd on_end) {
    if (closed_) return;
    if (running_.size() >= static_cast<std::size_t>(state_.endpoint.requests_max)) {
      return on_end({{},
                     Error{ErrorCode::overloaded, "endpoint " + state_.endpoint.name + " is asked " +
                                                      std::to_string(running_.size()) + " questions already"}});
    }
    auto end = [calls = weak_from_this(), number, on_end = std::move(on_end)](RemoteEnd ended) {
      if (const auto alive = calls.lock()) alive->forget(number, ended.result);
      on_end({std::move(ended.result), std::move(ended.error)});
    };
    const auto call = std::make_shared<RemoteCall>(http, state_, std::move(question), deadline, std::move(on_emission), end);
    running_[number] = call;
    count();
    call->start();
  }

  void cancel(std::uint64_t number) {
    const auto found = running_.find(number);
    if (found == running_.end()) return;
    found->second->cancel();
    running_.erase(found);
    count();
  }

  void close() {
    closed_ = true;
    for (const auto& [number, call] : running_) call->cancel();
    running_.clear();
  }

 private:
  void forget(std::uint64_t number, const policy::AttemptResult& result) {
    running_.erase(number);
    count();
    const std::scoped_lock lock(mutex_);
    view_.prompt_tokens += static_cast<std::uint64_t>(result.prompt_tokens);
    view_.generated_tokens += static_cast<std::uint64_t>(result.generated_tokens);
  }
  void count() {
    const std::scoped_lock lock(mutex_);
    view_.running = static_cast<std::int32_t>(running_.size());
  }

  EndpointState state_;
  std::map<std::uint64_t, std::shared_ptr<RemoteCall>> running_;
  bool closed_ = false;
  mutable std::mutex mutex_;
  policy::ReplicaView view_;  ///< under the mutex
};

RemoteReplica::RemoteReplica(policy::Endpoint endpoint, std::shared_ptr<Http> http, std::uint32_t index, policy::Tier tier,
                             std::uint64_t seed, Log log)
    : http_(std::move(http)) {
  policy::ReplicaView view;
  view.index = index;
  view.tier = tier;
  view.model_name = endpoint.name;
  view.model = policy::class_of(endpoint);
  view.context_max = endpoint.context_tokens;
  calls_ = std::make_shared<Calls>(EndpointState{std::move(endpoint), {}, Random(seed), std::move(log)}, std::move(view));
}

RemoteReplica::~RemoteReplica() {
  // Those who are told may go as soon as this has returned.
  std::promise<void> closed;
  http_->post([&] {
    calls_->close();
    closed.set_value();
  });
  closed.get_future().wait();
}

policy::ReplicaView RemoteReplica::view() const { return calls_->view(); }

Result<schemas::EnginePrepared> RemoteReplica::prepare(const schemas::EnginePrepare& request) const {
  const policy::Endpoint& endpoint = calls_->endpoint();
  const std::int32_t budget = std::min(request.tokens_max, endpoint.context_tokens);
  schemas::EnginePrepared prepared;
  prepared.model = policy::class_of(endpoint);
  if (request.purpose != schemas::Purpose::answer) {
    prepared.messages = actors::messages_for(request.purpose, request.parts);
  } else {
    TROUPE_TRY(const policy::Assembly assembly, policy::assemble(request.parts, sizes_of(request.parts), budget));
    for (std::uint32_t place = 0; place < request.parts.passages.size(); ++place) {
      const auto& out = assembly.passages_left_out;
      if (std::find(out.begin(), out.end(), place) == out.end()) prepared.passages.push_back(place);
    }
    prepared.recent_left_out = static_cast<std::uint32_t>(assembly.recent_left_out);
    prepared.messages = policy::messages_of(assembly.parts);
  }
  const std::int64_t tokens = policy::estimated_tokens(prepared.messages);
  if (tokens > budget || tokens >= endpoint.context_tokens) {
    return Error{ErrorCode::too_large, "the prompt has some " + std::to_string(tokens) + " tokens, and endpoint " +
                                           endpoint.name + " has room for " + std::to_string(budget)};
  }
  prepared.context_max = endpoint.context_tokens - static_cast<std::int32_t>(tokens);
  return prepared;
}

void RemoteReplica::start(std::uint64_t number, const schemas::EngineRequest& request,
                          const std::vector<policy::Emission>& known, Duration time_left, OnEmission on_emission,
                          OnEnd on_end) {
  if (!known.empty()) {
    return on_end(
        {{}, Error{ErrorCode::not_found, "an answer of endpoint " + calls_->endpoint().name + " cannot be continued"}});
  }
  RemoteQuestion question{request.messages, request.sampling, request.seed, request.tokens_max,
                          static_cast<std::int32_t>(policy::estimated_tokens(request.messages))};
  http_->post([http = http_.get(), calls = calls_, number, question = std::move(question), time_left,
               on_emission = std::move(on_emission), on_end = std::move(on_end)]() mutable {
    calls->begin(*http, number, std::move(question), http->now() + time_left, std::move(on_emission), std::move(on_end));
  });
}

void RemoteReplica::cancel(std::uint64_t number) {
  http_->post([calls = calls_, number] { calls->cancel(number); });
}

}  // namespace troupe::remote
