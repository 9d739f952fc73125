// Clients of a simulated cluster: they ask, read, lose their connection and come back elsewhere, and at times go away.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/witness.hpp"

namespace troupe::sim {

/// A question, and what its client does beside reading the answer.
struct Question {
  policy::Ask ask;
  Duration pause{};                     ///< before it is asked
  std::vector<policy::PinChange> pins;  ///< made before it is asked, one after the other
  std::uint32_t credit = 4;             ///< events asked for at a time
  bool twice = false;                   ///< asked over two nodes at once
  std::optional<Duration> cancel_after;
  std::optional<Duration> vanish_after;
  std::optional<Duration> second_reader_after;
};
struct Conversation {
  Duration start{};
  Duration patience = std::chrono::seconds(3);  ///< with a node that says nothing
  std::vector<Question> questions;
};

/// Reads a turn from its beginning to its end, over as many nodes as that takes.
class Follower : public std::enable_shared_from_this<Follower> {
 public:
  Follower(Witness& witness, policy::TurnId turn, std::string name, std::uint32_t credit, Duration patience);
  void start(std::function<void()> on_end);
  /// Goes away in the middle.
  void drop();
  bool over() const { return ended_ || dropped_; }
  bool ended() const { return ended_; }
  const std::string& name() const { return name_; }
  const policy::TurnId& turn() const { return turn_; }

 private:
  void follow();
  void follow_later();
  void watch();
  void on_events(std::uint64_t reading, Result<std::vector<policy::TurnEvent>> events);

  Witness& witness_;
  World& world_;
  policy::TurnId turn_;
  std::string name_;
  std::uint32_t credit_;
  Duration patience_;
  std::function<void()> on_end_;
  std::unique_ptr<actors::Reader> reader_;
  std::uint64_t reading_ = 0;  ///< which of its readers counts
  std::uint64_t next_ = 0;
  std::uint32_t unread_ = 0;  ///< credit that is left
  TimePoint heard_{};
  bool ended_ = false;
  bool dropped_ = false;
};

class Client : public std::enable_shared_from_this<Client> {
 public:
  Client(Witness& witness, Conversation script, std::string name);
  void start();
  bool done() const { return done_; }
  const std::string& name() const { return name_; }
  const std::vector<std::shared_ptr<Follower>>& followers() const { return followers_; }
  const std::optional<policy::ConversationId>& conversation() const { return conversation_; }

 private:
  void open();
  void next_question();
  /// What the question's client pins before it; then it asks.
  void pin();
  void on_pinned(const policy::PinChange& change, const Result<policy::Pins>& pins, std::uint64_t step);
  void ask();
  void ask_over(const std::shared_ptr<actors::Front>& front, std::uint64_t step);
  void on_accepted(const policy::TurnId& turn);
  void read(const policy::TurnId& turn, bool first);
  /// Does it again if nothing has come of this step after a while.
  void again_unless_moved(std::uint64_t step, Duration after, void (Client::*what)());
  const Question& question() const { return script_.questions[asked_ - 1]; }

  Witness& witness_;
  World& world_;
  Conversation script_;
  std::string name_;
  std::optional<policy::ConversationId> conversation_;
  std::size_t asked_ = 0;
  std::size_t pinned_ = 0;          ///< of the question's changes
  std::uint32_t pins_version_ = 0;  ///< that it was told of last
  std::uint64_t step_ = 0;
  bool done_ = false;
  std::vector<std::shared_ptr<Follower>> followers_;
};

}  // namespace troupe::sim
