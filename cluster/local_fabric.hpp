// A fabric within one process: for nodes that share one, for tests, and for the simulation, which decides when anything
// happens and what goes wrong.
#pragma once

#include <memory>
#include <optional>

#include "cluster/fabric.hpp"
#include "cluster/work_thread.hpp"

namespace troupe::cluster {

/// What is about to be done, for whoever injects faults.
struct LocalOperation {
  enum class Kind : std::uint8_t { get, put, message };
  Kind kind = Kind::message;
  NodeId from;  ///< who asked for it
  NodeId to;
  Channel channel = Channel::test;  ///< of a message
  std::uint64_t bytes = 0;
};

/// What goes wrong with one operation. A get or put moves its bytes at the very end, also if it was cancelled meanwhile:
/// whoever uses its memory before `done` sees it.
struct LocalFault {
  Duration delay{};                         ///< so much later; messages of one channel stay in order behind each other
  bool duplicate = false;                   ///< a message arrives twice
  bool lost = false;                        ///< a message does not arrive, and its sender hears of nothing
  std::optional<std::uint64_t> torn_after;  ///< a get or put moves only so many bytes, and ends with success, or `fails`
  std::optional<Error> fails;               ///< ends with this; a message does not arrive
  bool part = false;                        ///< the connection breaks: both find the other lost
};
/// Asked once for each operation when it begins, on a thread that must not wait. It must not use the hub or its fabrics.
using LocalFaults = std::function<LocalFault(const LocalOperation&)>;

struct LocalHubOptions {
  Schedule schedule;             ///< none: a thread of the hub's own
  const Clock* clock = nullptr;  ///< what deadlines are measured with; it outlives the hub. None: the machine's
  LocalFaults faults;            ///< none: nothing goes wrong
};

class LocalCore;

/// Joins fabrics. It outlives them, and what they are told is said by one thread at a time for all of them.
class LocalHub {
 public:
  explicit LocalHub(LocalHubOptions options = {});
  ~LocalHub();
  LocalHub(const LocalHub&) = delete;
  LocalHub& operator=(const LocalHub&) = delete;

  /// The fabric of a node. `invalid_argument` while another one has that name. When it ends, all that are connected to it find
  /// it lost; one that joins under its name later is another one, with another address.
  Result<std::unique_ptr<Fabric>> join(const NodeId& name, const FabricLimits& limits = {});
  /// Breaks the connection of two: each that knows the other finds it lost.
  void part(const NodeId& one, const NodeId& other);

 private:
  std::shared_ptr<LocalCore> core_;
  std::shared_ptr<WorkThread> thread_;  ///< shared with what a receiver holds on to after the hub's end
};

}  // namespace troupe::cluster
