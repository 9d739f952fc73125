#include "clients/cpp/client.hpp"

#include <cstring>
#include <random>
#include <utility>

#include "clients/cpp/corpus.hpp"
#include "clients/cpp/follow.hpp"
#include "clients/cpp/link.hpp"

namespace troupe::clients {

namespace client = schemas::client;

namespace {

/// A key that no other question has.
std::string draw_key() {
  Name128<struct KeyTag> key;
  std::random_device device;
  for (std::uint8_t& byte : key.bytes) byte = static_cast<std::uint8_t>(device());
  return to_string(key);
}

/// What an Outcome holds, by `read(value)`.
template <class T, class Outcome, class Read>
Answered<T> taken(Outcome outcome, const Read& read) {
  if (outcome.isFailure()) return answered<T>(schemas::read(outcome.getFailure()));
  return answered<T>(read(outcome.getValue()));
}

/// A call on a conversation: `fill` makes the request, `read` takes its value.
template <class T, class Fill, class Read>
Result<T> call(Link& link, const policy::ConversationId& id, TimePoint deadline, Fill fill, Read read) {
  return link.call<T>(
      [id, fill, read](const std::shared_ptr<Peer>& peer) {
        return peer->conversation(id).then([fill, read](Answered<client::Conversation::Client> conversation) -> Promised<T> {
          if (!*conversation) return answered<T>(conversation->error());
          return fill(**conversation).send().then([read](auto&& response) { return taken<T>(response.getOutcome(), read); });
        });
      },
      deadline);
}

struct Opened {
  policy::ConversationId id;
  std::uint32_t turns = 0;
  std::string home;
};

/// `Request` opens or resumes; the capability stays with the peer.
template <class MakeRequest>
Result<Opened> open_by(Link& link, MakeRequest make_request) {
  return link.call<Opened>([make_request](const std::shared_ptr<Peer>& peer) {
    return make_request(peer->service()).send().then([peer](auto&& response) {
      return taken<Opened>(response.getOutcome(), [&](client::Opened::Reader value) -> Result<Opened> {
        TROUPE_TRY(const auto id, schemas::read_conversation(value.getId()));
        peer->remember(id, value.getConversation());
        return Opened{id, value.getTurns(), value.getHome()};
      });
    });
  });
}

Result<HistoryPage> read_page(client::HistoryPage::Reader from) {
  using Limits = schemas::ClientLimits;
  if (from.getTurns().size() > Limits::turns || from.getSummaries().size() > Limits::summaries)
    return Error{ErrorCode::corrupt, "a page of history has more turns or summaries than a page can have"};
  HistoryPage page;
  for (const auto each : from.getTurns()) {
    TROUPE_TRY(auto turn, schemas::read_checked(each));
    page.turns.push_back(std::move(turn));
  }
  for (const auto each : from.getSummaries()) {
    TROUPE_TRY(auto summary, schemas::read_checked(each));
    page.summaries.push_back(std::move(summary));
  }
  page.more = from.getMore();
  return page;
}

/// An operator's call about one node, not repeated: its refusal is an answer.
template <class MakeRequest>
Result<policy::NodeView> operate_on(Link& link, MakeRequest make_request) {
  return link.call<policy::NodeView>(
      [make_request](const std::shared_ptr<Peer>& peer) {
        return peer->operate().then([make_request](Answered<client::Operator::Client> found) -> Promised<policy::NodeView> {
          if (!*found) return answered<policy::NodeView>(found->error());
          return make_request(**found).send().then([](auto&& response) {
            return taken<policy::NodeView>(response.getOutcome(), [](auto value) { return schemas::read_checked(value); });
          });
        });
      },
      link.now() + link.options().patience, true, true);
}

}  // namespace

Result<Answer> Conversation::ask(policy::Ask ask, const OnEvent& on_event) const {
  if (ask.idempotency_key.empty()) ask.idempotency_key = draw_key();
  TROUPE_TRY_DO(policy::check_ask(ask));
  const TimePoint deadline = link_->now() + std::chrono::milliseconds(ask.deadline_ms) + link_->options().patience;
  const auto fill = [ask](client::Conversation::Client conversation) {
    auto request = conversation.askRequest();
    schemas::write(request.initAsk(), ask);
    return request;
  };
  const auto read = [](client::Accepted::Reader accepted) -> Result<std::uint32_t> { return accepted.getTurn(); };
  TROUPE_TRY(const std::uint32_t turn, call<std::uint32_t>(*link_, id_, deadline, fill, read));
  return follow_turn(*link_, {.turn = {id_, turn}, .from = 0, .deadline = deadline}, on_event);
}

Result<Answer> Conversation::follow(std::uint32_t turn, std::uint64_t from, const OnEvent& on_event) const {
  return follow_turn(*link_, {.turn = {id_, turn}, .from = from, .deadline = std::nullopt}, on_event);
}

Result<void> Conversation::cancel(std::uint32_t turn) const {
  return cancel_turn(*link_, {id_, turn}, link_->options().patience);
}

Result<HistoryPage> Conversation::history(std::uint32_t from, std::uint32_t limit) const {
  const auto fill = [from, limit](client::Conversation::Client conversation) {
    auto request = conversation.historyRequest();
    request.setFrom(from);
    request.setLimit(limit);
    return request;
  };
  return call<HistoryPage>(*link_, id_, link_->now() + link_->options().patience, fill, read_page);
}

Result<policy::Pins> Conversation::change_pins(policy::PinChange change) const {
  using Kind = policy::PinChange::Kind;
  constexpr int tries_max = 5;
  const TimePoint deadline = link_->now() + link_->options().patience;
  if (change.kind == Kind::none) return request_pins(change, deadline);
  for (int tries = 1;; ++tries) {
    TROUPE_TRY(const auto before, request_pins({}, deadline));
    change.made_for = before.version;
    auto pins = request_pins(change, deadline);
    const bool changed_meanwhile = !pins && pins.error().code == ErrorCode::cancelled;  // by another client
    if (!changed_meanwhile || tries == tries_max) return pins;
  }
}

Result<policy::Pins> Conversation::request_pins(const policy::PinChange& change, TimePoint deadline) const {
  const auto fill = [change](client::Conversation::Client conversation) {
    auto request = conversation.pinRequest();
    schemas::write(request.initChange(), change);
    return request;
  };
  const auto read = [](client::Pins::Reader value) { return schemas::read_checked(value); };
  return call<policy::Pins>(*link_, id_, deadline, fill, read);
}

Result<policy::Turn> Conversation::explain(std::uint32_t turn, bool tokens) const {
  const auto fill = [turn, tokens](client::Conversation::Client conversation) {
    auto request = conversation.explainRequest();
    request.setTurn(turn);
    request.setTokens(tokens);
    return request;
  };
  const auto read = [](client::Turn::Reader value) { return schemas::read_checked(value); };
  return call<policy::Turn>(*link_, id_, link_->now() + link_->options().patience, fill, read);
}

Result<Client> Client::connect(std::vector<std::string> addresses, ClientOptions options) {
  if (addresses.empty()) return Error{ErrorCode::invalid_argument, "there is no address to connect to, expected one at least"};
  auto link = std::make_shared<Link>(std::move(addresses), std::move(options));
  const auto ping = [](const std::shared_ptr<Peer>& peer) {
    return peer->service().pingRequest().send().then([](auto&&) { return answered<void>({}); });
  };
  // Time for every address; each has its own timeout.
  const TimePoint deadline = link->now() + link->options().patience + link->options().reply_timeout;
  TROUPE_TRY_DO(link->call<void>(ping, deadline, true, true));
  return Client(std::move(link));
}

Result<Conversation> Client::open() const {
  TROUPE_TRY(auto opened, open_by(*link_, [](client::Service::Client service) { return service.openRequest(); }));
  return Conversation(link_, opened.id, opened.turns, std::move(opened.home));
}

Result<Conversation> Client::resume(policy::ConversationId id) const {
  TROUPE_TRY(auto opened, open_by(*link_, [id](client::Service::Client service) {
               auto request = service.resumeRequest();
               request.setId(schemas::bytes_of(id));
               return request;
             }));
  return Conversation(link_, opened.id, opened.turns, std::move(opened.home));
}

Result<std::vector<ServedModel>> Client::models() const {
  return link_->call<std::vector<ServedModel>>([](const std::shared_ptr<Peer>& peer) {
    return peer->service().modelsRequest().send().then([](auto&& response) {
      return taken<std::vector<ServedModel>>(response.getOutcome(), [](auto value) { return schemas::read_checked(value); });
    });
  });
}

Result<policy::ClusterView> Client::status() const {
  return link_->call<policy::ClusterView>([](const std::shared_ptr<Peer>& peer) {
    return peer->operate().then([](Answered<client::Operator::Client> found) -> Promised<policy::ClusterView> {
      if (!*found) return answered<policy::ClusterView>(found->error());
      return (*found)->statusRequest().send().then([](auto&& response) {
        return taken<policy::ClusterView>(response.getOutcome(), [](auto value) { return schemas::read_checked(value); });
      });
    });
  });
}

Result<policy::ShadowPage> Client::shadows(const policy::ShadowQuery& query) const {
  return link_->call<policy::ShadowPage>([query](const std::shared_ptr<Peer>& peer) {
    return peer->operate().then([query](Answered<client::Operator::Client> found) -> Promised<policy::ShadowPage> {
      if (!*found) return answered<policy::ShadowPage>(found->error());
      auto request = (*found)->shadowsRequest();
      schemas::write(request.initQuery(), query);
      return request.send().then([](auto&& response) {
        return taken<policy::ShadowPage>(response.getOutcome(), [](auto value) { return schemas::read_checked(value); });
      });
    });
  });
}

Result<std::vector<policy::DocumentEntry>> Client::documents() const { return list_documents(*link_); }
Result<policy::SearchHits> Client::search_corpus(const std::string& question, std::uint32_t limit) const {
  return clients::search_corpus(*link_, question, limit);
}
Result<policy::CorpusView> Client::change_corpus(policy::CorpusChange change, const OnSent& on_sent) const {
  return send_change(*link_, std::make_shared<const policy::CorpusChange>(std::move(change)), on_sent);
}

Result<policy::NodeView> Client::drain(const std::string& node) const {
  return operate_on(*link_, [node](client::Operator::Client found) {
    auto request = found.drainRequest();
    request.setNode(node);
    return request;
  });
}

Result<policy::NodeView> Client::join(const std::string& node) const {
  return operate_on(*link_, [node](client::Operator::Client found) {
    auto request = found.joinRequest();
    request.setNode(node);
    return request;
  });
}

}  // namespace troupe::clients
