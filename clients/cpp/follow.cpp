#include "clients/cpp/follow.hpp"

#include <algorithm>
#include <memory>
#include <utility>
#include <variant>

#include "clients/cpp/reading.hpp"

namespace troupe::clients {

namespace client = schemas::client;

namespace {

/// One try at following, on one connection. Leaving the scope ends the reading.
class Pass {
 public:
  Pass(Link& link, const policy::TurnId& turn, std::uint64_t from) : began_(link.now()) {
    attempt_ = link.start(
        [turn, from, reading = reading_, slot = slot_, interval = link.options().probe_interval,
         timeout = link.options().reply_timeout](const std::shared_ptr<Peer>& peer) {
          return follow(*peer, turn, from, reading, slot)
              .exclusiveJoin(peer->probe([reading] { return reading->arrivals(); }, interval, timeout));
        },
        Duration::zero());
  }
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;
  ~Pass() {
    attempt_->abandon();
    reading_->close();
  }

  Reading& reading() { return *reading_; }
  bool finished(Duration wait = Duration::zero()) { return attempt_->wait(wait); }
  /// Once finished: why there are no more events, though the turn's last was not among them.
  Error problem() const {
    if (attempt_->problem()) return *attempt_->problem();
    if (!**slot_) return (*slot_)->error();
    return Error{ErrorCode::unavailable, "the node ended the stream before the turn's last event"};
  }
  TimePoint began() const { return began_; }

 private:
  static kj::Promise<void> follow(Peer& peer, const policy::TurnId& turn, std::uint64_t from,
                                  const std::shared_ptr<Reading>& reading, const std::shared_ptr<Answered<void>>& slot) {
    return peer.conversation(turn.conversation)
        .then([=](Answered<client::Conversation::Client> conversation) -> kj::Promise<void> {
          if (!*conversation) {
            *slot = answered<void>(conversation->error());
            return kj::READY_NOW;
          }
          auto request = (*conversation)->followRequest();
          request.setTurn(turn.number);
          request.setFrom(from);
          request.setReader(make_event_reader(reading));
          return request.send().then([slot](capnp::Response<client::Conversation::FollowResults>&& response) {
            const auto outcome = response.getOutcome();
            *slot = outcome.isFailure() ? answered<void>(schemas::read(outcome.getFailure())) : answered<void>({});
          });
        });
  }

  TimePoint began_;
  std::shared_ptr<Reading> reading_ = std::make_shared<Reading>();
  std::shared_ptr<Answered<void>> slot_ = std::make_shared<Answered<void>>();
  std::shared_ptr<Attempt> attempt_;
};

/// How long somebody who was interrupted tries to tell the turn.
constexpr Duration interrupted_patience = std::chrono::seconds(3);

/// What is known of a turn's reading, over all passes.
class Follower {
 public:
  Follower(Link& link, const FollowRequest& request, const OnEvent& on_event)
      : link_(link), request_(request), on_event_(on_event), next_(request.from) {
    answer_.turn = request.turn;
  }

  Result<Answer> run() {
    for (;;) {
      Pass pass(link_, request_.turn, next_);
      read(pass);
      if (ended_) return std::move(answer_);
      if (gave_up_ || !pass.finished()) return overdue();
      const Error problem = pass.problem();
      if (problem.code != ErrorCode::unavailable && problem.code != ErrorCode::overloaded) return problem;
      if (!attempt_again(pass, problem)) return unanswered(problem);
    }
  }

