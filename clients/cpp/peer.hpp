// A connection to one node, in the loop's thread.
#pragma once

#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "schemas/client_codec.hpp"

namespace troupe::clients {

/// What a call came to. A pointer, since KJ's promises do not get along with tl::expected inside. A promise of it that fails
/// means that the connection or the node failed.
template <class T>
using Answered = std::shared_ptr<Result<T>>;
template <class T>
using Promised = kj::Promise<Answered<T>>;

template <class T>
Answered<T> answered(Result<T> result) {
  return std::make_shared<Result<T>>(std::move(result));
}

inline kj::Duration kj_time(Duration time) { return time.count() * kj::NANOSECONDS; }

class Peer {
 public:
  /// Connects and enters; the Error is the node's, or says that it speaks another protocol.
  static Promised<std::shared_ptr<Peer>> connect(kj::Network& network, kj::Timer& timer, const std::string& address);

  Peer(std::string address, kj::Own<kj::AsyncIoStream> stream, kj::Timer& timer);

  const std::string& address() const { return address_; }
  schemas::client::Service::Client service() { return service_; }
  Promised<schemas::client::Operator::Client> operate();
  /// The capability of a conversation on this node.
  Promised<schemas::client::Conversation::Client> conversation(const policy::ConversationId& id);
  void remember(const policy::ConversationId& id, schemas::client::Conversation::Client conversation);
  /// Asks the node each `interval` in which `arrivals()` has not changed whether it is there; fails if it does not say so
  /// within `timeout`, and is never fulfilled.
  kj::Promise<void> probe(std::function<std::uint64_t()> arrivals, Duration interval, Duration timeout);

 private:
  /// Below what a node lets one connection hold.
  static constexpr std::size_t conversations_max = 256;

  std::string address_;
  kj::Timer& timer_;
  kj::Own<kj::AsyncIoStream> stream_;
  capnp::TwoPartyVatNetwork network_;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc_;
  schemas::client::Door::Client door_;
  schemas::client::Service::Client service_;
  std::map<policy::ConversationId, schemas::client::Conversation::Client> conversations_;
};

}  // namespace troupe::clients
