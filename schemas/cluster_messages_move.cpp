// How a conversation's records go from its home to the node that becomes home.
#include "schemas/cluster_codec.hpp"
#include "schemas/cluster_frame.hpp"
#include "schemas/cluster_messages.hpp"

namespace troupe::schemas {

namespace {

capnp::Data::Reader data_of(const std::string& value) {
  return {reinterpret_cast<const kj::byte*>(value.data()), value.size()};
}
Result<void> read_data(capnp::Data::Reader in, std::string& value) {
  value.assign(reinterpret_cast<const char*>(in.begin()), in.size());
  return {};
}
Result<void> read_place(capnp::Data::Reader in, std::string& place) {
  if (in.size() > ClusterLimits::name_bytes_max) {
    return Error{ErrorCode::too_large, "a place of " + std::to_string(in.size()) + " bytes, at most " +
                                           std::to_string(ClusterLimits::name_bytes_max) + " are read"};
  }
  return read_data(in, place);
}

}  // namespace

void write(const std::pair<std::string, std::string>& record, cluster::CopiedRecord::Builder out) {
  out.setPlace(data_of(record.first));
  out.setValue(data_of(record.second));
}
Result<void> read(cluster::CopiedRecord::Reader in, std::pair<std::string, std::string>& record) {
  TROUPE_TRY_DO(read_field("place", [&] { return read_place(in.getPlace(), record.first); }));
  return read_field("value", [&] { return read_data(in.getValue(), record.second); });
}

void write(const HomeTake& take, cluster::HomeTake::Builder out) {
  write(take.conversation, out.initConversation());
  out.setFrom(text_of(take.from.value));
  out.setEpoch(take.epoch);
  out.setBegin(data_of(take.begin));
  out.setEnd(data_of(take.end));
  auto records = out.initRecords(count_of(take.records));
  for (unsigned i = 0; i < records.size(); ++i) write(take.records[i], records[i]);
}
Result<void> read(cluster::HomeTake::Reader in, HomeTake& take) {
  TROUPE_TRY_DO(read_field("conversation", [&] { return read(in.getConversation(), take.conversation); }));
  TROUPE_TRY_DO(read_field("from", [&] { return read_name(in.getFrom(), take.from.value); }));
  take.epoch = in.getEpoch();
  TROUPE_TRY_DO(read_field("begin", [&] { return read_place(in.getBegin(), take.begin); }));
  TROUPE_TRY_DO(read_field("end", [&] { return read_place(in.getEnd(), take.end); }));
  return read_field("records", [&]() -> Result<void> {
    const auto records = in.getRecords();
    TROUPE_TRY_DO(check_count(records.size(), ClusterLimits::copied_records_max));
    take.records.reserve(records.size());
    for (unsigned i = 0; i < records.size(); ++i) {
      TROUPE_TRY_DO(read_field(std::to_string(i), [&] { return read(records[i], take.records.emplace_back()); }));
    }
    return {};
  });
}

void write(const HomeTaken& taken, cluster::HomeTaken::Builder out) { write(taken.conversation, out.initConversation()); }
Result<void> read(cluster::HomeTaken::Reader in, HomeTaken& taken) {
  return read_field("conversation", [&] { return read(in.getConversation(), taken.conversation); });
}

void write(const HomeHandOver& over, cluster::HomeHandOver::Builder out) {
  write(over.conversation, out.initConversation());
  out.setEpoch(over.epoch);
  out.setTurn(over.turn);
  out.setNode(text_of(over.node.value));
  out.setReplica(over.replica);
}
Result<void> read(cluster::HomeHandOver::Reader in, HomeHandOver& over) {
  TROUPE_TRY_DO(read_field("conversation", [&] { return read(in.getConversation(), over.conversation); }));
  over.epoch = in.getEpoch();
  over.turn = in.getTurn();
  TROUPE_TRY_DO(read_field("node", [&] { return read_name(in.getNode(), over.node.value); }));
  over.replica = in.getReplica();
  return {};
}

TROUPE_CLUSTER_CODEC(HomeTake, cluster::HomeTake);
TROUPE_CLUSTER_CODEC(HomeTaken, cluster::HomeTaken);
TROUPE_CLUSTER_CODEC(HomeHandOver, cluster::HomeHandOver);

}  // namespace troupe::schemas
