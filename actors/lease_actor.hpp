// Grants leases, on the cluster's first node: decisions are cluster/lease_table.hpp's, durable in Column::leases before anybody
// is told.
#pragma once

#include <deque>
#include <map>
#include <variant>

#include "actors/context.hpp"
#include "cluster/lease_table.hpp"

namespace troupe::actors {

/// How long a node may act as a home after it was last in touch.
inline constexpr Duration lease_valid_for = std::chrono::seconds(10);

using LeaseActorImpl = LeaseActor::extend<takes<Continuation>>;

class LeaseState {
 public:
  explicit LeaseState(LeaseActorImpl::pointer self) : self_(self) {}
  static inline const char* name = "lease";
  LeaseActorImpl::behavior_type start(NodeContextPtr context);

 private:
  /// Requests about one conversation are decided one after the other: a grant is durable before the next is looked at.
  struct Request {
    std::variant<schemas::LeaseAcquire, schemas::LeaseMove, schemas::LeaseLocate> what;
    caf::typed_response_promise<schemas::LeaseGrant> promise;
  };

  template <class Message>
  caf::result<schemas::LeaseGrant> enqueue(const Message& message);
  void serve(const policy::ConversationId& conversation);
  void decide(const policy::ConversationId& conversation, Result<std::optional<std::string>> stored);
  void finish(const policy::ConversationId& conversation, Result<schemas::LeaseGrant> grant);

  LeaseActorImpl::pointer self_;
  NodeContextPtr context_;
  std::unique_ptr<cluster::LeaseTable> table_;
  std::map<policy::ConversationId, std::deque<Request>> requests_;
  std::size_t queued_ = 0;
};

LeaseActorImpl::behavior_type lease_actor(LeaseActorImpl::stateful_pointer<LeaseState> self, NodeContextPtr context);

}  // namespace troupe::actors
