// What a conversation remembers beside its recent turns: its summary with what is recalled of earlier ones, and what its client
// has pinned.
#include <utility>

#include "actors/conversation_actor.hpp"
#include "policy/left_out.hpp"
#include "storage/conversations.hpp"

namespace troupe::actors {

const std::vector<policy::MemoryEntry>& ConversationState::recalled(LiveTurn& turn) const {
  if (!turn.recalled) {
    const auto count = static_cast<std::size_t>(context_->routing->recalled_max);
    turn.recalled = policy::recall(memory_, turn.turn.ask.question, count);
  }
  return *turn.recalled;
}

std::string ConversationState::remembered(LiveTurn& turn) const {
  return policy::with_pins(turn.pins, policy::with_recalled(memory_, recalled(turn)));
}

std::vector<policy::LeftOut> ConversationState::left_out(const LiveTurn& turn, const schemas::EnginePrepared& prepared) const {
  policy::ContextChoice choice;
  const std::size_t place = policy::place_of(*turn.next_tier);
  choice.tier = *turn.next_tier;
  choice.tokens_max = context_->routing->prompt_tokens[place];
  std::vector<std::uint32_t> turns;
  for (const Recent& recent : recent_) turns.push_back(recent.number);
  choice.turns = turns;
  choice.turns_left_out = prepared.recent_left_out;
  std::vector<policy::Passage> passages;
  for (const FoundPassage& found : turn.passages) passages.push_back(found.passage);
  choice.passages = passages;
  choice.passages_max = static_cast<std::size_t>(context_->routing->prompt_passages[place]);
  choice.kept = prepared.passages;
  choice.retired = memory_.retired.size();
  choice.recalled = turn.recalled ? turn.recalled->size() : 0;
  return policy::left_out_of(choice);
}

caf::result<schemas::HomePins> ConversationState::on_pin(const schemas::HomePin& pin) {
  return answer<schemas::HomePins>(pin.epoch, [this, change = pin.change](Promise<schemas::HomePins> promise) {
    if (pinning_.size() >= pins_waiting_max) {
      promise.deliver(
          to_caf({ErrorCode::overloaded, std::to_string(pinning_.size()) + " changes of the pins are being written"}));
      return;
    }
    pinning_.push_back({change, std::move(promise)});
    if (pinning_.size() == 1) change_pins();
  });
}

void ConversationState::change_pins() {
  while (!pinning_.empty()) {
    const auto next = moving_ ? Result<policy::Pins>(check_home(0).error()) : policy::changed(pins_, pinning_.front().change);
    if (!next || next->version == pins_.version) {
      auto promise = std::move(pinning_.front().promise);
      pinning_.pop_front();
      if (next) {
        promise.deliver(schemas::HomePins{*next});
      } else {
        promise.deliver(to_caf(next.error()));
      }
      continue;
    }
    storage::WriteBatch batch;
    batch.fence = storage::fence_of(id_, epoch_);
    batch.puts.push_back(storage::put_pins(id_, *next, epoch_));
    ++writes_;
    context_->journal->commit(
        std::move(batch), resume(self_, std::function<void(Result<void>)>([this, pins = *next](const Result<void>& written) {
                                   --writes_;
                                   if (!written) return give_up(written.error());
                                   pins_ = pins;
                                   auto promise = std::move(pinning_.front().promise);
                                   pinning_.pop_front();
                                   promise.deliver(schemas::HomePins{pins});
                                   change_pins();
                                   send_when_written();
                                 })));
    return;
  }
}

}  // namespace troupe::actors