 private:
  /// Until the turn or the pass has ended, or the deadline is over.
  void read(Pass& pass) {
    while (!ended_) {
      const bool finished = pass.finished();
      const auto events = pass.reading().take(finished ? Duration::zero() : Link::glance);
      for (const policy::TurnEvent& event : events) {
        take(event);
        pass.reading().consumed(event.number);
      }
      if (!events.empty()) {
        lost_since_.reset();
        tried_ = 0;
      }
      if (finished && events.empty()) return;
      if (!cancelled_ && !ended_ && link_.interrupted()) {
        cancelled_ = link_.now();
        // If nobody can be told, the turn's deadline ends it.
        gave_up_ = !cancel_turn(link_, request_.turn, std::min(interrupted_patience, link_.options().patience));
        if (gave_up_) return;
      }
      if (cancelled_ && link_.now() - *cancelled_ >= link_.options().patience) return;
      if (request_.deadline && link_.now() >= *request_.deadline) return;
    }
  }

  void take(const policy::TurnEvent& event) {
    if (event.number < next_ || ended_) return;  // seen over an earlier connection
    next_ = event.number + 1;
    if (on_event_) on_event_(event);
    ended_ = event.last();
    if (const auto* committed = std::get_if<policy::CommittedEvent>(&event.what)) answer_.end = *committed;
    if (const auto* failed = std::get_if<policy::FailedEvent>(&event.what)) {
      answer_.end.outcome.code = failed->code;
      answer_.end.outcome.message = failed->message;
    }
  }

  bool attempt_again(const Pass& pass, const Error& problem) {
    const TimePoint now = link_.now();
    if (problem.code == ErrorCode::unavailable) trouble_ = problem;
    if (!lost_since_ || now - pass.began() > link_.options().patience) lost_since_ = now;
    if (request_.deadline ? now >= *request_.deadline : now - *lost_since_ >= link_.options().patience) return false;
    answer_.replayed = true;
    if (problem.code == ErrorCode::unavailable) link_.leave_node();
    link_.pause(++tried_, /*interruptible=*/!cancelled_);
    return true;
  }

  Error unanswered(const Error& problem) const {
    if (cancelled_) return overdue();
    Error error = link_.no_answer(link_.now() - *lost_since_, problem);
    error.message += "; turn " + to_string(request_.turn) + " was accepted, and is answered once the node that has it is back";
    return error;
  }

  Error overdue() const {
    if (cancelled_) {
      return Error{ErrorCode::cancelled, "interrupted; turn " + to_string(request_.turn) +
                                             " could not be told, and goes on until it is answered or its deadline is over"};
    }
    const std::string why = trouble_ ? " (" + trouble_->message + ")" : "";
    return Error{ErrorCode::deadline_exceeded, "turn " + to_string(request_.turn) +
                                                   " has not ended though its deadline is over" + why +
                                                   "; the conversation's home ends it as soon as it can"};
  }

  Link& link_;
  const FollowRequest& request_;
  const OnEvent& on_event_;
  Answer answer_;
  std::uint64_t next_;
  bool ended_ = false;
  std::optional<TimePoint> cancelled_;  ///< when it was interrupted
  bool gave_up_ = false;                ///< it was, and nobody could be told
  int tried_ = 0;
  std::optional<TimePoint> lost_since_;
  std::optional<Error> trouble_;  // the last time that nobody could be read from
};

}  // namespace

Result<Answer> follow_turn(Link& link, const FollowRequest& request, const OnEvent& on_event) {
  return Follower(link, request, on_event).run();
}

Result<void> cancel_turn(Link& link, const policy::TurnId& turn, Duration patience) {
  const auto work = [turn](const std::shared_ptr<Peer>& peer) {
    return peer->conversation(turn.conversation)
        .then([turn](Answered<client::Conversation::Client> conversation) -> Promised<void> {
          if (!*conversation) return answered<void>(conversation->error());
          auto request = (*conversation)->cancelRequest();
          request.setTurn(turn.number);
          return request.send().then([](capnp::Response<client::Conversation::CancelResults>&& response) {
            const auto outcome = response.getOutcome();
            return outcome.isFailure() ? answered<void>(schemas::read(outcome.getFailure())) : answered<void>({});
          });
        });
  };
  return link.call<void>(work, link.now() + patience, false);
}

}  // namespace troupe::clients
