// What is said to a conversation's home, and what a home says to its readers.
#include "schemas/cluster_codec.hpp"
#include "schemas/cluster_frame.hpp"
#include "schemas/cluster_messages.hpp"

namespace troupe::schemas {

// To a home.

void write(const HomeOpen& open, cluster::HomeOpen::Builder out) {
  write(open.conversation, out.initConversation());
  out.setCreate(open.create);
}
Result<void> read(cluster::HomeOpen::Reader in, HomeOpen& open) {
  TROUPE_TRY_DO(read_field("conversation", [&] { return read(in.getConversation(), open.conversation); }));
  open.create = in.getCreate();
  return {};
}

void write(const HomeOpened& opened, cluster::HomeOpened::Builder out) {
  out.setEpoch(opened.epoch);
  out.setTurns(opened.turns);
}
Result<void> read(cluster::HomeOpened::Reader in, HomeOpened& opened) {
  opened.epoch = in.getEpoch();
  opened.turns = in.getTurns();
  return {};
}

void write(const HomeAsk& ask, cluster::HomeAsk::Builder out) {
  write(ask.conversation, out.initConversation());
  out.setEpoch(ask.epoch);
  write(ask.ask, out.initAsk());
}
Result<void> read(cluster::HomeAsk::Reader in, HomeAsk& ask) {
  TROUPE_TRY_DO(read_field("conversation", [&] { return read(in.getConversation(), ask.conversation); }));
  ask.epoch = in.getEpoch();
  TROUPE_TRY_DO(read_field("ask", [&] { return read(in.getAsk(), ask.ask); }));
  return {};
}

void write(const HomeAccepted& accepted, cluster::HomeAccepted::Builder out) { out.setTurn(accepted.turn); }
Result<void> read(cluster::HomeAccepted::Reader in, HomeAccepted& accepted) {
  accepted.turn = in.getTurn();
  return {};
}

void write(const ReaderId& reader, cluster::ReaderId::Builder out) {
  out.setNode(text_of(reader.node.value));
  out.setNumber(reader.number);
}
Result<void> read(cluster::ReaderId::Reader in, ReaderId& reader) {
  TROUPE_TRY_DO(read_field("node", [&] { return read_name(in.getNode(), reader.node.value); }));
  reader.number = in.getNumber();
  return {};
}

void write(const HomeMore& more, cluster::HomeMore::Builder out) {
  write(more.turn, out.initTurn());
  out.setEpoch(more.epoch);
  write(more.reader, out.initReader());
  out.setFrom(more.from);
  out.setCredit(more.credit);
  out.setAgain(more.again);
}
Result<void> read(cluster::HomeMore::Reader in, HomeMore& more) {
  TROUPE_TRY_DO(read_field("turn", [&] { return read(in.getTurn(), more.turn); }));
  more.epoch = in.getEpoch();
  TROUPE_TRY_DO(read_field("reader", [&] { return read(in.getReader(), more.reader); }));
  more.from = in.getFrom();
  more.credit = in.getCredit();
  more.again = in.getAgain();
  return {};
}

void write(const HomeLeave& leave, cluster::HomeLeave::Builder out) {
  write(leave.turn, out.initTurn());
  write(leave.reader, out.initReader());
  out.setAbandoned(leave.abandoned);
}
Result<void> read(cluster::HomeLeave::Reader in, HomeLeave& leave) {
  TROUPE_TRY_DO(read_field("turn", [&] { return read(in.getTurn(), leave.turn); }));
  TROUPE_TRY_DO(read_field("reader", [&] { return read(in.getReader(), leave.reader); }));
  leave.abandoned = in.getAbandoned();
  return {};
}

void write(const HomeCancel& cancel, cluster::HomeCancel::Builder out) {
  write(cancel.turn, out.initTurn());
  out.setEpoch(cancel.epoch);
}
Result<void> read(cluster::HomeCancel::Reader in, HomeCancel& cancel) {
  TROUPE_TRY_DO(read_field("turn", [&] { return read(in.getTurn(), cancel.turn); }));
  cancel.epoch = in.getEpoch();
  return {};
}

void write(const HomeHistory& history, cluster::HomeHistory::Builder out) {
  write(history.conversation, out.initConversation());
  out.setEpoch(history.epoch);
  out.setFrom(history.from);
  out.setLimit(history.limit);
}
Result<void> read(cluster::HomeHistory::Reader in, HomeHistory& history) {
  TROUPE_TRY_DO(read_field("conversation", [&] { return read(in.getConversation(), history.conversation); }));
  history.epoch = in.getEpoch();
  history.from = in.getFrom();
  history.limit = in.getLimit();
  return {};
}

void write(const HomeHistoryPage& page, cluster::HomeHistoryPage::Builder out) {
  write_list(page.turns, out.initTurns(count_of(page.turns)));
  write_list(page.summaries, out.initSummaries(count_of(page.summaries)));
  out.setMore(page.more);
}
Result<void> read(cluster::HomeHistoryPage::Reader in, HomeHistoryPage& page) {
  TROUPE_TRY_DO(read_field("turns", [&] { return read_list(in.getTurns(), ClusterLimits::turns_max, page.turns); }));
  TROUPE_TRY_DO(
      read_field("summaries", [&] { return read_list(in.getSummaries(), ClusterLimits::summaries_max, page.summaries); }));
  page.more = in.getMore();
  return {};
}

void write(const HomeTurn& turn, cluster::HomeTurn::Builder out) {
  write(turn.turn, out.initTurn());
  out.setEpoch(turn.epoch);
}
Result<void> read(cluster::HomeTurn::Reader in, HomeTurn& turn) {
  TROUPE_TRY_DO(read_field("turn", [&] { return read(in.getTurn(), turn.turn); }));
  turn.epoch = in.getEpoch();
  return {};
}

void write(const HomePin& pin, cluster::HomePin::Builder out) {
  write(pin.conversation, out.initConversation());
  out.setEpoch(pin.epoch);
  out.setKind(static_cast<cluster::HomePin::Kind>(pin.change.kind));
  out.setText(text_of(pin.change.text));
  out.setMadeFor(pin.change.made_for ? *pin.change.made_for + 1 : 0);
}
Result<void> read(cluster::HomePin::Reader in, HomePin& pin) {
  TROUPE_TRY_DO(read_field("conversation", [&] { return read(in.getConversation(), pin.conversation); }));
  pin.epoch = in.getEpoch();
  pin.change.made_for = in.getMadeFor() > 0 ? std::optional(in.getMadeFor() - 1) : std::nullopt;
  TROUPE_TRY_DO(read_field("kind", [&] { return read_enum(in.getKind(), policy::PinChange::Kind::remove, pin.change.kind); }));
  return read_field("text", [&] { return read_text(in.getText(), pin.change.text); });
}

void write(const HomePins& pins, cluster::HomePins::Builder out) { write(pins.pins, out.initPins()); }
Result<void> read(cluster::HomePins::Reader in, HomePins& pins) {
  return read_field("pins", [&] { return read(in.getPins(), pins.pins); });
}

// To a reader.

namespace {

// Kinds of events. Each is a group of the event's union, and setting one up makes it the event's kind.

void write_kind(const policy::AcceptedEvent& event, cluster::TurnEvent::Builder out) {
  out.initAccepted().setQuestion(text_of(event.question));
}
Result<void> read_kind(cluster::TurnEvent::Accepted::Reader in, policy::AcceptedEvent& event) {
  return read_field("question", [&] { return read_text(in.getQuestion(), event.question); });
}

void write_kind(const policy::AttemptEvent& event, cluster::TurnEvent::Builder out) {
  auto attempt = out.initAttempt();
  attempt.setNumber(event.attempt);
  attempt.setTier(to_wire(event.tier));
  attempt.setWhy(text_of(event.why));
}
Result<void> read_kind(cluster::TurnEvent::Attempt::Reader in, policy::AttemptEvent& event) {
  event.attempt = in.getNumber();
  TROUPE_TRY_DO(read_field("tier", [&] { return read(in.getTier(), event.tier); }));
  return read_field("why", [&] { return read_text(in.getWhy(), event.why); });
}

void write_kind(const policy::TokensEvent& event, cluster::TurnEvent::Builder out) {
  auto tokens = out.initTokens();
  tokens.setAttempt(event.attempt);
  tokens.setFirstIndex(event.first_index);
  write_numbers(event.ids, tokens.initIds(count_of(event.ids)));
  tokens.setText(text_of(event.text));
}
Result<void> read_kind(cluster::TurnEvent::Tokens::Reader in, policy::TokensEvent& event) {
  event.attempt = in.getAttempt();
  event.first_index = in.getFirstIndex();
  TROUPE_TRY_DO(read_field("ids", [&] { return read_numbers(in.getIds(), ClusterLimits::ids_max, event.ids); }));
  return read_field("text", [&] { return read_text(in.getText(), event.text); });
}

void write_kind(const policy::SupersededEvent& event, cluster::TurnEvent::Builder out) {
  auto superseded = out.initSuperseded();
  superseded.setAttempt(event.attempt);
  superseded.setWhy(text_of(event.why));
}
Result<void> read_kind(cluster::TurnEvent::Superseded::Reader in, policy::SupersededEvent& event) {
  event.attempt = in.getAttempt();
  return read_field("why", [&] { return read_text(in.getWhy(), event.why); });
}

void write_kind(const policy::CommittedEvent& event, cluster::TurnEvent::Builder out) {
  auto committed = out.initCommitted();
  write(event.outcome, committed.initOutcome());
  committed.setTier(to_wire(event.tier));
  committed.setNode(text_of(event.node));
  committed.setPromptTokens(event.prompt_tokens);
  committed.setReusedTokens(event.reused_tokens);
  committed.setGeneratedTokens(event.generated_tokens);
  committed.setSeconds(event.seconds);
}
Result<void> read_kind(cluster::TurnEvent::Committed::Reader in, policy::CommittedEvent& event) {
  TROUPE_TRY_DO(read_field("outcome", [&] { return read(in.getOutcome(), event.outcome); }));
  TROUPE_TRY_DO(read_field("tier", [&] { return read(in.getTier(), event.tier); }));
  TROUPE_TRY_DO(read_field("node", [&] { return read_name(in.getNode(), event.node); }));
  event.prompt_tokens = in.getPromptTokens();
  event.reused_tokens = in.getReusedTokens();
  event.generated_tokens = in.getGeneratedTokens();
  event.seconds = in.getSeconds();
  return {};
}

void write_kind(const policy::FailedEvent& event, cluster::TurnEvent::Builder out) {
  auto failed = out.initFailed();
  failed.setCode(text_of(event.code));
  failed.setMessage(text_of(event.message));
}
Result<void> read_kind(cluster::TurnEvent::Failed::Reader in, policy::FailedEvent& event) {
  TROUPE_TRY_DO(read_field("code", [&] { return read_name(in.getCode(), event.code); }));
  return read_field("message", [&] { return read_text(in.getMessage(), event.message); });
}

}  // namespace

void write(const policy::TurnEvent& event, cluster::TurnEvent::Builder out) {
  out.setNumber(event.number);
  std::visit([&](const auto& kind) { write_kind(kind, out); }, event.what);
}
Result<void> read(cluster::TurnEvent::Reader in, policy::TurnEvent& event) {
  using Wire = cluster::TurnEvent;
  event.number = in.getNumber();
  auto& what = event.what;
  switch (in.which()) {
    case Wire::ACCEPTED:
      return read_field("accepted", [&] { return read_kind(in.getAccepted(), what.emplace<policy::AcceptedEvent>()); });
    case Wire::ATTEMPT:
      return read_field("attempt", [&] { return read_kind(in.getAttempt(), what.emplace<policy::AttemptEvent>()); });
    case Wire::TOKENS:
      return read_field("tokens", [&] { return read_kind(in.getTokens(), what.emplace<policy::TokensEvent>()); });
    case Wire::SUPERSEDED:
      return read_field("superseded", [&] { return read_kind(in.getSuperseded(), what.emplace<policy::SupersededEvent>()); });
    case Wire::COMMITTED:
      return read_field("committed", [&] { return read_kind(in.getCommitted(), what.emplace<policy::CommittedEvent>()); });
    case Wire::FAILED:
      return read_field("failed", [&] { return read_kind(in.getFailed(), what.emplace<policy::FailedEvent>()); });
  }
  return Error{ErrorCode::corrupt,
               "an event of kind " + std::to_string(in.which()) + "; this version knows 0 to " + std::to_string(Wire::FAILED)};
}

void write(const ReaderEvents& events, cluster::ReaderEvents::Builder out) {
  out.setReader(events.reader);
  write(events.turn, out.initTurn());
  out.setFrom(events.from);
  write_list(events.events, out.initEvents(count_of(events.events)));
}
Result<void> read(cluster::ReaderEvents::Reader in, ReaderEvents& events) {
  events.reader = in.getReader();
  TROUPE_TRY_DO(read_field("turn", [&] { return read(in.getTurn(), events.turn); }));
  events.from = in.getFrom();
  TROUPE_TRY_DO(read_field("events", [&] { return read_list(in.getEvents(), ClusterLimits::events_max, events.events); }));
  return {};
}

void write(const ReaderFailed& failed, cluster::ReaderFailed::Builder out) {
  out.setReader(failed.reader);
  write(failed.turn, out.initTurn());
  out.setCode(to_wire(failed.code));
  out.setMessage(text_of(failed.message));
}
Result<void> read(cluster::ReaderFailed::Reader in, ReaderFailed& failed) {
  failed.reader = in.getReader();
  TROUPE_TRY_DO(read_field("turn", [&] { return read(in.getTurn(), failed.turn); }));
  TROUPE_TRY_DO(read_field("code", [&] { return read(in.getCode(), failed.code); }));
  TROUPE_TRY_DO(read_field("message", [&] { return read_text(in.getMessage(), failed.message); }));
  return {};
}

TROUPE_CLUSTER_CODEC(HomeOpen, cluster::HomeOpen);
TROUPE_CLUSTER_CODEC(HomeOpened, cluster::HomeOpened);
TROUPE_CLUSTER_CODEC(HomeAsk, cluster::HomeAsk);
TROUPE_CLUSTER_CODEC(HomeAccepted, cluster::HomeAccepted);
TROUPE_CLUSTER_CODEC(HomeMore, cluster::HomeMore);
TROUPE_CLUSTER_CODEC(HomeLeave, cluster::HomeLeave);
TROUPE_CLUSTER_CODEC(HomeCancel, cluster::HomeCancel);
TROUPE_CLUSTER_CODEC(HomeHistory, cluster::HomeHistory);
TROUPE_CLUSTER_CODEC(HomeHistoryPage, cluster::HomeHistoryPage);
TROUPE_CLUSTER_CODEC(HomeTurn, cluster::HomeTurn);
TROUPE_CLUSTER_CODEC(HomePin, cluster::HomePin);
TROUPE_CLUSTER_CODEC(HomePins, cluster::HomePins);
TROUPE_CLUSTER_CODEC(policy::Turn, records::Turn);
TROUPE_CLUSTER_CODEC(ReaderEvents, cluster::ReaderEvents);
TROUPE_CLUSTER_CODEC(ReaderFailed, cluster::ReaderFailed);

}  // namespace troupe::schemas
