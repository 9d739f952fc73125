#include "cluster/lease_table.hpp"

#include <algorithm>
#include <utility>

namespace troupe::cluster {

namespace {

constexpr std::uint8_t format = 1;
constexpr std::size_t header_bytes = 1 + 8 + 8;
constexpr std::size_t node_bytes_max = 256;

void append_u64(std::string& bytes, std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>((value >> shift) & 0xffU);
}

std::uint64_t read_u64(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value = (value << 8) | static_cast<std::uint8_t>(bytes[i]);
  return value;
}

}  // namespace

std::string encode(const LeaseRecord& record) {
  std::string bytes(1, static_cast<char>(format));
  append_u64(bytes, record.epoch);
  append_u64(bytes, record.incarnation);
  return bytes + record.home.value;
}

Result<LeaseRecord> decode_lease(std::string_view bytes) {
  if (bytes.size() <= header_bytes || bytes.size() > header_bytes + node_bytes_max) {
    return Error{ErrorCode::corrupt, "a lease has " + std::to_string(bytes.size()) + " bytes, expected " +
                                         std::to_string(header_bytes + 1) + " to " +
                                         std::to_string(header_bytes + node_bytes_max)};
  }
  if (static_cast<std::uint8_t>(bytes[0]) != format) {
    return Error{ErrorCode::unsupported,
                 "a lease has format " + std::to_string(bytes[0]) + ", this troupe reads " + std::to_string(format)};
  }
  return LeaseRecord{policy::NodeId{std::string(bytes.substr(header_bytes))}, read_u64(bytes.substr(9)),
                     read_u64(bytes.substr(1))};
}

std::string lease_key(const policy::ConversationId& conversation) {
  return {reinterpret_cast<const char*>(conversation.bytes.data()), conversation.bytes.size()};
}

Result<Duration> LeaseTable::keep(const policy::NodeId& node, std::uint64_t incarnation, TimePoint now) {
  Session& session = sessions_[node];
  if (incarnation < session.incarnation) {
    return Error{ErrorCode::unavailable, "node " + node.value + " has been started again (life " +
                                             std::to_string(session.incarnation) + " after " + std::to_string(incarnation) +
                                             "); the older one holds no leases"};
  }
  session = {incarnation, now + valid_for_};
  return valid_for_;
}

bool LeaseTable::alive(const policy::NodeId& node, TimePoint now) const {
  const auto session = sessions_.find(node);
  if (session != sessions_.end()) return now < session->second.until;
  return now < started_ + valid_for_;  // it may hold what was granted before this table started
}

const LeaseTable::Session* LeaseTable::session_of(const policy::NodeId& node, std::uint64_t incarnation, TimePoint now) const {
  const auto session = sessions_.find(node);
  if (session == sessions_.end() || now >= session->second.until) return nullptr;
  return incarnation == 0 || session->second.incarnation == incarnation ? &session->second : nullptr;
}

Result<LeaseTable::Decision> LeaseTable::acquire(const std::optional<LeaseRecord>& stored, const policy::NodeId& node,
                                                 std::uint64_t incarnation, bool create, std::uint64_t after,
                                                 TimePoint now) const {
  if (session_of(node, incarnation, now) == nullptr) {
    return Error{ErrorCode::unavailable, "node " + node.value + " has no session with the lease service"};
  }
  if (!stored) {
    if (!create) return Error{ErrorCode::not_found, "there is no such conversation"};
    return Decision{{node, incarnation, 1}, true};
  }
  if (stored->home != node) {
    return Error{ErrorCode::unavailable, "the conversation is at home on node " + stored->home.value +
                                             (alive(stored->home, now) ? "" : ", which is away; it holds the only copy")};
  }
  if (stored->incarnation == incarnation && stored->epoch > after) return Decision{*stored, false};
  if (incarnation < stored->incarnation) {
    return Error{ErrorCode::unavailable, "a newer life of node " + node.value + " is home to the conversation"};
  }
  return Decision{{node, incarnation, std::max(stored->epoch, after) + 1}, true};
}

Result<LeaseTable::Decision> LeaseTable::move(const std::optional<LeaseRecord>& stored, const policy::NodeId& from,
                                              std::uint64_t incarnation, std::uint64_t epoch, const policy::NodeId& to,
                                              TimePoint now) const {
  const auto refused = [](std::string why) { return Error{ErrorCode::unavailable, std::move(why)}; };
  if (!stored) return Error{ErrorCode::not_found, "there is no such conversation"};
  if (from == to)
    return Error{ErrorCode::invalid_argument, "a conversation's lease cannot move from node " + to.value + " to itself"};
  if (stored->home == to && stored->epoch == epoch + 1) return Decision{*stored, false};  // it is said again
  if (stored->home != from || stored->incarnation != incarnation) {
    return refused("the conversation is at home on node " + stored->home.value + " (life " +
                   std::to_string(stored->incarnation) + "), and node " + from.value + " (life " + std::to_string(incarnation) +
                   ") cannot move it");
  }
  if (stored->epoch != epoch) {
    return refused("the move is of epoch " + std::to_string(epoch) + " of the conversation's lease, and this is " +
                   std::to_string(stored->epoch));
  }
  if (session_of(from, incarnation, now) == nullptr)
    return refused("node " + from.value + " has no session with the lease service");
  const Session* target = session_of(to, 0, now);
  if (target == nullptr)
    return refused("node " + to.value + " has no session with the lease service, and cannot become a home");
  return Decision{{to, target->incarnation, epoch + 1}, true};
}

}  // namespace troupe::cluster
