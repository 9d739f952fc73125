#include "gateway/service.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "gateway/conversation_service.hpp"
#include "gateway/corpus_change_service.hpp"

namespace troupe::gateway {

namespace client = schemas::client;

namespace {

Result<void> check_protocol(std::uint32_t theirs) {
  if (theirs == client::PROTOCOL_VERSION) return {};
  return Error{ErrorCode::unsupported, "the client speaks protocol " + std::to_string(theirs) + ", this node speaks " +
                                           std::to_string(client::PROTOCOL_VERSION) + "; use a client of the node's version"};
}

/// Answers a call from what the cluster looks like now: `write` fills the outcome.
template <class Context, class Write>
kj::Promise<void> with_cluster(Session& session, Context context, Write write) {
  context.allowCancellation();
  return counted(session, context, [&] {
    return session.bridge.call<policy::ClusterView>([](actors::Front& front, auto reply) { front.cluster(std::move(reply)); })
        .then([context, write](const Answered<policy::ClusterView>& answered) mutable {
          auto outcome = context.getResults().initOutcome();
          if (!*answered) return fail(outcome, answered->error());
          write(outcome, **answered);
        });
  });
}

class ServiceServer final : public client::Service::Server {
 public:
  explicit ServiceServer(std::shared_ptr<Session> session) : session_(std::move(session)) {}

  kj::Promise<void> ping(PingContext) override { return kj::READY_NOW; }

  kj::Promise<void> models(ModelsContext context) override {
    return with_cluster(*session_, context, [](auto outcome, const policy::ClusterView& view) {
      schemas::write(outcome.initValue(), schemas::served_models(view));
    });
  }

  kj::Promise<void> open(OpenContext context) override {
    context.allowCancellation();
    return enter(context, std::nullopt);
  }

  kj::Promise<void> resume(ResumeContext context) override {
    context.allowCancellation();
    const auto id = schemas::read_conversation(context.getParams().getId());
    if (!id) {
      fail(context.getResults().initOutcome(), id.error());
      return kj::READY_NOW;
    }
    return enter(context, *id);
  }

 private:
  template <class Context>
  kj::Promise<void> enter(Context context, std::optional<policy::ConversationId> id) {
    auto place = take(session_->conversations, "conversations of this connection");
    if (!place) {
      fail(context.getResults().initOutcome(), place.error());
      return kj::READY_NOW;
    }
    return counted(*session_, context, [&] {
      return session_->bridge
          .call<actors::OpenedConversation>([&](actors::Front& front, auto reply) { front.open(id, std::move(reply)); })
          .then([context, session = session_,
                 place = std::move(*place)](const Answered<actors::OpenedConversation>& answered) mutable {
            auto outcome = context.getResults().initOutcome();
            if (!*answered) return fail(outcome, answered->error());
            const actors::OpenedConversation& opened = **answered;
            auto value = outcome.initValue();
            value.setId(schemas::bytes_of(opened.id));
            value.setConversation(make_conversation(session, opened.id, std::move(place)));
            value.setTurns(opened.turns);
            value.setHome(opened.home);
          });
    });
  }

  std::shared_ptr<Session> session_;
};

class OperatorServer final : public client::Operator::Server {
 public:
  explicit OperatorServer(std::shared_ptr<Session> session) : session_(std::move(session)) {}

  kj::Promise<void> status(StatusContext context) override {
    return with_cluster(*session_, context,
                        [](auto outcome, const policy::ClusterView& view) { schemas::write(outcome.initValue(), view); });
  }

  kj::Promise<void> drain(DrainContext context) override {
    return with_node(context,
                     [](actors::Front& front, policy::NodeId node, auto reply) { front.drain(node, std::move(reply)); });
  }

  kj::Promise<void> join(JoinContext context) override {
    return with_node(context,
                     [](actors::Front& front, policy::NodeId node, auto reply) { front.join(node, std::move(reply)); });
  }

  kj::Promise<void> shadows(ShadowsContext context) override {
    context.allowCancellation();
    const auto query = schemas::read_checked(context.getParams().getQuery());
    if (!query) {
      fail(context.getResults().initOutcome(), query.error());
      return kj::READY_NOW;
    }
    return answer<policy::ShadowPage>(context,
                                      [query](actors::Front& front, auto reply) { front.shadows(*query, std::move(reply)); });
  }

  kj::Promise<void> documents(DocumentsContext context) override {
    const std::uint32_t from = context.getParams().getFrom();
    const std::uint32_t limit = context.getParams().getLimit();
    return answer<policy::DocumentPage>(
        context, [from, limit](actors::Front& front, auto reply) { front.documents(from, limit, std::move(reply)); });
  }

