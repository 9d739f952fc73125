#include "gateway/conversation_service.hpp"

#include <algorithm>
#include <string>

#include "gateway/event_stream.hpp"

namespace troupe::gateway {

namespace client = schemas::client;

namespace {

/// Turns of a page take at most about half a frame; a page has at least one turn.
constexpr std::size_t page_bytes = schemas::ClientLimits::reply_bytes / 2;

std::size_t bytes_about(const policy::Turn& turn) {
  std::size_t bytes = 512 + turn.ask.question.size() + turn.search.size();
  if (turn.outcome) bytes += turn.outcome->answer.size() + turn.outcome->message.size();
  for (const policy::Attempt& attempt : turn.attempts) {
    bytes += 1024 + attempt.plan.why.size();
    for (const policy::Passage& passage : attempt.plan.passages) bytes += 32 + passage.section.size() + passage.name.size();
  }
  return bytes;
}

/// Cuts what does not fit. Summaries that cover later turns come with those.
void fit(actors::HistoryPage& page) {
  std::size_t bytes = 0;
  std::size_t count = 0;
  for (const policy::Turn& turn : page.turns) {
    bytes += bytes_about(turn);
    if (count > 0 && bytes > page_bytes) break;
    ++count;
  }
  if (count == page.turns.size()) return;
  page.turns.resize(count);
  page.more = true;
  const std::uint32_t last = page.turns.back().id.number;
  std::erase_if(page.summaries, [&](const policy::Summary& summary) { return summary.last_turn > last; });
}

void write_page(client::HistoryPage::Builder to, const actors::HistoryPage& page) {
  auto turns = to.initTurns(static_cast<unsigned>(page.turns.size()));
  for (unsigned i = 0; i < turns.size(); ++i) schemas::write(turns[i], page.turns[i], schemas::TurnDetail::decisions);
  auto summaries = to.initSummaries(static_cast<unsigned>(page.summaries.size()));
  for (unsigned i = 0; i < summaries.size(); ++i) schemas::write(summaries[i], page.summaries[i]);
  to.setMore(page.more);
}

class ConversationServer final : public client::Conversation::Server {
 public:
  ConversationServer(std::shared_ptr<Session> session, policy::ConversationId id, Quota::Hold place)
      : session_(std::move(session)), id_(id), place_(std::move(place)) {}

  kj::Promise<void> ask(AskContext context) override {
    context.allowCancellation();
    auto ask = schemas::read_checked(context.getParams().getAsk());
    if (ask) {
      if (auto checked = policy::check_ask(*ask); !checked) ask = std::move(checked).error();
    }
    auto place = take(session_->asks, "asks that are not accepted yet");
    if (!ask || !place) {
      fail(context.getResults().initOutcome(), ask ? place.error() : ask.error());
      return kj::READY_NOW;
    }
    return counted(*session_, context, [&] {
      return session_->bridge
          .call<policy::TurnId>([&](actors::Front& front, auto reply) { front.ask(id_, std::move(*ask), std::move(reply)); })
          .then([context](const Answered<policy::TurnId>& answered) mutable {
            auto outcome = context.getResults().initOutcome();
            if (!*answered) return fail(outcome, answered->error());
            outcome.initValue().setTurn((*answered)->number);
          })
          .attach(std::move(*place));
    });
  }

  kj::Promise<void> follow(FollowContext context) override {
    context.allowCancellation();
    auto place = take(session_->streams, "streams of this connection");
    if (!place) {
      fail(context.getResults().initOutcome(), place.error());
      return kj::READY_NOW;
    }
    const auto params = context.getParams();
    const actors::Following following{.turn = {id_, params.getTurn()}, .from = params.getFrom()};
    auto stream = std::make_shared<EventStream>(params.getReader());
    return stream->run(session_->bridge, following)
        .then([context, &sent = *stream]() mutable {
          auto outcome = context.getResults().initOutcome();
          if (sent.error()) return fail(outcome, *sent.error());
          outcome.initValue().setEvents(sent.count());
        })
        .attach(std::move(stream), std::move(*place));
  }

