// Who is home to a conversation: the lease service that is embedded in a cluster's first node. The decisions alone, as plain
// code; records come in and go out as values, and an actor (actors/lease_actor.hpp) keeps them durable.
//
// A node holds a session, which it keeps alive; its homes hang on it, as keys hang on a lease in etcd. An epoch grows whenever
// a conversation's home changes or starts anew, so that whatever an earlier home still sends or writes can be told and refused.
// A conversation's lease goes only to the node that has its newest records: they are one node's until its home, which has given
// all of them to another, moves the lease there.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "policy/ask.hpp"
#include "policy/cluster_view.hpp"

namespace troupe::cluster {

/// What is durable of a conversation's lease.
struct LeaseRecord {
  policy::NodeId home;  ///< who has its newest records
  std::uint64_t incarnation = 0;
  std::uint64_t epoch = 0;
  friend bool operator==(const LeaseRecord&, const LeaseRecord&) = default;
};
std::string encode(const LeaseRecord& record);
Result<LeaseRecord> decode_lease(std::string_view bytes);
/// The key of a conversation's record in Column::leases.
std::string lease_key(const policy::ConversationId& conversation);

class LeaseTable {
 public:
  /// A session lasts so long after it was kept alive last. What was granted before `now` by an earlier life of this table may
  /// still be held until `now` + `valid_for`.
  LeaseTable(Duration valid_for, TimePoint now) : valid_for_(valid_for), started_(now) {}

  /// Begins or extends the session of a node's life. `unavailable` for a life that a newer one has replaced.
  Result<Duration> keep(const policy::NodeId& node, std::uint64_t incarnation, TimePoint now);

  struct Decision {
    LeaseRecord record;
    bool changed = false;  ///< the record must be durable before anybody is told
  };
  /// `stored` is the conversation's record, if there is one. `not_found` if it does not exist and is not to be created;
  /// `unavailable`, naming its home, if that is another node, or if the asking one has no session. The epoch is greater than
  /// `after`: a home whose move has come to nothing begins anew, and what was said under its former epoch is void.
  Result<Decision> acquire(const std::optional<LeaseRecord>& stored, const policy::NodeId& node, std::uint64_t incarnation,
                           bool create, std::uint64_t after, TimePoint now) const;
  /// The lease goes from its home to another node, under the next epoch. Only the life that is home may do that, with a session
  /// and under the present epoch, and only to a node with a session; otherwise `unavailable`. Done once, it may be repeated.
  Result<Decision> move(const std::optional<LeaseRecord>& stored, const policy::NodeId& from, std::uint64_t incarnation,
                        std::uint64_t epoch, const policy::NodeId& to, TimePoint now) const;
  /// Whether a node's session is alive, as far as this table knows.
  bool alive(const policy::NodeId& node, TimePoint now) const;

 private:
  struct Session {
    std::uint64_t incarnation = 0;
    TimePoint until{};
  };
  /// Null if the node has none, or only another life of it has (`incarnation` 0: any will do).
  const Session* session_of(const policy::NodeId& node, std::uint64_t incarnation, TimePoint now) const;

  Duration valid_for_;
  TimePoint started_;
  std::map<policy::NodeId, Session> sessions_;  ///< one for each node that ever was: names, not conversations
};

}  // namespace troupe::cluster
