// What the files of the cluster codec share: how fields and lists are read within their limits. Whole messages are the business
// of cluster_frame.hpp.
//
// Every kind of value has a pair: `write(value, builder)` fills what `read(reader, value)` reads into a value that is new.
// Those of records are in records_codec.hpp. Every pointer of a message is followed inside `read_field`, so that whatever is
// wrong behind it is told with the field's name.
#pragma once

#include <capnp/list.h>
#include <kj/exception.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "schemas/cluster.capnp.h"
#include "schemas/cluster_messages.hpp"
#include "schemas/records_codec.hpp"

namespace troupe::schemas {

/// Bounds of what is read, beside those of records. What people and models wrote is bounded by its message alone.
struct ClusterLimits {
  static constexpr std::size_t nodes_max = 1024;
  static constexpr std::size_t replicas_max = 64;         ///< of one node
  static constexpr std::size_t transports_max = 8;        ///< of one node
  static constexpr std::size_t address_bytes_max = 4096;  ///< of one transport
  static constexpr std::size_t expert_models_max = 64;    ///< of one node
  static constexpr std::size_t expert_words_max = 65536;  ///< of one model
  static constexpr std::size_t events_max = 65536;        ///< of one message, as are those below
  static constexpr std::size_t emissions_max = 65536;
  static constexpr std::size_t turns_max = 1024;
  static constexpr std::size_t summaries_max = 65536;
  static constexpr std::size_t exchanges_max = 4096;
  static constexpr std::size_t passages_max = 256;
  static constexpr std::size_t copied_records_max = 4096;
  static constexpr std::size_t ids_max = std::size_t{1} << 20;  ///< of one list of tokens
  static constexpr std::size_t name_bytes_max = 1024;           ///< of a node's name, an address, a version, a code, a place
};

// Fields.

/// Calls `read`, which returns a Result; its error, or what Cap'n Proto throws in it, gets the field's name in front.
template <class Read>
Result<void> read_field(std::string_view name, const Read& read) {
  try {
    if (Result<void> done = read(); !done) return std::move(done).error().within(name);
    return {};
  } catch (const kj::Exception& exception) {
    return Error{ErrorCode::corrupt, std::string(name) + ": " + exception.getDescription().cStr()};
  }
}

inline capnp::Text::Reader text_of(const std::string& value) { return {value.c_str(), value.size()}; }
inline Result<void> read_text(capnp::Text::Reader in, std::string& value) {
  value.assign(in.begin(), in.size());
  return {};
}
/// At most `name_bytes_max`.
Result<void> read_name(capnp::Text::Reader in, std::string& value);

/// The numbers of an enumeration are those of the schema, ascending to `last`. A higher one is `corrupt`: the message means
/// something that this version cannot know.
template <class Plain, class Wire>
Result<void> read_enum(Wire wire, Plain last, Plain& value) {
  const auto number = static_cast<unsigned>(wire);
  const auto number_max = static_cast<unsigned>(last);
  if (number > number_max) {
    return Error{ErrorCode::corrupt,
                 "number " + std::to_string(number) + "; this version knows 0 to " + std::to_string(number_max)};
  }
  value = static_cast<Plain>(number);
  return {};
}
cluster::ErrorCode to_wire(ErrorCode code);
Result<void> read(cluster::ErrorCode wire, ErrorCode& code);

// Parts of messages, declared before the lists that look for them.

void write(const policy::TurnId& turn, cluster::TurnId::Builder out);
Result<void> read(cluster::TurnId::Reader in, policy::TurnId& turn);
void write(const policy::NodeView& node, cluster::NodeView::Builder out);
Result<void> read(cluster::NodeView::Reader in, policy::NodeView& node);
void write(const policy::ReplicaView& replica, cluster::ReplicaView::Builder out);
Result<void> read(cluster::ReplicaView::Reader in, policy::ReplicaView& replica);
void write(const policy::TransportView& transport, cluster::TransportView::Builder out);
Result<void> read(cluster::TransportView::Reader in, policy::TransportView& transport);
void write(const policy::LinkView& link, cluster::LinkView::Builder out);
Result<void> read(cluster::LinkView::Reader in, policy::LinkView& link);
void write(const policy::ExpertsView& experts, cluster::ExpertsView::Builder out);
Result<void> read(cluster::ExpertsView::Reader in, policy::ExpertsView& experts);
void write(const policy::PerStage<policy::StageCounts>& counts, capnp::List<cluster::StageCounts>::Builder out);
Result<void> read(capnp::List<cluster::StageCounts>::Reader in, policy::PerStage<policy::StageCounts>& counts);
void write(const policy::TurnEvent& event, cluster::TurnEvent::Builder out);
Result<void> read(cluster::TurnEvent::Reader in, policy::TurnEvent& event);
void write(const policy::Exchange& exchange, cluster::Exchange::Builder out);
Result<void> read(cluster::Exchange::Reader in, policy::Exchange& exchange);
void write(const policy::PassageText& passage, cluster::PassageText::Builder out);
Result<void> read(cluster::PassageText::Reader in, policy::PassageText& passage);

// Lists. Their counts are checked before anything is allocated.

template <class Value>
unsigned count_of(const std::vector<Value>& values) {
  return static_cast<unsigned>(values.size());
}
Result<void> check_count(std::size_t count, std::size_t count_max);

template <class Value, class List>
void write_list(const std::vector<Value>& values, List out) {
  for (unsigned i = 0; i < out.size(); ++i) write(values[i], out[i]);
}
/// An element's error gets its place in front.
template <class List, class Value>
Result<void> read_list(List in, std::size_t count_max, std::vector<Value>& values) {
  TROUPE_TRY_DO(check_count(in.size(), count_max));
  values.reserve(in.size());
  for (unsigned i = 0; i < in.size(); ++i) {
    TROUPE_TRY_DO(read_field(std::to_string(i), [&] { return read(in[i], values.emplace_back()); }));
  }
  return {};
}

template <class Value, class List>
void write_numbers(const std::vector<Value>& values, List out) {
  for (unsigned i = 0; i < out.size(); ++i) out.set(i, values[i]);
}
template <class List, class Value>
Result<void> read_numbers(List in, std::size_t count_max, std::vector<Value>& values) {
  TROUPE_TRY_DO(check_count(in.size(), count_max));
  values.reserve(in.size());
  for (const Value value : in) values.push_back(value);
  return {};
}

}  // namespace troupe::schemas
