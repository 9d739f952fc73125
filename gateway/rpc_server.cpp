#include "gateway/rpc_server.hpp"

#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>

#include <optional>
#include <utility>

#include "gateway/bounded_stream.hpp"

namespace troupe::gateway {

namespace {

using schemas::ClientLimits;

constexpr auto watch_interval = 1 * kj::SECONDS;
/// A peer that asks for more than it reads is cut off here.
constexpr std::size_t unsent_bytes_max = 4 * ClientLimits::reply_bytes;
/// Requests that are not answered may take this much; nothing further is read from the connection meanwhile.
constexpr std::uint64_t unanswered_bytes_max = 8 * ClientLimits::request_bytes;
/// How long a connection over the limit is kept, so that its client reads why.
constexpr auto refusal_time = 1 * kj::SECONDS;
constexpr auto accept_pause = 100 * kj::MILLISECONDS;

/// For both ways; what comes in is bounded by its stream.
capnp::ReaderOptions reply_options() {
  capnp::ReaderOptions options;
  // A frame holds the reply and what RPC puts around it.
  options.traversalLimitInWords = schemas::words_of(2 * ClientLimits::reply_bytes);
  options.nestingLimit = ClientLimits::nesting;
  return options;
}

struct Connection {
  Connection(kj::Own<kj::AsyncIoStream> socket, capnp::Capability::Client door)
      : stream(kj::mv(socket)),
        messages(*stream, schemas::words_of(ClientLimits::request_bytes)),
        network(messages, capnp::rpc::twoparty::Side::SERVER, reply_options()),
        rpc(capnp::makeRpcServer(network, kj::mv(door))) {
    rpc.setFlowLimit(schemas::words_of(unanswered_bytes_max));
  }

  kj::Own<kj::AsyncIoStream> stream;
  BoundedStream messages;
  capnp::TwoPartyVatNetwork network;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc;
};

/// Everything that lives while the loop runs. A connection that fails takes nothing else with it.
class Server final : private kj::TaskSet::ErrorHandler {
 public:
  Server(FrontBridge& bridge, const GatewayLimits& limits, kj::Timer& timer)
      : bridge_(bridge),
        limits_(limits),
        timer_(timer),
        connections_(std::make_shared<Quota>(limits.connections)),
        refusals_(std::make_shared<Quota>(limits.connections)),
        asks_(std::make_shared<Quota>(limits.asks)),
        corpus_changes_(std::make_shared<Quota>(limits.corpus_changes)),
        tasks_(*this) {}

  void listen(kj::Own<kj::ConnectionReceiver> receiver) {
    auto& accepting = *receiver;
    tasks_.add(accept(accepting).attach(kj::mv(receiver)));
  }

 private:
  kj::Promise<void> accept(kj::ConnectionReceiver& receiver) {
    return receiver.accept().then(
        [this, &receiver](kj::Own<kj::AsyncIoStream> socket) {
          welcome(kj::mv(socket));
          return accept(receiver);
        },
        // No descriptors are left, or the peer was gone before it was accepted: the next one may have more luck.
        [this, &receiver](kj::Exception&&) {
          return timer_.afterDelay(accept_pause).then([this, &receiver] { return accept(receiver); });
        });
  }

  void welcome(kj::Own<kj::AsyncIoStream> socket) {
    auto place = take(connections_, "connections");
    if (place) {
      auto session = std::make_shared<Session>(bridge_, limits_, asks_, corpus_changes_);
      auto connection = kj::heap<Connection>(kj::mv(socket), make_door(std::move(session)));
      auto gone = connection->network.onDisconnect();
      auto served = gone.exclusiveJoin(watch(*connection));
      tasks_.add(served.attach(kj::mv(connection), std::move(*place)));
      return;
    }
    auto refusal = take(refusals_, "refused connections");
    if (!refusal) return;  // the socket closes
    auto connection = kj::heap<Connection>(kj::mv(socket), make_shut_door(place.error()));
    auto gone = connection->network.onDisconnect();
    auto refused = gone.exclusiveJoin(timer_.afterDelay(refusal_time));
    tasks_.add(refused.attach(kj::mv(connection), std::move(*refusal)));
  }

  kj::Promise<void> watch(Connection& connection) {
    return timer_.afterDelay(watch_interval).then([this, &connection]() -> kj::Promise<void> {
      if (connection.network.getCurrentQueueSize() > unsent_bytes_max) return kj::READY_NOW;
      return watch(connection);
    });
  }

  void taskFailed(kj::Exception&&) override {}  // a peer's mistake ends its own connection

  FrontBridge& bridge_;
  const GatewayLimits& limits_;
  kj::Timer& timer_;
  std::shared_ptr<Quota> connections_;
  std::shared_ptr<Quota> refusals_;
  std::shared_ptr<Quota> asks_;
  std::shared_ptr<Quota> corpus_changes_;
  kj::TaskSet tasks_;  // first to go
};

kj::Promise<void> poll(kj::Timer& timer, const std::function<bool()>& until) {
  if (until()) return kj::READY_NOW;
  return timer.afterDelay(Gateway::until_interval.count() * kj::MILLISECONDS).then([&timer, &until] {
    return poll(timer, until);
  });
}

}  // namespace

Result<std::unique_ptr<Gateway>> Gateway::open(actors::Front& front, const GatewayOptions& options) {
  if (options.listen.empty()) {
    return Error{ErrorCode::invalid_argument, "there is no address to listen on, expected one at least, as in 127.0.0.1:7400"};
  }
  std::vector<Listener> listeners;
  for (const std::string& address : options.listen) {
    TROUPE_TRY(auto listener, Listener::open(address));
    listeners.push_back(std::move(listener));
  }
  return open(front, std::move(listeners), options.limits);
}

std::unique_ptr<Gateway> Gateway::open(actors::Front& front, std::vector<Listener> listeners, const GatewayLimits& limits) {
  return std::unique_ptr<Gateway>(new Gateway(front, limits, std::move(listeners)));
}

Gateway::Gateway(actors::Front& front, const GatewayLimits& limits, std::vector<Listener> listeners)
    : front_(front), limits_(limits), listeners_(std::move(listeners)), inbox_(std::make_shared<TaskInbox>()) {}

Gateway::~Gateway() = default;

void Gateway::run(const std::function<bool()>& until) {
  auto io = kj::setupAsyncIo();
  kj::Timer& timer = io.provider->getTimer();
  FrontBridge bridge(front_, inbox_);
  auto stopped = kj::newPromiseAndFulfiller<void>();
  {
    Server server(bridge, limits_, timer);
    for (const Listener& listener : listeners_)
      server.listen(
          io.lowLevelProvider->wrapListenSocketFd(listener.descriptor(), kj::LowLevelAsyncIoProvider::ALREADY_NONBLOCK));
    auto inbox = inbox_->run([&](const Task& task) {
      task();
      if (stopping_) stopped.fulfiller->fulfill();
    });
    auto end = stopped.promise.exclusiveJoin(inbox.then([]() -> kj::Promise<void> { return kj::NEVER_DONE; }));
    if (until) end = end.exclusiveJoin(poll(timer, until));
    end.wait(io.waitScope);
  }
  inbox_->close();
  listeners_.clear();
}

void Gateway::stop() {
  inbox_->post([this] { stopping_ = true; });
}

std::vector<std::string> Gateway::addresses() const {
  std::vector<std::string> all;
  for (const Listener& listener : listeners_) all.push_back(listener.address());
  return all;
}

}  // namespace troupe::gateway
