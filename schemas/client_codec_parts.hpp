// What the files of the client codec share: texts, lists and enumerations, each way.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "schemas/client_codec.hpp"

namespace troupe::schemas::parts {

inline capnp::Text::Reader text(const std::string& value) { return {value.c_str(), value.size()}; }
inline std::string text(capnp::Text::Reader value) { return {value.begin(), value.size()}; }

inline Error too_many(std::string_view what, std::size_t seen, std::size_t limit) {
  return Error{ErrorCode::too_large,
               std::string(what) + " has " + std::to_string(seen) + " entries, expected at most " + std::to_string(limit)};
}

template <class Value, class List>
Result<std::vector<Value>> read_numbers(List list, std::size_t limit, std::string_view what) {
  if (list.size() > limit) return too_many(what, list.size(), limit);
  std::vector<Value> values;
  values.reserve(list.size());
  for (const Value value : list) values.push_back(value);
  return values;
}

template <class List, class Values>
void write_numbers(List to, const Values& values) {
  for (std::size_t i = 0; i < values.size(); ++i) to.set(static_cast<unsigned>(i), values[i]);
}

/// The enumerations of policy/ and of the schema have the same order. A number that ours does not have comes from a newer peer.
template <class Ours, class Theirs>
Result<Ours> read_enum(Theirs theirs, Ours last, std::string_view what) {
  const auto number = static_cast<std::uint16_t>(theirs);
  if (number > static_cast<std::uint16_t>(last)) {
    return Error{ErrorCode::unsupported, std::string(what) + " is number " + std::to_string(number) +
                                             ", which this version does not know; its last is " +
                                             std::string(policy::to_string(last))};
  }
  return static_cast<Ours>(number);
}
template <class Theirs, class Ours>
Theirs write_enum(Ours ours) {
  return static_cast<Theirs>(ours);
}

inline Result<policy::Tier> read_tier(client::Tier tier) { return read_enum(tier, policy::Tier::heavy, "tier"); }

void write(client::Sampling::Builder to, const policy::Sampling& sampling);
policy::Sampling read(client::Sampling::Reader from);
void write(client::ModelClass::Builder to, const policy::ModelClass& model);
policy::ModelClass read(client::ModelClass::Reader from);
void write(client::StageEntry::Builder to, const policy::StageEntry& entry);
Result<policy::StageEntry> read(client::StageEntry::Reader from);
void write(capnp::List<client::StageCounts>::Builder to, const policy::PerStage<policy::StageCounts>& counts);
policy::PerStage<policy::StageCounts> read(capnp::List<client::StageCounts>::Reader from);
/// Pins, what was recalled and what was left out.
void write_context(client::AttemptPlan::Builder to, const policy::AttemptPlan& plan);
Result<void> read_context(client::AttemptPlan::Reader from, policy::AttemptPlan& plan);
void write(client::TurnOutcome::Builder to, const policy::TurnOutcome& outcome);
Result<policy::TurnOutcome> read(client::TurnOutcome::Reader from);

}  // namespace troupe::schemas::parts
