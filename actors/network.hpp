// How a node reaches others: the only source of handles to actors elsewhere, and only the directory asks it.
#pragma once

#include <functional>
#include <string>

#include "actors/context.hpp"

namespace troupe::actors {

struct Connected {
  schemas::Welcome welcome;
  policy::NodeView node;  ///< who answered
  PeerHandles handles;
};

class Network {
 public:
  virtual ~Network() = default;
  /// Shakes hands with the node at "host:port" and finds its actors. `done` is called once, from any thread: `unavailable` if
  /// nobody answers there, otherwise the other side's reason.
  virtual void connect(const std::string& address, const schemas::Hello& hello,
                       std::function<void(Result<Connected>)> done) = 0;
};

}  // namespace troupe::actors
