// What a conversation remembers: summaries, pins, and what a plan says of them.
#include <utility>

#include "schemas/client_codec.hpp"
#include "schemas/client_codec_parts.hpp"

namespace troupe::schemas {

using parts::read_numbers;
using parts::read_tier;
using parts::text;
using parts::write_enum;

namespace {

using Entries = std::vector<policy::MemoryEntry>;

unsigned size_of(const auto& values) { return static_cast<unsigned>(values.size()); }

void write_entries(capnp::List<client::MemoryEntry>::Builder to, const Entries& entries) {
  for (unsigned i = 0; i < to.size(); ++i) {
    to[i].setLine(text(entries[i].line));
    to[i].setText(text(entries[i].text));
    to[i].setTurn(entries[i].turn);
  }
}
Result<Entries> read_entries(capnp::List<client::MemoryEntry>::Reader from) {
  if (from.size() > ClientLimits::memory_entries)
    return parts::too_many("a conversation's memory", from.size(), ClientLimits::memory_entries);
  Entries entries;
  for (const auto entry : from) entries.push_back({text(entry.getLine()), text(entry.getText()), entry.getTurn()});
  return entries;
}

}  // namespace

void parts::write_context(client::AttemptPlan::Builder to, const policy::AttemptPlan& plan) {
  to.setPinsVersion(plan.pins_version);
  write_entries(to.initRecalled(size_of(plan.recalled)), plan.recalled);
  auto left_out = to.initLeftOut(size_of(plan.left_out));
  for (unsigned i = 0; i < left_out.size(); ++i) {
    left_out[i].setWhat(text(plan.left_out[i].what));
    left_out[i].setWhy(text(plan.left_out[i].why));
  }
}
Result<void> parts::read_context(client::AttemptPlan::Reader from, policy::AttemptPlan& plan) {
  plan.pins_version = from.getPinsVersion();
  TROUPE_TRY(plan.recalled, read_entries(from.getRecalled()));
  if (from.getLeftOut().size() > ClientLimits::memory_entries)
    return parts::too_many("what a plan leaves out", from.getLeftOut().size(), ClientLimits::memory_entries);
  for (const auto each : from.getLeftOut()) plan.left_out.push_back({text(each.getWhat()), text(each.getWhy())});
  return {};
}

void write(client::Summary::Builder to, const policy::Summary& summary) {
  to.setVersion(summary.version);
  to.setFirstTurn(summary.first_turn);
  to.setLastTurn(summary.last_turn);
  to.setText(text(summary.text));
  to.setTier(write_enum<client::Tier>(summary.tier));
  parts::write(to.initModel(), summary.model);
  parts::write_numbers(to.initTurns(size_of(summary.turns)), summary.turns);
  write_entries(to.initRetired(size_of(summary.retired)), summary.retired);
  write_entries(to.initWithdrawn(size_of(summary.withdrawn)), summary.withdrawn);
}

Result<policy::Summary> read(client::Summary::Reader from) {
  policy::Summary summary;
  summary.version = from.getVersion();
  summary.first_turn = from.getFirstTurn();
  summary.last_turn = from.getLastTurn();
  summary.text = text(from.getText());
  TROUPE_TRY(summary.tier, read_tier(from.getTier()));
  summary.model = parts::read(from.getModel());
  TROUPE_TRY(summary.turns, read_numbers<std::uint32_t>(from.getTurns(), ClientLimits::memory_entries, "a summary"));
  TROUPE_TRY(summary.retired, read_entries(from.getRetired()));
  TROUPE_TRY(summary.withdrawn, read_entries(from.getWithdrawn()));
  return summary;
}

void write(client::PinChange::Builder to, const policy::PinChange& change) {
  to.setMadeFor(change.made_for ? *change.made_for + 1 : 0);
  switch (change.kind) {
    case policy::PinChange::Kind::none: return to.setNone();
    case policy::PinChange::Kind::add: return to.setAdd(text(change.text));
    case policy::PinChange::Kind::remove: return to.setRemove(text(change.text));
  }
}
Result<policy::PinChange> read(client::PinChange::Reader from) {
  using Kind = policy::PinChange::Kind;
  policy::PinChange change;
  if (from.getMadeFor() > 0) change.made_for = from.getMadeFor() - 1;
  switch (from.which()) {
    case client::PinChange::NONE: return change;
    case client::PinChange::ADD:
      change.kind = Kind::add;
      change.text = text(from.getAdd());
      return change;
    case client::PinChange::REMOVE:
      change.kind = Kind::remove;
      change.text = text(from.getRemove());
      return change;
  }
  return Error{ErrorCode::unsupported, "a change of pins of a kind that this version does not know"};
}

void write(client::Pins::Builder to, const policy::Pins& pins) {
  to.setVersion(pins.version);
  auto texts = to.initTexts(size_of(pins.texts));
  for (unsigned i = 0; i < texts.size(); ++i) texts.set(i, text(pins.texts[i]));
}
Result<policy::Pins> read(client::Pins::Reader from) {
  if (from.getTexts().size() > policy::Pins::count_max)
    return parts::too_many("pins", from.getTexts().size(), policy::Pins::count_max);
  policy::Pins pins{from.getVersion(), {}};
  for (const auto each : from.getTexts()) pins.texts.push_back(text(each));
  return pins;
}

}  // namespace troupe::schemas
