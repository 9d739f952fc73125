#include "tests/sim/witness.hpp"

#include <algorithm>
#include <utility>

#include "storage/conversations.hpp"

namespace troupe::sim {

std::string describe(const policy::TurnEvent& event) {
  struct Words {
    std::string operator()(const policy::AcceptedEvent& each) const { return "accepted \"" + each.question + "\""; }
    std::string operator()(const policy::AttemptEvent& each) const {
      return "attempt " + std::to_string(each.attempt) + " " + std::string(policy::to_string(each.tier));
    }
    std::string operator()(const policy::TokensEvent& each) const {
      return "tokens " + std::to_string(each.attempt) + "." + std::to_string(each.first_index) + " \"" + each.text + "\"";
    }
    std::string operator()(const policy::SupersededEvent& each) const { return "superseded: " + each.why; }
    std::string operator()(const policy::CommittedEvent& each) const { return "committed \"" + each.outcome.answer + "\""; }
    std::string operator()(const policy::FailedEvent& each) const { return "failed " + each.code + ": " + each.message; }
  };
  return "#" + std::to_string(event.number) + " " + std::visit(Words(), event.what);
}

void Witness::accepted(const std::string& client, std::size_t question, const policy::Ask& ask, const policy::TurnId& turn) {
  const auto [entry, first] = by_key_.emplace(std::pair(turn.conversation, ask.idempotency_key), turn);
  if (!first && entry->second != turn) {
    cluster_.world().violated("key " + ask.idempotency_key + " became turn " + to_string(entry->second) + " and turn " +
                              to_string(turn));
  }
  KnownTurn& known = turns_[turn];
  if (first && pins_.contains(turn.conversation)) known.pins_min = pins_.at(turn.conversation).version;
  if (!known.ask.idempotency_key.empty() && known.ask.idempotency_key != ask.idempotency_key) {
    cluster_.world().violated("turn " + to_string(turn) + " answers key " + known.ask.idempotency_key + " and key " +
                              ask.idempotency_key);
  }
  known.ask = ask;
  known.client = client;
  known.question = question;
}

void Witness::pinned(const policy::ConversationId& conversation, const policy::PinChange& change, const policy::Pins& pins) {
  const std::string what =
      "conversation " + to_string(conversation) + ", version " + std::to_string(pins.version) + " of its pins";
  const bool there = std::ranges::find(pins.texts, change.text) != pins.texts.end();
  if (there != (change.kind == policy::PinChange::Kind::add)) {
    cluster_.world().violated(what + (there ? " still has \"" : " lacks \"") + change.text + "\"");
  }
  const storage::Store* store = cluster_.store_of(conversation);
  if (store == nullptr) return cluster_.world().violated(what + " is on no disk, and its client was told of it");
  const auto stored = storage::read_pins(*store, conversation, pins.version);
  if (!stored || *stored != pins) cluster_.world().violated(what + " is stored otherwise than its client was told");
  policy::Pins& known = pins_[conversation];
  if (pins.version == known.version && pins != known) cluster_.world().violated(what + " is told in two ways");
  if (pins.version >= known.version) known = pins;
}

void Witness::saw(const policy::TurnId& turn, const policy::TurnEvent& event) {
  const auto [entry, first] = turns_[turn].events.emplace(event.number, event);
  if (first) return check_durable(turn, event);
  if (entry->second == event) return;
  cluster_.world().violated("turn " + to_string(turn) + " has two events of one number: " + describe(entry->second) + " and " +
                            describe(event));
}

void Witness::check_durable(const policy::TurnId& turn, const policy::TurnEvent& event) {
  const auto* attempt = std::get_if<policy::AttemptEvent>(&event.what);
  if (attempt == nullptr && !event.last()) return;
  const storage::Store* store = cluster_.store_of(turn.conversation);
  if (store == nullptr) {
    return cluster_.world().violated("turn " + to_string(turn) + " is on no disk, and a reader was given " + describe(event));
  }
  const auto stored = storage::read_turn(*store, turn);
  const bool there =
      stored && *stored &&
      (event.last() ? (*stored)->outcome.has_value() : (*stored)->attempts.size() > static_cast<std::size_t>(attempt->attempt));
  if (!there) {
    cluster_.world().violated("turn " + to_string(turn) + ": a reader was given " + describe(event) + ", which is on no disk" +
                              (stored ? "" : ": " + stored.error().message));
  }
}

}  // namespace troupe::sim
