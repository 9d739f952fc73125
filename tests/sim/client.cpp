#include "tests/sim/client.hpp"

#include <utility>

namespace troupe::sim {

namespace {
using std::chrono::milliseconds;

bool passes(ErrorCode code) { return code == ErrorCode::unavailable || code == ErrorCode::overloaded || code == ErrorCode::io; }
}  // namespace

// Reading.

Follower::Follower(Witness& witness, policy::TurnId turn, std::string name, std::uint32_t credit, Duration patience)
    : witness_(witness),
      world_(witness.cluster().world()),
      turn_(turn),
      name_(std::move(name)),
      credit_(credit),
      patience_(patience) {}

void Follower::start(std::function<void()> on_end) {
  on_end_ = std::move(on_end);
  follow();
  watch();
}

void Follower::drop() {
  if (over()) return;
  dropped_ = true;
  ++reading_;
  world_.note(name_, "goes away");
  reader_.reset();
}

void Follower::follow() {
  if (over()) return;
  heard_ = world_.now();
  const std::uint64_t reading = ++reading_;
  std::string node;
  const auto front = witness_.cluster().any_front(&node);
  if (!front) return follow_later();
  world_.note(name_, "reads " + std::to_string(turn_.number) + " from #" + std::to_string(next_) + " over " + node);
  unread_ = credit_;
  auto reader =
      front->follow({turn_, next_}, credit_, [weak = weak_from_this(), reading](Result<std::vector<policy::TurnEvent>> events) {
        if (const auto self = weak.lock()) self->on_events(reading, std::move(events));
      });
  reader_ = std::move(reader);  // the new one is there before the old one leaves
}

void Follower::follow_later() {
  world_.schedule(world_.between(milliseconds(200), milliseconds(800)), [weak = weak_from_this(), reading = reading_] {
    const auto self = weak.lock();
    if (self && self->reading_ == reading) self->follow();
  });
}

void Follower::watch() {
  world_.schedule(milliseconds(500), [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || self->over()) return;
    if (self->world_.now() - self->heard_ > self->patience_) self->follow();
    self->watch();
  });
}

void Follower::on_events(std::uint64_t reading, Result<std::vector<policy::TurnEvent>> events) {
  if (!events) {
    if (reading != reading_ || over()) return;
    world_.note(name_, "cannot read: " + events.error().message);
    if (passes(events.error().code)) return follow_later();
    ended_ = true;
    return world_.violated(name_ + " cannot read turn " + to_string(turn_) + ": " + events.error().message);
  }
  for (const policy::TurnEvent& event : *events) {
    world_.note(name_, describe(event));
    witness_.saw(turn_, event);
  }
  if (reading != reading_ || over()) return;
  heard_ = world_.now();
  for (const policy::TurnEvent& event : *events) {
    if (event.number < next_) world_.violated(name_ + ": event " + describe(event) + " comes twice to one reader");
    next_ = event.number + 1;
    if (unread_ == 0) world_.violated(name_ + ": an event came without credit: " + describe(event));
    unread_ -= unread_ > 0 ? 1 : 0;
  }
  if (!events->empty() && events->back().last()) {
    ended_ = true;
    reader_.reset();
    if (on_end_) std::exchange(on_end_, nullptr)();
  } else if (unread_ == 0) {
    unread_ = credit_;
    reader_->more(credit_);
  }
}

// Asking.

Client::Client(Witness& witness, Conversation script, std::string name)
    : witness_(witness), world_(witness.cluster().world()), script_(std::move(script)), name_(std::move(name)) {}

void Client::start() {
  world_.schedule(script_.start, [self = shared_from_this()] { self->open(); });
}

void Client::again_unless_moved(std::uint64_t step, Duration after, void (Client::*what)()) {
  world_.schedule(after, [self = shared_from_this(), step, what] {
    if (self->step_ == step) (self.get()->*what)();
  });
}

void Client::open() {
  const std::uint64_t step = ++step_;
  const auto front = witness_.cluster().any_front();
  again_unless_moved(step, front ? script_.patience : milliseconds(300), &Client::open);
  if (!front) return;
  front->open(std::nullopt, [self = shared_from_this(), step](Result<actors::OpenedConversation> opened) {
    if (self->step_ != step) return;
    if (opened) {
      self->conversation_ = opened->id;
      self->world_.note(self->name_, "has conversation " + to_string(opened->id) + " on " + opened->home);
      return self->next_question();
    }
    if (!passes(opened.error().code)) self->world_.violated(self->name_ + " cannot open: " + opened.error().message);
    self->world_.note(self->name_, "cannot open: " + opened.error().message);
  });
}

