#include "tests/cluster/converse.hpp"

#include <variant>

namespace troupe::tests {

namespace {

/// With patience for a cluster that starts again on a busy machine.
clients::ClientOptions patient() {
  clients::ClientOptions options;
  options.patience = std::chrono::seconds(60);
  return options;
}

Result<std::string> ask(const clients::Conversation& conversation, const policy::Ask& ask, const clients::OnEvent& on_event) {
  TROUPE_TRY(const auto answer, conversation.ask(ask, on_event));
  if (!answer.end.outcome.committed)
    return Error{ErrorCode::unavailable, answer.end.outcome.message + " (" + answer.end.outcome.code + ")"};
  TROUPE_TRY(const auto turn, conversation.explain(answer.turn.number, true));
  return bits_of(turn);
}

}  // namespace

Told converse(const std::vector<std::string>& addresses, const Script& script, const std::function<void()>& on_tokens) {
  Told told;
  told.turns.resize(script.asks.size());
  const auto client = clients::Client::connect(addresses, patient());
  const auto conversation = client ? client->open() : Result<clients::Conversation>(client.error());
  for (std::size_t i = 0; i < script.asks.size(); ++i) {
    Told::Turn& turn = told.turns[i];
    const auto on_event = [&](const policy::TurnEvent& event) {
      turn.heard.events.push_back(event);
      turn.times.push_back(std::chrono::steady_clock::now());
      if (on_tokens && std::holds_alternative<policy::TokensEvent>(event.what)) on_tokens();
    };
    const auto bits = conversation ? ask(*conversation, script.asks[i], on_event) : Result<std::string>(conversation.error());
    if (bits) turn.bits = *bits;
    if (!bits) turn.problem = bits.error().message;
  }
  if (!conversation) return told;
  const auto page = conversation->history();
  if (page) told.in_history = page->turns.size();
  return told;
}

}  // namespace troupe::tests
