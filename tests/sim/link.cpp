#include "tests/sim/link.hpp"

#include <utility>

namespace troupe::sim {

namespace {

/// Takes the answer to one request back over the wire.
class WayBack final : public caf::monitorable_actor {
 public:
  WayBack(caf::actor_config& config, SimNetwork& network, Wire wire, caf::strong_actor_ptr asking)
      : caf::monitorable_actor(config), network_(network), wire_(std::move(wire)), asking_(std::move(asking)) {}
  const char* name() const override { return "way back"; }
  void enqueue(caf::mailbox_element_ptr element, caf::execution_unit* /*host*/) override {
    const caf::message_id id = element->mid;
    if (!id.is_response()) return;
    network_.carry(wire_, element->move_content_to_message(),
                   [asking = asking_, id](caf::message answer) { asking->enqueue(nullptr, id, std::move(answer), nullptr); });
  }

 private:
  SimNetwork& network_;
  Wire wire_;
  caf::strong_actor_ptr asking_;
};

template <class Actor, class... Arguments>
caf::strong_actor_ptr spawn_proxy(caf::actor_system& system, Arguments&&... arguments) {
  caf::actor_config config;
  return caf::make_actor<Actor, caf::strong_actor_ptr>(system.next_actor_id(), system.node(), &system, config,
                                                       std::forward<Arguments>(arguments)...);
}

}  // namespace

Link::Link(caf::actor_config& config, SimNetwork& network, Wire wire, caf::strong_actor_ptr target)
    : caf::monitorable_actor(config), network_(network), wire_(std::move(wire)), target_(std::move(target)) {}

caf::strong_actor_ptr Link::make(SimNetwork& network, const Wire& wire, const caf::strong_actor_ptr& target) {
  auto link = spawn_proxy<Link>(network.world().system(), network, wire, target);
  target->get()->attach_functor(
      [&network, to = std::weak_ptr(wire.to), weak = caf::actor_cast<caf::weak_actor_ptr>(link)](const caf::error&) {
        using std::chrono::milliseconds;
        World& world = network.world();
        const LifePtr life = to.lock();
        // A node that lives says that an actor has ended; one that is gone is missed.
        const bool told = life != nullptr && life->alive;
        const Duration delay =
            told ? world.between(milliseconds(1), milliseconds(10)) : world.between(milliseconds(100), milliseconds(1500));
        world.schedule(delay, [weak] { close(weak.lock(), caf::exit_reason::remote_link_unreachable); });
      });
  return link;
}

void Link::close(const caf::strong_actor_ptr& link, caf::exit_reason reason) {
  if (!link) return;
  auto* self = dynamic_cast<Link*>(link->get());
  if (self == nullptr || std::exchange(self->closed_, true)) return;
  self->cleanup(caf::make_error(reason), nullptr);
}

void Link::enqueue(caf::mailbox_element_ptr element, caf::execution_unit* /*host*/) {
  if (closed_) return;
  const caf::message_id id = element->mid;
  caf::strong_actor_ptr back;
  if (id.is_request()) {
    back = spawn_proxy<WayBack>(network_.world().system(), network_, Wire{wire_.to, wire_.from}, element->sender);
  }
  network_.carry(wire_, element->move_content_to_message(), [target = target_, id, back](caf::message message) {
    target->enqueue(back, id, std::move(message), nullptr);
  });
}

}  // namespace troupe::sim