void Client::next_question() {
  ++step_;
  if (asked_ == script_.questions.size()) {
    done_ = true;
    return;
  }
  ++asked_;
  pinned_ = 0;
  again_unless_moved(step_, question().pause, &Client::pin);
}

void Client::pin() {
  if (pinned_ == question().pins.size()) return ask();
  const std::uint64_t step = ++step_;
  again_unless_moved(step, script_.patience, &Client::pin);
  const auto front = witness_.cluster().any_front();
  if (!front) return;
  policy::PinChange change = question().pins[pinned_];
  change.made_for = pins_version_;
  world_.note(name_, (change.kind == policy::PinChange::Kind::add ? "pins " : "unpins ") + change.text);
  front->pin(*conversation_, change, [self = shared_from_this(), step, change](const Result<policy::Pins>& pins) {
    self->on_pinned(change, pins, step);
  });
}

void Client::on_pinned(const policy::PinChange& change, const Result<policy::Pins>& pins, std::uint64_t step) {
  if (!pins) {
    world_.note(name_, "cannot pin: " + pins.error().message);
    const bool too_late = pins.error().code == ErrorCode::cancelled && step_ != step;  // it has been made again since
    if (!too_late && !passes(pins.error().code)) world_.violated(name_ + " cannot pin: " + pins.error().message);
    return;
  }
  world_.note(name_, "was told of version " + std::to_string(pins->version) + " of the pins");
  if (step_ != step) return;  // it has asked again, and waits for that
  witness_.pinned(*conversation_, change, *pins);
  pins_version_ = pins->version;
  ++pinned_;
  pin();
}

void Client::ask() {
  const std::uint64_t step = ++step_;
  const int times = question().twice ? 2 : 1;
  again_unless_moved(step, script_.patience, &Client::ask);
  for (int i = 0; i < times; ++i) {
    if (const auto front = witness_.cluster().any_front()) ask_over(front, step);
  }
}

void Client::ask_over(const std::shared_ptr<actors::Front>& front, std::uint64_t step) {
  world_.note(name_, "asks " + question().ask.idempotency_key);
  front->ask(*conversation_, question().ask,
             [self = shared_from_this(), step, number = asked_ - 1](Result<policy::TurnId> turn) {
               if (turn) {
                 self->world_.note(self->name_, "was accepted as turn " + std::to_string(turn->number));
                 self->witness_.accepted(self->name_, number, self->script_.questions[number].ask, *turn);
                 if (self->step_ == step) self->on_accepted(*turn);
                 return;
               }
               self->world_.note(self->name_, "was refused: " + turn.error().message);
               if (!passes(turn.error().code)) {
                 self->world_.violated(self->name_ + " was refused: " + turn.error().message);
               }
             });
}

void Client::on_accepted(const policy::TurnId& turn) {
  ++step_;
  if (question().second_reader_after) {
    world_.schedule(*question().second_reader_after, [self = shared_from_this(), turn] { self->read(turn, false); });
  }
  if (question().cancel_after) {
    world_.schedule(*question().cancel_after, [self = shared_from_this(), turn] {
      const auto front = self->witness_.cluster().any_front();
      if (!front) return;
      self->witness_.may_cancel(turn);
      self->world_.note(self->name_, "cancels turn " + std::to_string(turn.number));
      front->cancel(turn, [](const Result<void>&) {});
    });
  }
  read(turn, true);
}

void Client::read(const policy::TurnId& turn, bool first) {
  const std::string reader = name_ + (first ? "" : "'");
  const auto follower = std::make_shared<Follower>(witness_, turn, reader, first ? question().credit : 3, script_.patience);
  followers_.push_back(follower);
  if (!first) return follower->start(nullptr);
  const std::uint64_t step = step_;
  follower->start([weak = weak_from_this(), step] {  // the client owns the follower
    const auto self = weak.lock();
    if (!self) return;
    if (self->step_ == step) self->next_question();
  });
  if (!question().vanish_after || follower->over()) return;
  world_.schedule(*question().vanish_after, [self = shared_from_this(), follower, step] {
    if (follower->over()) return;
    follower->drop();
    if (self->step_ == step) self->next_question();
  });
}

}  // namespace troupe::sim
