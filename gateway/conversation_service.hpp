// The capability of one conversation, and what all capabilities share: a counted call, and how it is refused.
#pragma once

#include <memory>
#include <utility>

#include "gateway/service.hpp"

namespace troupe::gateway {

/// Writes the failure of an Outcome.
template <class Outcome>
void fail(Outcome outcome, const Error& error) {
  schemas::write(outcome.initFailure(), error.code, error.message);
}

/// Starts a call unless the connection has too many that are not answered, and counts it until then.
template <class Context, class Start>
kj::Promise<void> counted(Session& session, Context context, const Start& start) {
  auto place = take(session.calls, "calls of this connection that are not answered");
  if (!place) {
    fail(context.getResults().initOutcome(), place.error());
    return kj::READY_NOW;
  }
  return start().attach(std::move(*place));
}

schemas::client::Conversation::Client make_conversation(std::shared_ptr<Session> session, policy::ConversationId id,
                                                        Quota::Hold place);

}  // namespace troupe::gateway
