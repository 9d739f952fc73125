#include "schemas/cluster_codec.hpp"

namespace troupe::schemas {

Result<void> read_name(capnp::Text::Reader in, std::string& value) {
  if (in.size() > ClusterLimits::name_bytes_max) {
    return Error{ErrorCode::too_large, "a name of " + std::to_string(in.size()) + " bytes, at most " +
                                           std::to_string(ClusterLimits::name_bytes_max) + " are read"};
  }
  return read_text(in, value);
}

Result<void> check_count(std::size_t count, std::size_t count_max) {
  if (count <= count_max) return {};
  return Error{ErrorCode::too_large,
               "a list of " + std::to_string(count) + ", at most " + std::to_string(count_max) + " are read"};
}

static_assert(static_cast<int>(ErrorCode::io) == static_cast<int>(cluster::ErrorCode::IO));
cluster::ErrorCode to_wire(ErrorCode code) { return static_cast<cluster::ErrorCode>(code); }
Result<void> read(cluster::ErrorCode wire, ErrorCode& code) { return read_enum(wire, ErrorCode::io, code); }

void write(const policy::TurnId& turn, cluster::TurnId::Builder out) {
  write(turn.conversation, out.initConversation());
  out.setNumber(turn.number);
}
Result<void> read(cluster::TurnId::Reader in, policy::TurnId& turn) {
  TROUPE_TRY_DO(read_field("conversation", [&] { return read(in.getConversation(), turn.conversation); }));
  turn.number = in.getNumber();
  return {};
}

}  // namespace troupe::schemas
