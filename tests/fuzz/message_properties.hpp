// What must hold for any bytes at the doors between nodes, of the disk, and of the operator: an error that says something, or a
// value whose encoding is read back as the same.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.hpp"
#include "policy/routing_check.hpp"
#include "policy/routing_rule.hpp"
#include "schemas/cluster_messages.hpp"
#include "schemas/endpoint_file.hpp"
#include "schemas/expert_frame.hpp"
#include "schemas/placement_file.hpp"
#include "schemas/records.hpp"
#include "schemas/routing_file.hpp"
#include "storage/markdown.hpp"

namespace troupe::tests {

inline void check_says_something(const Error& error) {
  TROUPE_CHECK(!error.message.empty() && error.message.size() < 4096, "an error can be read");
}

template <class Message>
void check_message(std::string_view bytes) {
  Message message;
  const auto decoded = schemas::decode(bytes, message);
  if (!decoded) return check_says_something(decoded.error());
  const std::string again = schemas::encode(message);
  Message second;
  TROUPE_CHECK(schemas::decode(again, second).has_value(), "what was read can be written and read");
  TROUPE_CHECK(schemas::encode(second) == again, "and is the same then");
}

/// The first byte chooses which message it is taken for.
inline void check_cluster_message(std::string_view bytes) {
  if (bytes.empty()) return;
  const auto kind = static_cast<unsigned char>(bytes.front()) % 14U;
  bytes.remove_prefix(1);
  switch (kind) {
    case 0: return check_message<schemas::Hello>(bytes);
    case 1: return check_message<schemas::Welcome>(bytes);
    case 2: return check_message<schemas::Announce>(bytes);
    case 3: return check_message<schemas::LeaseAcquire>(bytes);
    case 4: return check_message<schemas::LeaseGrant>(bytes);
    case 5: return check_message<schemas::HomeMore>(bytes);
    case 6: return check_message<schemas::HomeHistoryPage>(bytes);
    case 7: return check_message<policy::Turn>(bytes);
    case 8: return check_message<schemas::ReaderEvents>(bytes);
    case 9: return check_message<schemas::EnginePrepare>(bytes);
    case 10: return check_message<schemas::EngineGenerate>(bytes);
    case 12: return check_message<schemas::HomeTake>(bytes);
    case 13: return check_message<schemas::ExpertLoad>(bytes);
    default: return check_message<schemas::EngineFinished>(bytes);
  }
}

/// A record that is read can be written, and is the same then. NaNs equal nothing, so that bytes are compared.
template <class Decode, class Encode>
void check_record(std::string_view bytes, const Decode& decode, const Encode& encode) {
  const auto decoded = decode(bytes);
  if (!decoded) return check_says_something(decoded.error());
  const std::string again = encode(*decoded);
  const auto second = decode(again);
  TROUPE_CHECK(second.has_value(), "a record that was read can be written and read");
  TROUPE_CHECK(encode(*second) == again, "and is the same then");
}

inline void check_pins(std::string_view bytes) {
  const auto pins = schemas::decode_pins(bytes);
  if (!pins) return;
  TROUPE_CHECK(pins->texts.size() <= policy::Pins::count_max, "as many as a prompt may have");
  for (const std::string& text : pins->texts) {
    TROUPE_CHECK(!text.empty() && text.size() <= policy::Pins::text_bytes_max, "each as long as one may be");
  }
  for (const auto kind : {policy::PinChange::Kind::add, policy::PinChange::Kind::remove}) {
    const auto next = policy::changed(*pins, {kind, "case K6-112"});
    if (!next) check_says_something(next.error());
  }
  TROUPE_CHECK(pins->texts.empty() == policy::with_pins(*pins, "").empty(), "what is pinned is in every prompt");
}

inline void check_records(std::string_view bytes) {
  constexpr std::uint64_t epoch = 7;
  const auto encode = [](const auto& value) { return schemas::encode(value, epoch); };
  check_record(bytes, schemas::decode_conversation, encode);
  check_record(bytes, schemas::decode_accepted, [](const policy::Turn& turn) { return schemas::encode_accepted(turn, epoch); });
  check_record(bytes, schemas::decode_plan, encode);
  check_record(bytes, schemas::decode_result, encode);
  check_record(bytes, schemas::decode_pieces,
               [](const std::vector<policy::Emission>& pieces) { return schemas::encode_pieces(pieces, epoch); });
  check_record(bytes, schemas::decode_ended, encode);
  check_record(bytes, schemas::decode_summary, encode);
  check_record(bytes, schemas::decode_pins, encode);
  check_record(bytes, schemas::decode_found,
               [](const std::vector<policy::FoundPassage>& passages) { return schemas::encode_found(passages, epoch); });
  check_record(bytes, schemas::decode_turn, encode);
  check_record(bytes, schemas::decode_turns,
               [](const std::vector<policy::Turn>& turns) { return schemas::encode(turns, epoch); });
  check_record(bytes, schemas::decode_shadow, [](const policy::ShadowRecord& shadow) { return schemas::encode(shadow); });
  check_pins(bytes);
  if (const auto writer = schemas::decode_epoch(bytes); !writer) check_says_something(writer.error());
}

/// A policy that is refused is refused for a reason that stands among its findings, and `troupe policy check` can say all of
/// it.
inline void check_findings(const policy::RoutingPolicy& policy) {
  for (const policy::PolicyFinding& finding : policy::check(policy)) {
    TROUPE_CHECK(!finding.message.empty(), "a finding says what it is");
  }
  std::size_t said = 0;
  for (const policy::RouteRule& rule : policy.rules) said += policy::sentence_of(rule).size();
  for (const policy::ShadowExperiment& shadow : policy.shadow) said += policy::sentence_of(shadow).size();
  for (const policy::Stage stage : policy::stages) {
    said += policy::sentence_of(stage, policy.contracts[policy::place_of(stage)]).size();
  }
  TROUPE_CHECK(said > 0, "a policy says something");
}

inline void check_routing(std::string_view text) {
  if (const auto any = schemas::read_routing(text, "input")) check_findings(*any);
  const auto policy = schemas::parse_routing(text, "input");
  if (!policy) return check_says_something(policy.error());
  TROUPE_CHECK(policy::validate(*policy).has_value(), "a policy that was read is valid");
  const auto again = schemas::parse_routing(schemas::to_toml(*policy), "again");
  TROUPE_CHECK(again.has_value() && *again == *policy, "it can be written and read");
}

inline void check_endpoints(std::string_view text) {
  const auto endpoints = schemas::parse_endpoints(text, "input");
  if (!endpoints) return check_says_something(endpoints.error());
  TROUPE_CHECK(endpoints->size() <= schemas::endpoints_max, "no more than a node may have");
  for (const policy::Endpoint& endpoint : *endpoints) {
    TROUPE_CHECK(policy::validate(endpoint).has_value(), "an endpoint that was read is valid");
  }
}

inline void check_placement(std::string_view text) {
  const auto entries = schemas::parse_placement(text, "input");
  if (!entries) return check_says_something(entries.error());
  const auto again = schemas::parse_placement(schemas::to_toml(*entries), "again");
  TROUPE_CHECK(again.has_value() && *again == *entries, "it can be written and read");
}

inline void check_expert_frame(std::string_view bytes) {
  std::vector<std::uint64_t> words((bytes.size() + 7) / 8);
  if (!bytes.empty()) std::memcpy(words.data(), bytes.data(), bytes.size());
  const auto aligned = std::as_bytes(std::span(words)).first(bytes.size());
  double sum = 0;  // a sanitizer sees reads outside
  if (const auto work = schemas::decode_expert_work(aligned); !work) {
    check_says_something(work.error());
    schemas::number_of_expert_work(aligned);
  } else {
    const std::size_t rows = work->rows.size() / static_cast<std::size_t>(work->head.hidden);
    for (const auto& slot : work->slots) {
      TROUPE_CHECK(slot.row < rows, "a slot's row is there");
      sum += static_cast<double>(work->rows[slot.row * static_cast<std::size_t>(work->head.hidden)]);
    }
    TROUPE_CHECK(schemas::encode_expert_work(work->head, rows, work->slots).has_value(), "what was read can be written");
  }
  if (const auto results = schemas::decode_expert_results(aligned); !results) {
    check_says_something(results.error());
  } else {
    for (const float value : results->values) sum += static_cast<double>(value);
    TROUPE_CHECK(!results->error || results->values.empty(), "an answer is numbers or an error");
  }
  TROUPE_CHECK(sum == sum || sum != sum, "numbers may be any");
}

inline void check_markdown(std::string_view text) {
  const auto sections = storage::parse_markdown(text, "input");
  if (!sections) return check_says_something(sections.error());
  for (const storage::Section& section : *sections) {
    TROUPE_CHECK(section.key.starts_with("input#"), "a section's key begins with its document");
    TROUPE_CHECK(section.text.find('\n') == std::string::npos, "a section's text is one line");
  }
}

}  // namespace troupe::tests
