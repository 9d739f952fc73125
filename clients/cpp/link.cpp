#include "clients/cpp/link.hpp"

#include <algorithm>
#include <cstdio>
#include <deque>
#include <utility>

#include "clients/cpp/connect_error.hpp"

namespace troupe::clients {

namespace {

std::string seconds(Duration time) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f s", std::chrono::duration<double>(time).count());
  return text.data();
}

Error error_of(const kj::Exception& exception, const std::string& address) {
  std::string message = address + ": " + what_failed(exception);
  const bool unknown = exception.getType() == kj::Exception::Type::UNIMPLEMENTED;
  return {unknown ? ErrorCode::unsupported : ErrorCode::unavailable, std::move(message)};
}

}  // namespace

/// What lives in the link's thread.
class Loop final : private kj::TaskSet::ErrorHandler {
 public:
  Loop(kj::AsyncIoContext& io, const std::vector<std::string>& addresses, const ClientOptions& options)
      : timer_(io.provider->getTimer()),
        network_(io.provider->getNetwork()),
        addresses_(addresses),
        options_(options),
        tasks_(*this) {}

  void start(const std::shared_ptr<Attempt>& attempt, Link::Work work, Duration timeout) {
    KJ_IF_MAYBE (left, attempt->watch_caller()) {
      auto done = peer().then([this, attempt, work = std::move(work), timeout](Answered<std::shared_ptr<Peer>> found) {
        if (!*found) {
          attempt->finish(found->error());
          return kj::Promise<void>(kj::READY_NOW);
        }
        return with_peer(**found, attempt, work, timeout);
      });
      tasks_.add(done.exclusiveJoin(kj::mv(*left)));
    }
  }

  void leave() {
    current_.reset();
    first_ = (first_ + 1) % addresses_.size();
  }

  void stop() { stopped_ = true; }
  bool stopped() const { return stopped_; }

 private:
  kj::Promise<void> with_peer(const std::shared_ptr<Peer>& peer, const std::shared_ptr<Attempt>& attempt,
                              const Link::Work& work, Duration timeout) {
    auto done = work(peer);
    if (timeout > Duration::zero()) done = timer_.timeoutAfter(kj_time(timeout), kj::mv(done));
    return done
        .then([attempt] { attempt->finish(std::nullopt); },
              [this, attempt, peer](kj::Exception&& exception) {
                if (current_ == peer) leave();
                attempt->finish(error_of(exception, peer->address()));
              })
        .attach(peer);
  }

  /// The connection that there is, or a new one; callers that come meanwhile wait for the same.
  Promised<std::shared_ptr<Peer>> peer() {
    if (current_) return answered<std::shared_ptr<Peer>>(current_);
    KJ_IF_MAYBE (dialling, dialling_) {
      return dialling->addBranch();
    }
    auto found = dial(0, {}).then([this](Answered<std::shared_ptr<Peer>> peer) {
      dialling_ = nullptr;
      if (*peer) current_ = **peer;
      return peer;
    });
    auto fork = found.fork();
    auto branch = fork.addBranch();
    // Held until it is done, whoever waits for it leaves meanwhile.
    tasks_.add(fork.addBranch().ignoreResult());
    dialling_ = kj::mv(fork);
    return branch;
  }

  /// Each address once, from the preferred one on.
  Promised<std::shared_ptr<Peer>> dial(std::size_t step, std::vector<Error> problems) {
    if (step == addresses_.size()) return answered<std::shared_ptr<Peer>>(all_refused(problems));
    const std::size_t index = (first_ + step) % addresses_.size();
    const std::string& address = addresses_[index];
    return timer_
        .timeoutAfter(kj_time(options_.connect_timeout), kj::evalNow([&] { return Peer::connect(network_, timer_, address); }))
        .then([](Answered<std::shared_ptr<Peer>> found) { return found; },
              [address](kj::Exception&& exception) {
                return answered<std::shared_ptr<Peer>>(Error{ErrorCode::unavailable, what_failed(exception)});
              })
        .then([this, step, index, problems = std::move(problems)](
                  Answered<std::shared_ptr<Peer>> found) mutable -> Promised<std::shared_ptr<Peer>> {
          if (*found) {
            first_ = index;
            return found;
          }
          problems.push_back(std::move(found->error()).within(addresses_[index]));
          return dial(step + 1, std::move(problems));
        });
  }

