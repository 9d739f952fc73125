#include "cluster/expert_port.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "cluster/expert_server.hpp"

namespace troupe::cluster {

/// Shared with what the fabric and the schedule were given to call, which may outlive the port. Nothing is called under the
/// mutex.
class ExpertPort::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(Fabric& fabric, const Clock& clock, Schedule schedule, ExpertPortOptions options)
      : self_(std::move(options.self)),
        works_max_(options.works_max),
        clock_(clock),
        fabric_(fabric),
        schedule_(std::move(schedule)),
        next_(options.first_number) {}

  void send(const NodeId& node, std::uint64_t number, Payload message, TimePoint deadline, Answer answer) {
    ExpertServer* here = nullptr;
    {
      std::unique_lock lock(mutex_);
      if (closed_ || waiting_.size() >= works_max_) {
        const Error refused = closed_ ? Error{ErrorCode::cancelled, "this node ends"}
                                      : Error{ErrorCode::overloaded, std::to_string(works_max_) + " works have no answer yet"};
        lock.unlock();
        return answer(refused);
      }
      waiting_.emplace(number, Waiting{node, deadline, std::move(answer)});
      if (node == self_) here = here_;
    }
    watch(deadline);
    const auto weak = weak_from_this();
    if (here != nullptr) {
      return here->submit(std::move(message), [weak, self = self_](Payload results) {
        if (const auto core = weak.lock()) core->arrived(self, results);
      });
    }
    fabric_.send(node, Channel::expert_work, std::move(message), deadline, [weak, number](Result<void> sent) {
      if (sent) return;
      if (const auto core = weak.lock()) core->tell(core->take(number), sent.error());
    });
  }

  void arrived(const NodeId& from, const Payload& message) {
    const auto results = schemas::decode_expert_results(message.bytes);
    std::optional<Answer> answer;
    if (results && results->protocol == schemas::expert_protocol) answer = take(results->number, &from);
    if (!answer) {
      ++dropped_;
    } else if (results->error) {
      (*answer)(Error(*results->error).within("node " + from.value));
    } else {
      (*answer)(*results);
    }
  }

  std::optional<Answer> take(std::uint64_t number, const NodeId* from = nullptr) {
    const std::scoped_lock lock(mutex_);
    const auto found = waiting_.find(number);
    if (found == waiting_.end() || (from != nullptr && found->second.node != *from)) return std::nullopt;
    Answer answer = std::move(found->second.answer);
    waiting_.erase(found);
    return answer;
  }

  static void tell(const std::optional<Answer>& answer, const Error& error) {
    if (answer) (*answer)(error);
  }

  /// Takes all works for which `wanted(waiting)` holds, and answers them with an error.
  template <class Wanted>
  void answer_all(const Wanted& wanted, const Error& error) {
    std::vector<Answer> answers;
    {
      const std::scoped_lock lock(mutex_);
      for (auto it = waiting_.begin(); it != waiting_.end();) {
        if (!wanted(it->second)) {
          ++it;
          continue;
        }
        answers.push_back(std::move(it->second.answer));
        it = waiting_.erase(it);
      }
    }
    for (const Answer& answer : answers) answer(error);
  }

  void lost(const NodeId& node, const Error& why) {
    answer_all([&](const Waiting& each) { return each.node == node; }, why);
  }

  void close() {
    {
      const std::scoped_lock lock(mutex_);
      closed_ = true;
    }
    answer_all([](const Waiting&) { return true; }, {ErrorCode::cancelled, "this node ends"});
  }

  void serve_here(ExpertServer& server) {
    const std::scoped_lock lock(mutex_);
    here_ = &server;
  }
  std::uint64_t next_number() { return next_++; }
  std::uint64_t dropped() const { return dropped_; }

 private:
  struct Waiting {
    NodeId node;
    TimePoint deadline;
    Answer answer;
  };

  /// Has somebody look at the deadlines no later than then: one timer at a time, however many works there are.
  void watch(TimePoint deadline) {
    {
      const std::scoped_lock lock(mutex_);
      if (watched_ && *watched_ <= deadline) return;
      watched_ = deadline;
    }
    schedule_(std::max(deadline - clock_.now(), Duration::zero()), [weak = weak_from_this()] {
      if (const auto core = weak.lock()) core->look();
    });
  }

  void look() {
    const TimePoint now = clock_.now();
    std::optional<TimePoint> earliest;
    {
      const std::scoped_lock lock(mutex_);
      watched_.reset();
      for (const auto& [number, each] : waiting_) {
        if (each.deadline > now && (!earliest || each.deadline < *earliest)) earliest = each.deadline;
      }
    }
    answer_all([&](const Waiting& each) { return each.deadline <= now; },
               {ErrorCode::deadline_exceeded, "no answer of the experts in time"});
    if (earliest) watch(*earliest);
  }

  const NodeId self_;
  const std::size_t works_max_;
  const Clock& clock_;
  Fabric& fabric_;
  Schedule schedule_;
  std::atomic<std::uint64_t> next_;
  std::atomic<std::uint64_t> dropped_ = 0;
  std::mutex mutex_;
  bool closed_ = false;
  ExpertServer* here_ = nullptr;
  std::map<std::uint64_t, Waiting> waiting_;
  std::optional<TimePoint> watched_;  ///< when somebody will look
};

ExpertPort::ExpertPort(Fabric& fabric, const Clock& clock, Schedule schedule, ExpertPortOptions options)
    : core_(std::make_shared<Core>(fabric, clock, std::move(schedule), std::move(options))), fabric_(fabric) {
  fabric.receive(Channel::expert_results, [weak = std::weak_ptr(core_)](const NodeId& from, Payload message) {
    if (const auto core = weak.lock()) core->arrived(from, message);
  });
}

ExpertPort::~ExpertPort() {
  fabric_.receive(Channel::expert_results, {});
  core_->close();
}

void ExpertPort::serve_here(ExpertServer& server) { core_->serve_here(server); }
std::uint64_t ExpertPort::next_number() { return core_->next_number(); }
void ExpertPort::send(const NodeId& node, std::uint64_t number, Payload message, TimePoint deadline, Answer answer) {
  core_->send(node, number, std::move(message), deadline, std::move(answer));
}
void ExpertPort::forget(std::uint64_t number) { core_->take(number); }
void ExpertPort::peer_lost(const NodeId& node, const Error& why) { core_->lost(node, why); }
std::uint64_t ExpertPort::dropped() const { return core_->dropped(); }

}  // namespace troupe::cluster