  kj::Promise<void> cancel(CancelContext context) override {
    context.allowCancellation();
    const policy::TurnId turn{id_, context.getParams().getTurn()};
    return counted(*session_, context, [&] {
      return session_->bridge.call<void>([&](actors::Front& front, auto reply) { front.cancel(turn, std::move(reply)); })
          .then([context](const Answered<void>& answered) mutable {
            auto outcome = context.getResults().initOutcome();
            if (!*answered) return fail(outcome, answered->error());
            outcome.initValue();
          });
    });
  }

  kj::Promise<void> history(HistoryContext context) override {
    context.allowCancellation();
    const auto params = context.getParams();
    const std::uint32_t from = params.getFrom();
    const std::uint32_t limit = params.getLimit();
    if (limit == 0) {
      fail(context.getResults().initOutcome(),
           Error{ErrorCode::out_of_range, "limit is 0 turns, expected 1 to " + std::to_string(actors::Front::page_max)});
      return kj::READY_NOW;
    }
    return counted(*session_, context, [&] {
      return session_->bridge
          .call<actors::HistoryPage>([&](actors::Front& front, auto reply) {
            front.history(id_, from, std::min(limit, actors::Front::page_max), std::move(reply));
          })
          .then([context](const Answered<actors::HistoryPage>& answered) mutable {
            auto outcome = context.getResults().initOutcome();
            if (!*answered) return fail(outcome, answered->error());
            fit(**answered);
            write_page(outcome.initValue(), **answered);
          });
    });
  }

  kj::Promise<void> pin(PinContext context) override {
    context.allowCancellation();
    auto change = schemas::read_checked(context.getParams().getChange());
    if (!change) {
      fail(context.getResults().initOutcome(), change.error());
      return kj::READY_NOW;
    }
    return counted(*session_, context, [&] {
      return session_->bridge
          .call<policy::Pins>([&](actors::Front& front, auto reply) { front.pin(id_, *std::move(change), std::move(reply)); })
          .then([context](const Answered<policy::Pins>& answered) mutable {
            auto outcome = context.getResults().initOutcome();
            if (!*answered) return fail(outcome, answered->error());
            schemas::write(outcome.initValue(), **answered);
          });
    });
  }

  kj::Promise<void> explain(ExplainContext context) override {
    context.allowCancellation();
    const policy::TurnId id{id_, context.getParams().getTurn()};
    const auto detail = context.getParams().getTokens() ? schemas::TurnDetail::tokens : schemas::TurnDetail::decisions;
    return counted(*session_, context, [&] {
      return session_->bridge.call<policy::Turn>([&](actors::Front& front, auto reply) { front.turn(id, std::move(reply)); })
          .then([context, detail](const Answered<policy::Turn>& answered) mutable {
            auto outcome = context.getResults().initOutcome();
            if (!*answered) return fail(outcome, answered->error());
            schemas::write(outcome.initValue(), **answered, detail);
            const auto bytes = outcome.asReader().totalSize().wordCount * sizeof(capnp::word);
            if (bytes <= schemas::ClientLimits::reply_bytes) return;
            fail(outcome, Error{ErrorCode::too_large, "the turn has " + std::to_string(bytes) + " bytes, a reply at most " +
                                                          std::to_string(schemas::ClientLimits::reply_bytes) +
                                                          "; ask without the token ids"});
          });
    });
  }

 private:
  std::shared_ptr<Session> session_;
  policy::ConversationId id_;
  Quota::Hold place_;
};

}  // namespace

client::Conversation::Client make_conversation(std::shared_ptr<Session> session, policy::ConversationId id, Quota::Hold place) {
  return kj::heap<ConversationServer>(std::move(session), id, std::move(place));
}

}  // namespace troupe::gateway