  static Error all_refused(const std::vector<Error>& problems) {
    std::string message = "no node can be reached: ";
    for (const Error& problem : problems) message += (&problem == problems.data() ? "" : "; ") + problem.message;
    const ErrorCode code = problems.front().code;
    const bool same = std::all_of(problems.begin(), problems.end(), [&](const Error& problem) { return problem.code == code; });
    return Error{same ? code : ErrorCode::unavailable, std::move(message)};
  }

  void taskFailed(kj::Exception&&) override {}  // every attempt has its own handler

  kj::Timer& timer_;
  kj::Network& network_;
  const std::vector<std::string>& addresses_;
  const ClientOptions& options_;
  std::size_t first_ = 0;
  std::shared_ptr<Peer> current_;
  kj::Maybe<kj::ForkedPromise<Answered<std::shared_ptr<Peer>>>> dialling_;
  bool stopped_ = false;
  kj::TaskSet tasks_;  // first to go
};

Link::Link(std::vector<std::string> addresses, ClientOptions options)
    : addresses_(std::move(addresses)), options_(std::move(options)), thread_([this] { run(); }) {}

Link::~Link() {
  inbox_.post([](Loop& loop) { loop.stop(); });
  thread_.join();
}

void Link::run() {
  try {
    auto io = kj::setupAsyncIo();
    {
      Loop loop(io, addresses_, options_);
      auto stopped = kj::newPromiseAndFulfiller<void>();
      auto inbox = inbox_.run([&](const LoopTask& task) {
        task(loop);
        if (loop.stopped()) stopped.fulfiller->fulfill();
      });
      stopped.promise.exclusiveJoin(kj::mv(inbox)).wait(io.waitScope);
    }
    inbox_.close();
  } catch (const kj::Exception&) {
    inbox_.close();  // no loop could be had (no descriptors are left); callers wait in vain until their time is over
  }
}

std::shared_ptr<Attempt> Link::start(Work work, Duration timeout) {
  auto attempt = std::make_shared<Attempt>();
  inbox_.post([attempt, work = std::move(work), timeout](Loop& loop) { loop.start(attempt, work, timeout); });
  return attempt;
}

void Link::leave_node() {
  inbox_.post([](Loop& loop) { loop.leave(); });
}

bool Link::pause(int tried, bool interruptible) const {
  constexpr Duration longest = std::chrono::milliseconds(500);
  const TimePoint until = now() + std::min<Duration>(glance * (1 << std::min(tried - 1, 4)), longest);
  while (now() < until) {
    if (interruptible && interrupted()) return false;
    std::this_thread::sleep_for(std::min<Duration>(glance, until - now()));
  }
  return true;
}

std::optional<Error> Link::wait(Attempt& attempt, TimePoint deadline, bool interruptible) const {
  while (!attempt.wait(glance)) {
    if (interruptible && interrupted()) {
      attempt.abandon();
      return Error{ErrorCode::cancelled, "interrupted before the reply came"};
    }
    if (now() < deadline) continue;
    attempt.abandon();
    return Error{ErrorCode::deadline_exceeded, "no reply came in time"};
  }
  return attempt.problem();
}

Error Link::no_answer(Duration waited, const Error& last) const {
  std::string message = "no answer from ";
  for (const std::string& address : addresses_) message += (&address == addresses_.data() ? "" : ", ") + address;
  return Error{last.code == ErrorCode::overloaded ? ErrorCode::overloaded : ErrorCode::unavailable,
               message + " within " + seconds(waited) + "; the last problem: " + last.message};
}

}  // namespace troupe::clients
