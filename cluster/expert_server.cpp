#include "cluster/expert_server.hpp"

#include <atomic>
#include <mutex>
#include <utility>
#include <vector>

#include "kernels/numeric_class.hpp"
#include "kernels/thread_pool.hpp"
#include "model/experts.hpp"
#include "schemas/expert_frame.hpp"

namespace troupe::cluster {

namespace {

using schemas::ExpertFrame;

Payload payload_of_frame(const ExpertFrame& frame) { return {frame.owner, frame.bytes}; }

/// Loaded experts and what computes them.
struct Served {
  ExpertSource source;
  std::unique_ptr<model::LocalExperts> local;
};
using ServedList = std::vector<std::shared_ptr<const Served>>;

template <class Holder>
ExpertSource make_source(std::shared_ptr<const Holder> holder, kernels::DeviceKind device) {
  ExpertSource source{.model = {model::to_hex(holder->fingerprint), std::string(kernels::numeric_class(device))},
                      .owner = nullptr,
                      .config = &holder->config,
                      .weights = &holder->weights};
  source.owner = std::move(holder);
  return source;
}

std::string named(const policy::ModelClass& model) {
  return model.fingerprint.substr(0, 16) + " (" + model.numeric_class.substr(0, 64) + ")";
}

}  // namespace

ExpertSource source_of(std::shared_ptr<const model::ExpertSlices> slices, kernels::DeviceKind device) {
  return make_source(std::move(slices), device);
}
ExpertSource source_of(std::shared_ptr<const model::Model> model, kernels::DeviceKind device) {
  return make_source(std::move(model), device);
}

/// Shared with the fabric and the runner, which may call after the server has ended.
class ExpertServer::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(const Clock& clock, Schedule runner, std::unique_ptr<kernels::Device> device, const ExpertServerLimits& limits)
      : clock_(clock), runner_(std::move(runner)), limits_(limits), device_(std::move(device)) {}

  Result<void> serve(ExpertSource source) {
    auto served = std::make_shared<Served>();
    {
      // The device may be computing; its memory is asked for by one thread at a time.
      const std::scoped_lock computing(computing_);
      TROUPE_TRY(served->local, model::LocalExperts::create(*source.config, *source.weights, *device_, limits_.rows_max));
    }
    served->source = std::move(source);
    const std::scoped_lock lock(mutex_);
    auto list = *served_;
    list.push_back(std::move(served));
    served_ = std::make_shared<const ServedList>(std::move(list));
    return {};
  }

  void withdraw(const std::shared_ptr<const void>& owner) {
    const std::scoped_lock lock(mutex_);
    auto list = *served_;
    std::erase_if(list, [&](const auto& served) { return served->source.owner == owner; });
    served_ = std::make_shared<const ServedList>(std::move(list));
  }

  std::shared_ptr<const ServedList> served() const {
    const std::scoped_lock lock(mutex_);
    return served_;
  }

  void submit(Payload work, std::function<void(Payload)> reply) {
    const std::size_t bytes = work.bytes.size();
    {
      std::unique_lock lock(mutex_);
      if (closed_) return;
      if (works_ >= limits_.works_max || bytes_ + bytes > limits_.bytes_max) {
        const Error refused{ErrorCode::overloaded, std::to_string(works_) + " works of " + std::to_string(bytes_) +
                                                       " bytes wait for experts, expected at most " +
                                                       std::to_string(limits_.works_max) + " and " +
                                                       std::to_string(limits_.bytes_max)};
        lock.unlock();
        return refuse(work, refused, reply);
      }
      ++works_;
      bytes_ += bytes;
    }
    runner_(Duration::zero(), [weak = weak_from_this(), work = std::move(work), reply = std::move(reply)] {
      if (const auto core = weak.lock()) core->run(work, reply);
    });
  }

  void run(const Payload& work, const std::function<void(Payload)>& reply) {
    // Replies are within, so that once a server has ended none of them uses a fabric that may have ended too.
    const std::scoped_lock computing(computing_);
    if (closed_) return;
    auto results = compute(work);
    {
      const std::scoped_lock lock(mutex_);
      --works_;
      bytes_ -= work.bytes.size();
    }
    if (results) return reply(*std::move(results));
    refuse(work, results.error(), reply);
  }

  void refuse(const Payload& work, const Error& error, const std::function<void(Payload)>& reply) {
    const auto number = schemas::number_of_expert_work(work.bytes);
    {
      const std::scoped_lock lock(mutex_);
      ++(number ? counters_.refused : counters_.unreadable);
    }
    if (number) reply(payload_of_frame(schemas::encode_expert_error(*number, error)));
  }

  /// Nobody is computing and nobody will.
  void close() {
    closed_ = true;
    const std::scoped_lock computing(computing_);
  }

  std::int64_t load() const {
    const std::scoped_lock lock(mutex_);
    return static_cast<std::int64_t>(works_);
  }
  ExpertServerCounters counters() const {
    const std::scoped_lock lock(mutex_);
    return counters_;
  }
  TimePoint send_deadline() const { return clock_.now() + limits_.answer_max; }

