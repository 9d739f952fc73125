#include "clients/cpp/peer.hpp"

#include <utility>

#include "clients/cpp/client.hpp"

namespace troupe::clients {

namespace client = schemas::client;

namespace {

capnp::ReaderOptions reply_options() {
  capnp::ReaderOptions options;
  // A frame holds the reply and what RPC puts around it.
  options.traversalLimitInWords = schemas::words_of(2 * schemas::ClientLimits::reply_bytes);
  options.nestingLimit = schemas::ClientLimits::nesting;
  return options;
}

client::Door::Client bootstrap(capnp::RpcSystem<capnp::rpc::twoparty::VatId>& rpc) {
  capnp::MallocMessageBuilder message;
  auto vat = message.initRoot<capnp::rpc::twoparty::VatId>();
  vat.setSide(capnp::rpc::twoparty::Side::SERVER);
  return rpc.bootstrap(vat).castAs<client::Door>();
}

}  // namespace

Peer::Peer(std::string address, kj::Own<kj::AsyncIoStream> stream, kj::Timer& timer)
    : address_(std::move(address)),
      timer_(timer),
      stream_(kj::mv(stream)),
      network_(*stream_, capnp::rpc::twoparty::Side::CLIENT, reply_options()),
      rpc_(capnp::makeRpcClient(network_)),
      door_(bootstrap(rpc_)),
      service_(nullptr) {}

Promised<std::shared_ptr<Peer>> Peer::connect(kj::Network& network, kj::Timer& timer, const std::string& address) {
  return network.parseAddress(address.c_str(), Client::default_port)
      .then([](kj::Own<kj::NetworkAddress> place) {
        auto connected = place->connect();
        return connected.attach(kj::mv(place));
      })
      .then([address, &timer](kj::Own<kj::AsyncIoStream> stream) {
        auto peer = std::make_shared<Peer>(address, kj::mv(stream), timer);
        auto request = peer->door_.enterRequest();
        request.setProtocol(client::PROTOCOL_VERSION);
        return request.send().then([peer](capnp::Response<client::Door::EnterResults>&& response) {
          const auto outcome = response.getOutcome();
          if (outcome.isFailure()) return answered<std::shared_ptr<Peer>>(schemas::read(outcome.getFailure()));
          peer->service_ = outcome.getValue().getService();
          return answered<std::shared_ptr<Peer>>(peer);
        });
      });
}

Promised<client::Operator::Client> Peer::operate() {
  auto request = door_.operateRequest();
  request.setProtocol(client::PROTOCOL_VERSION);
  return request.send().then([](capnp::Response<client::Door::OperateResults>&& response) {
    const auto outcome = response.getOutcome();
    if (outcome.isFailure()) return answered<client::Operator::Client>(schemas::read(outcome.getFailure()));
    return answered<client::Operator::Client>(outcome.getValue().getOperator());
  });
}

Promised<client::Conversation::Client> Peer::conversation(const policy::ConversationId& id) {
  if (const auto known = conversations_.find(id); known != conversations_.end())
    return answered<client::Conversation::Client>(known->second);
  auto request = service_.resumeRequest();
  request.setId(schemas::bytes_of(id));
  return request.send().then([this, id](capnp::Response<client::Service::ResumeResults>&& response) {
    const auto outcome = response.getOutcome();
    if (outcome.isFailure()) return answered<client::Conversation::Client>(schemas::read(outcome.getFailure()));
    auto conversation = outcome.getValue().getConversation();
    remember(id, conversation);
    return answered<client::Conversation::Client>(conversation);
  });
}

void Peer::remember(const policy::ConversationId& id, client::Conversation::Client conversation) {
  if (conversations_.size() >= conversations_max) conversations_.clear();  // they are had again for a round trip
  conversations_.insert_or_assign(id, kj::mv(conversation));
}

kj::Promise<void> Peer::probe(std::function<std::uint64_t()> arrivals, Duration interval, Duration timeout) {
  const std::uint64_t before = arrivals();
  return timer_.afterDelay(kj_time(interval)).then([=, this]() -> kj::Promise<void> {
    if (arrivals() != before) return probe(arrivals, interval, timeout);
    return timer_.timeoutAfter(kj_time(timeout), service_.pingRequest().send().ignoreResult()).then([=, this] {
      return probe(arrivals, interval, timeout);
    });
  });
}

}  // namespace troupe::clients