  kj::Promise<void> searchCorpus(SearchCorpusContext context) override {
    const auto params = context.getParams();
    const std::size_t bytes = params.getQuestion().size();
    if (bytes > policy::SearchHits::question_bytes_max || params.getLimit() == 0 ||
        params.getLimit() > policy::SearchHits::hits_max) {
      fail(context.getResults().initOutcome(),
           Error{ErrorCode::out_of_range, "a search for " + std::to_string(params.getLimit()) + " sections by a question of " +
                                              std::to_string(bytes) + " bytes, expected 1 to " +
                                              std::to_string(policy::SearchHits::hits_max) + " and at most " +
                                              std::to_string(policy::SearchHits::question_bytes_max)});
      return kj::READY_NOW;
    }
    std::string question(params.getQuestion().cStr(), bytes);
    const std::uint32_t limit = params.getLimit();
    return answer<policy::SearchHits>(context, [question, limit](actors::Front& front, auto reply) {
      front.search_corpus(question, limit, std::move(reply));
    });
  }

  kj::Promise<void> changeCorpus(ChangeCorpusContext context) override {
    auto outcome = context.getResults().initOutcome();
    auto place = take(session_->corpus_changes, "changes of the corpus under way");
    if (!place) {
      fail(outcome, place.error());
    } else {
      outcome.initValue().setChange(make_corpus_change(session_, std::move(*place)));
    }
    return kj::READY_NOW;
  }

 private:
  template <class Value, class Context, class Start>
  kj::Promise<void> answer(Context context, Start start) {
    context.allowCancellation();
    return counted(*session_, context, [&] {
      return session_->bridge.call<Value>(start).then([context](const Answered<Value>& answered) mutable {
        auto outcome = context.getResults().initOutcome();
        if (!*answered) return fail(outcome, answered->error());
        schemas::write(outcome.initValue(), **answered);
      });
    });
  }

  template <class Context, class Start>
  kj::Promise<void> with_node(Context context, Start start) {
    context.allowCancellation();
    policy::NodeId node{std::string(context.getParams().getNode().cStr())};
    return counted(*session_, context, [&] {
      return session_->bridge
          .call<policy::NodeView>([&](actors::Front& front, auto reply) { start(front, std::move(node), std::move(reply)); })
          .then([context](const Answered<policy::NodeView>& answered) mutable {
            auto outcome = context.getResults().initOutcome();
            if (!*answered) return fail(outcome, answered->error());
            schemas::write(outcome.initValue(), **answered);
          });
    });
  }

  std::shared_ptr<Session> session_;
};

class DoorServer final : public client::Door::Server {
 public:
  explicit DoorServer(std::shared_ptr<Session> session) : session_(std::move(session)) {}

  kj::Promise<void> enter(EnterContext context) override {
    auto outcome = context.getResults().initOutcome();
    if (const auto fits = check_protocol(context.getParams().getProtocol()); !fits) {
      fail(outcome, fits.error());
    } else {
      outcome.initValue().setService(kj::heap<ServiceServer>(session_));
    }
    return kj::READY_NOW;
  }

  kj::Promise<void> operate(OperateContext context) override {
    auto outcome = context.getResults().initOutcome();
    if (const auto fits = check_protocol(context.getParams().getProtocol()); !fits) {
      fail(outcome, fits.error());
    } else {
      outcome.initValue().setOperator(kj::heap<OperatorServer>(session_));
    }
    return kj::READY_NOW;
  }

 private:
  std::shared_ptr<Session> session_;
};

class ShutDoorServer final : public client::Door::Server {
 public:
  explicit ShutDoorServer(Error why) : why_(std::move(why)) {}

  kj::Promise<void> enter(EnterContext context) override {
    fail(context.getResults().initOutcome(), why_);
    return kj::READY_NOW;
  }
  kj::Promise<void> operate(OperateContext context) override {
    fail(context.getResults().initOutcome(), why_);
    return kj::READY_NOW;
  }

 private:
  Error why_;
};

}  // namespace

Result<Quota::Hold> take(const std::shared_ptr<Quota>& quota, const char* what) {
  if (quota->used() < quota->limit()) return Quota::Hold(quota);
  return Error{ErrorCode::overloaded, "there are " + std::to_string(quota->used()) + " " + what + ", the limit is " +
                                          std::to_string(quota->limit()) + "; wait until some have ended"};
}

client::Door::Client make_door(std::shared_ptr<Session> session) { return kj::heap<DoorServer>(std::move(session)); }
client::Door::Client make_shut_door(Error why) { return kj::heap<ShutDoorServer>(std::move(why)); }

}  // namespace troupe::gateway
