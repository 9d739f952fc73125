// A node's way to experts elsewhere: sends their work over the fabric and hands each answer to whoever waits for it, once. All
// engines of a node share one, since a fabric tells one listener of what arrives.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "cluster/fabric.hpp"
#include "cluster/work_thread.hpp"
#include "schemas/expert_frame.hpp"

namespace troupe::cluster {

class ExpertServer;

struct ExpertPortOptions {
  NodeId self;
  /// Numbers of works begin here. Other than in an earlier life of the node, so that an answer to that one is not taken for an
  /// answer to this one: its incarnation, shifted, will do.
  std::uint64_t first_number = 1;
  std::size_t works_max = 4096;  ///< without an answer yet; one more is `overloaded`
};

/// May be used from any thread. Answers are told on a thread of the fabric, of the schedule, or of whoever calls.
class ExpertPort {
 public:
  /// The numbers in the frame are valid during the call. Errors: what the server answered, what the fabric says of a peer,
  /// `deadline_exceeded`, `overloaded`, `cancelled` when the port ends.
  using Answer = std::function<void(Result<schemas::ExpertResultsFrame>)>;

  /// Listens on `Channel::expert_results`. Fabric and clock must outlive it; `schedule` is what deadlines are watched with.
  ExpertPort(Fabric& fabric, const Clock& clock, Schedule schedule, ExpertPortOptions options);
  /// Answers everything that has no answer yet.
  ~ExpertPort();
  ExpertPort(const ExpertPort&) = delete;
  ExpertPort& operator=(const ExpertPort&) = delete;

  /// Who answers works for this node itself. It must outlive the port.
  void serve_here(ExpertServer& server);
  std::uint64_t next_number();
  /// The message is a work of that number. `answer` is called once, unless the number is forgotten first.
  void send(const NodeId& node, std::uint64_t number, Payload message, TimePoint deadline, Answer answer);
  /// What comes for this number is dropped from now on; an answer that is being told meanwhile still is.
  void forget(std::uint64_t number);
  /// To be called when the fabric finds a peer gone: what it was asked is answered with the error.
  void peer_lost(const NodeId& node, const Error& why);
  /// Messages that answered nothing that was asked: late, repeated, foreign, or no answers at all.
  std::uint64_t dropped() const;

 private:
  class Core;
  std::shared_ptr<Core> core_;
  Fabric& fabric_;
};

}  // namespace troupe::cluster