 private:
  /// The slots that each of the served has, by its place in the list.
  static Result<std::vector<std::vector<model::ExpertSlot>>> share_out(const ServedList& list,
                                                                       const schemas::ExpertWorkFrame& work) {
    std::vector<std::vector<model::ExpertSlot>> shares(list.size());
    bool known = false;
    for (const auto& served : list) known |= served->source.model == work.head.model;
    if (!known) return Error{ErrorCode::unsupported, "no experts of model " + named(work.head.model) + " are here"};
    for (std::size_t i = 0; i < work.slots.size(); ++i) {
      const auto expert = static_cast<std::int32_t>(work.slots[i].expert);
      bool found = false;
      for (std::size_t place = 0; place < list.size() && !found; ++place) {
        const Served& served = *list[place];
        found = served.source.model == work.head.model && served.source.config->hidden == work.head.hidden &&
                served.local->has(work.head.layer, expert);
        if (found)
          shares[place].push_back({expert, static_cast<std::int32_t>(work.slots[i].row), static_cast<std::int32_t>(i)});
      }
      if (found) continue;
      return Error{ErrorCode::not_found, "expert " + std::to_string(expert) + " of layer " + std::to_string(work.head.layer) +
                                             " of " + std::to_string(work.head.hidden) + " numbers a row is not here"};
    }
    return shares;
  }

  /// Results count until nobody holds them any more.
  Result<Payload> counted(const ExpertFrame& frame) {
    const std::size_t bytes = frame.bytes.size();
    {
      const std::scoped_lock lock(mutex_);
      if (bytes_ + bytes > limits_.bytes_max) {
        return Error{ErrorCode::overloaded, std::to_string(bytes_) + " bytes of works and results are under way, " +
                                                std::to_string(bytes) + " more would be above " +
                                                std::to_string(limits_.bytes_max)};
      }
      bytes_ += bytes;
    }
    const auto give_back = [weak = weak_from_this(), bytes, owner = frame.owner](const void*) {
      const auto core = weak.lock();
      if (!core) return;
      const std::scoped_lock lock(core->mutex_);
      core->bytes_ -= bytes;
    };
    return Payload{std::shared_ptr<const void>(frame.owner.get(), give_back), frame.bytes};
  }

  Result<Payload> compute(const Payload& message) {
    const TimePoint begin = clock_.now();
    TROUPE_TRY(const auto work, schemas::decode_expert_work(message.bytes));
    if (work.head.protocol != schemas::expert_protocol) {
      return Error{ErrorCode::unsupported, "expert protocol " + std::to_string(work.head.protocol) + ", this node speaks " +
                                               std::to_string(schemas::expert_protocol)};
    }
    const auto list = served();
    TROUPE_TRY(const auto shares, share_out(*list, work));
    const ExpertFrame frame = schemas::encode_expert_results(work.head.number, work.head.hidden, work.slots.size());
    TROUPE_TRY(Payload results, counted(frame));
    const TimePoint framed = clock_.now();
    kernels::set_float_environment();
    for (std::size_t place = 0; place < shares.size(); ++place) {
      if (shares[place].empty()) continue;
      (*list)[place]->local->compute({work.head.layer, work.rows.data(), frame.values.data(), shares[place]});
    }
    const TimePoint end = clock_.now();
    const std::scoped_lock lock(mutex_);
    ++counters_.works;
    counters_.slots += work.slots.size();
    counters_.framing += framed - begin;
    counters_.computing += end - framed;
    return results;
  }

  const Clock& clock_;
  Schedule runner_;
  const ExpertServerLimits limits_;
  std::unique_ptr<kernels::Device> device_;
  std::mutex computing_;  ///< held while the device is used; taken before the other
  std::atomic<bool> closed_ = false;
  mutable std::mutex mutex_;
  std::shared_ptr<const ServedList> served_ = std::make_shared<const ServedList>();
  std::size_t works_ = 0;
  std::size_t bytes_ = 0;
  ExpertServerCounters counters_;
};

Result<std::unique_ptr<ExpertServer>> ExpertServer::create(Fabric& fabric, const Clock& clock, Schedule runner,
                                                           std::unique_ptr<kernels::Device> device,
                                                           const ExpertServerLimits& limits) {
  if (device->kind() != kernels::DeviceKind::cpu) {
    return Error{ErrorCode::unsupported, "experts answer from a CPU's memory; this device is " + device->description()};
  }
  auto core = std::make_shared<Core>(clock, std::move(runner), std::move(device), limits);
  return std::unique_ptr<ExpertServer>(new ExpertServer(fabric, std::move(core)));
}

ExpertServer::ExpertServer(Fabric& fabric, std::shared_ptr<Core> core) : core_(std::move(core)), fabric_(fabric) {
  fabric.receive(Channel::expert_work, [weak = std::weak_ptr(core_), &fabric](const NodeId& from, Payload message) {
    const auto there = weak.lock();
    if (!there) return;
    const TimePoint deadline = there->send_deadline();
    there->submit(std::move(message), [from, deadline, &fabric](Payload results) {
      fabric.send(from, Channel::expert_results, std::move(results), deadline, [](const Result<void>&) {});
    });
  });
}

ExpertServer::~ExpertServer() {
  fabric_.receive(Channel::expert_work, {});
  core_->close();
}

Result<void> ExpertServer::serve(ExpertSource source) { return core_->serve(std::move(source)); }
void ExpertServer::withdraw(const std::shared_ptr<const void>& owner) { core_->withdraw(owner); }
policy::ExpertSelection ExpertServer::served(const policy::ModelClass& model) const {
  policy::ExpertSelection selection;
  const auto list = core_->served();
  for (const auto& served : *list) {
    if (served->source.model == model) selection = selection | served->source.weights->experts();
  }
  return selection;
}
std::int64_t ExpertServer::load() const { return core_->load(); }
ExpertServerCounters ExpertServer::counters() const { return core_->counters(); }
void ExpertServer::submit(Payload work, std::function<void(Payload)> reply) {
  core_->submit(std::move(work), std::move(reply));
}

}  // namespace troupe::cluster
