// What a conversation remembers, and what a plan says of it: summaries, pins, what was found, recalled and left out.
#include <utility>

#include "base/check.hpp"
#include "schemas/records_codec.hpp"

namespace troupe::schemas {

namespace {

using Limits = RecordLimits;

kj::StringPtr text(const std::string& value) { return {value.c_str(), value.size()}; }
std::string text(capnp::Text::Reader value) { return {value.begin(), value.size()}; }

Result<void> check_length(std::size_t size, std::size_t size_max, const char* field) {
  if (size <= size_max) return {};
  return Error{ErrorCode::too_large, std::string(field) + ": a list of " + std::to_string(size) + ", at most " +
                                         std::to_string(size_max) + " are read; the record is damaged"};
}
unsigned bounded(std::size_t size, std::size_t size_max) {
  TROUPE_CHECK(size <= size_max, "lists are within RecordLimits before they are kept");
  return static_cast<unsigned>(size);
}

template <class List, class Value>
void write_all(const std::vector<Value>& values, List out) {
  for (unsigned i = 0; i < out.size(); ++i) write(values[i], out[i]);
}
template <class List, class Value>
Result<void> read_all(List in, std::size_t size_max, const char* field, std::vector<Value>& values) {
  TROUPE_TRY_DO(check_length(in.size(), size_max, field));
  values.resize(in.size());
  for (unsigned i = 0; i < in.size(); ++i) TROUPE_TRY_DO(read(in[i], values[i]));
  return {};
}

}  // namespace

void write(const policy::MemoryEntry& entry, records::MemoryEntry::Builder out) {
  out.setLine(text(entry.line));
  out.setText(text(entry.text));
  out.setTurn(entry.turn);
}
Result<void> read(records::MemoryEntry::Reader in, policy::MemoryEntry& entry) {
  entry = {.line = text(in.getLine()), .text = text(in.getText()), .turn = in.getTurn()};
  return {};
}

void write(const policy::LeftOut& left_out, records::LeftOut::Builder out) {
  out.setWhat(text(left_out.what));
  out.setWhy(text(left_out.why));
}
Result<void> read(records::LeftOut::Reader in, policy::LeftOut& left_out) {
  left_out = {.what = text(in.getWhat()), .why = text(in.getWhy())};
  return {};
}

void write(const policy::Pins& pins, records::Pins::Builder out) {
  out.setVersion(pins.version);
  auto texts = out.initTexts(bounded(pins.texts.size(), policy::Pins::count_max));
  for (unsigned i = 0; i < texts.size(); ++i) texts.set(i, text(pins.texts[i]));
}
Result<void> read(records::Pins::Reader in, policy::Pins& pins) {
  pins.version = in.getVersion();
  TROUPE_TRY_DO(check_length(in.getTexts().size(), policy::Pins::count_max, "pins.texts"));
  pins.texts.clear();
  for (const auto each : in.getTexts()) {
    if (each.size() == 0) return Error{ErrorCode::corrupt, "pins.texts has one of no bytes, expected a line in each"};
    TROUPE_TRY_DO(check_length(each.size(), policy::Pins::text_bytes_max, "pins.texts[]"));
    pins.texts.push_back(text(each));
  }
  return {};
}

void write(const std::vector<policy::FoundPassage>& passages, records::Found::Builder out) {
  auto list = out.initPassages(bounded(passages.size(), Limits::passages_max));
  for (unsigned i = 0; i < list.size(); ++i) {
    write(passages[i].passage, list[i].initPassage());
    list[i].setText(text(passages[i].text));
  }
}
Result<void> read(records::Found::Reader in, std::vector<policy::FoundPassage>& passages) {
  TROUPE_TRY_DO(check_length(in.getPassages().size(), Limits::passages_max, "found.passages"));
  passages.clear();
  for (const auto each : in.getPassages()) {
    policy::FoundPassage& found = passages.emplace_back();
    TROUPE_TRY_DO(read(each.getPassage(), found.passage));
    found.text = text(each.getText());
  }
  return {};
}

void write_context(const policy::AttemptPlan& plan, records::AttemptPlan::Builder out) {
  out.setPinsVersion(plan.pins_version);
  write_all(plan.recalled, out.initRecalled(bounded(plan.recalled.size(), Limits::recalled_max)));
  write_all(plan.left_out, out.initLeftOut(bounded(plan.left_out.size(), Limits::left_out_max)));
}
Result<void> read_context(records::AttemptPlan::Reader in, policy::AttemptPlan& plan) {
  plan.pins_version = in.getPinsVersion();
  TROUPE_TRY_DO(read_all(in.getRecalled(), Limits::recalled_max, "plan.recalled", plan.recalled));
  return read_all(in.getLeftOut(), Limits::left_out_max, "plan.left_out", plan.left_out);
}

void write(const policy::Summary& summary, records::Summary::Builder out) {
  out.setVersion(summary.version);
  out.setFirstTurn(summary.first_turn);
  out.setLastTurn(summary.last_turn);
  out.setText(text(summary.text));
  out.setTier(to_wire(summary.tier));
  write(summary.model, out.initModel());
  auto turns = out.initTurns(bounded(summary.turns.size(), Limits::memory_entries_max));
  for (unsigned i = 0; i < turns.size(); ++i) turns.set(i, summary.turns[i]);
  write_all(summary.retired, out.initRetired(bounded(summary.retired.size(), Limits::memory_entries_max)));
  write_all(summary.withdrawn, out.initWithdrawn(bounded(summary.withdrawn.size(), Limits::memory_entries_max)));
}
Result<void> read(records::Summary::Reader in, policy::Summary& summary) {
  summary.version = in.getVersion();
  if (summary.version == 0) {
    return Error{ErrorCode::corrupt, "summary.version: 0, summaries are numbered from 1; the record is damaged"};
  }
  summary.first_turn = in.getFirstTurn();
  summary.last_turn = in.getLastTurn();
  summary.text = text(in.getText());
  if (auto tier = read(in.getTier(), summary.tier); !tier) return std::move(tier).error().within("summary");
  TROUPE_TRY_DO(read(in.getModel(), summary.model));
  TROUPE_TRY_DO(check_length(in.getTurns().size(), Limits::memory_entries_max, "summary.turns"));
  summary.turns.clear();
  for (const auto turn : in.getTurns()) summary.turns.push_back(turn);
  TROUPE_TRY_DO(read_all(in.getRetired(), Limits::memory_entries_max, "summary.retired", summary.retired));
  return read_all(in.getWithdrawn(), Limits::memory_entries_max, "summary.withdrawn", summary.withdrawn);
}

}  // namespace troupe::schemas
