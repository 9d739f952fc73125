// Stands on one node for an actor of another: a proxy, as CAF has them, whose wire is a SimNetwork.
#pragma once

#include <caf/all.hpp>

#include "tests/sim/network.hpp"

namespace troupe::sim {

class Link final : public caf::monitorable_actor {
 public:
  /// Ends some time after its target does, as a broken connection is noticed.
  static caf::strong_actor_ptr make(SimNetwork& network, const Wire& wire, const caf::strong_actor_ptr& target);
  /// Whoever monitors it is told. Null, or one that has ended, is left alone.
  static void close(const caf::strong_actor_ptr& link, caf::exit_reason reason);

  Link(caf::actor_config& config, SimNetwork& network, Wire wire, caf::strong_actor_ptr target);
  const char* name() const override { return "link"; }
  void enqueue(caf::mailbox_element_ptr element, caf::execution_unit* host) override;

 private:
  SimNetwork& network_;
  Wire wire_;
  caf::strong_actor_ptr target_;
  bool closed_ = false;
};

}  // namespace troupe::sim
