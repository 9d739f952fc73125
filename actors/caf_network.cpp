#include "actors/caf_network.hpp"

#include <algorithm>
#include <caf/io/all.hpp>
#include <caf/io/basp_broker.hpp>
#include <charconv>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace troupe::actors {

namespace {

constexpr auto handshake_timeout = std::chrono::seconds(3);
constexpr std::size_t dialers = 2;
constexpr std::size_t dials_max = 256;

caf::atom_value engine_name(std::size_t index) { return caf::atom_from_string("engine" + std::to_string(index)); }

/// An actor that another node has registered; empty if it has none, or does not answer. As middleman::remote_lookup, which
/// waits five minutes for a node that dies meanwhile, and whoever wants to reach it waits with it.
template <class Handle>
Handle look_up(caf::actor_system& system, caf::atom_value name, const caf::node_id& node) {
  const caf::actor broker = system.middleman().named_broker<caf::io::basp_broker>(caf::atom("BASP"));
  caf::strong_actor_ptr found;
  caf::scoped_actor self{system, true};
  self->send(broker, caf::forward_atom::value, node, caf::atom("ConfigServ"), caf::make_message(caf::get_atom::value, name));
  self->receive([&](caf::strong_actor_ptr& actor) { found = std::move(actor); }, caf::after(handshake_timeout) >> [] {});
  return caf::actor_cast<Handle>(std::move(found));
}

/// CAF's error in the words of whoever gave the address.
std::string told(const caf::actor_system& system, const caf::error& error) {
  if (error == caf::sec::cannot_connect_to_node) return "nothing listens there, or it cannot be reached";
  if (error == caf::sec::disconnect_during_handshake)
    return "what listens there is no node's address for nodes; is it its --listen instead of its --cluster?";
  if (error == caf::sec::connection_timeout) return "what listens there does not answer";
  if (error == caf::sec::cannot_open_port) return "the port is taken, or this machine has no such address";
  return system.render(error);
}

Result<Connected> dial(caf::actor_system& system, const std::string& text, const schemas::Hello& hello) {
  TROUPE_TRY(const Address address, parse_address(text));
  auto node = system.middleman().remote_actor<NodeActor>(address.host, address.port);
  if (!node) return Error{ErrorCode::unavailable, "no node answers at " + text + ": " + told(system, node.error())};
  Connected connected;
  std::optional<Error> failed;
  caf::scoped_actor self{system};
  self->request(*node, handshake_timeout, hello)
      .receive([&](schemas::Welcome& welcome) { connected.welcome = std::move(welcome); },
               [&](caf::error& error) { failed = from_caf(error, "shaking hands with " + text); });
  if (failed) return *failed;
  const caf::node_id id = node->node();
  const auto answering = std::find_if(connected.welcome.nodes.begin(), connected.welcome.nodes.end(),
                                      [&](const policy::NodeView& view) { return view.id == connected.welcome.node; });
  if (answering == connected.welcome.nodes.end()) {
    return Error{ErrorCode::corrupt, "the node at " + text + " does not know itself"};
  }
  connected.node = *answering;
  connected.handles.node = *node;
  connected.handles.home = look_up<HomeActor>(system, caf::atom("home"), id);
  if (connected.handles.home) connected.handles.reader = look_up<ReaderActor>(system, caf::atom("reader"), id);
  if (!connected.handles.home || !connected.handles.reader) {
    return Error{ErrorCode::unavailable, "the node at " + text + " is still starting, or has just ended"};
  }
  if (connected.node.leases) connected.handles.lease = look_up<LeaseActor>(system, caf::atom("lease"), id);
  for (std::size_t index = 0; index < connected.node.replicas.size(); ++index) {
    connected.handles.engines.push_back(look_up<EngineActor>(system, engine_name(index), id));
  }
  connected.handles.kv = look_up<KvShardActor>(system, caf::atom("kv"), id);
  return connected;
}

class CafNetwork final : public Network {
 public:
  explicit CafNetwork(caf::actor_system& system) : system_(system) {
    for (std::size_t i = 0; i < dialers; ++i) threads_.emplace_back([this] { run(); });
  }
  ~CafNetwork() override {
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  CafNetwork(const CafNetwork&) = delete;
  CafNetwork& operator=(const CafNetwork&) = delete;

  void connect(const std::string& address, const schemas::Hello& hello, std::function<void(Result<Connected>)> done) override {
    {
      const std::scoped_lock lock(mutex_);
      if (dials_.size() < dials_max) {
        dials_.push_back({address, hello, std::move(done)});
        changed_.notify_one();
        return;
      }
    }
    done(Error{ErrorCode::overloaded, "too many nodes are being dialled"});
  }

 private:
  struct Dial {
    std::string address;
    schemas::Hello hello;
    std::function<void(Result<Connected>)> done;
  };

  void run() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || !dials_.empty(); });
      if (stopping_) return;
      const Dial next = std::move(dials_.front());
      dials_.pop_front();
      lock.unlock();
      next.done(dial(system_, next.address, next.hello));
    }
  }

  caf::actor_system& system_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Dial> dials_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

void configure(caf::actor_system_config& config) {
  config.load<caf::io::middleman>();
  config.add_message_types<caf::id_block::troupe>();
  config.set("scheduler.policy", caf::atom("sharing"));
  config.set("scheduler.max-threads", std::size_t{2});
  config.set("middleman.workers", std::size_t{0});
  config.set("middleman.heartbeat-interval", caf::timespan(std::chrono::milliseconds(200)));
  // Longer than a node may be silent (DirectoryState::silence_max): it is missed by then, and its connections are kept for when
  // it goes on. Those of a process that has ended break at once.
  config.set("middleman.connection-timeout", caf::timespan(std::chrono::seconds(5)));
  config.set("logger.verbosity", caf::atom("quiet"));
}

void register_handles(caf::actor_system& system, const PeerHandles& handles) {
  const auto put = [&](caf::atom_value name, const auto& handle) {
    if (handle) system.registry().put(name, caf::actor_cast<caf::strong_actor_ptr>(handle));
  };
  put(caf::atom("home"), handles.home);
  put(caf::atom("reader"), handles.reader);
  put(caf::atom("lease"), handles.lease);
  put(caf::atom("kv"), handles.kv);
  for (std::size_t index = 0; index < handles.engines.size(); ++index) put(engine_name(index), handles.engines[index]);
}

Result<std::uint16_t> publish_node(caf::actor_system& system, const NodeActor& node, const std::string& text) {
  TROUPE_TRY(const Address address, parse_address(text));
  auto port = system.middleman().publish(node, address.port, address.host.c_str(), /*reuse_addr=*/true);
  if (!port) {
    return Error{ErrorCode::io, "cannot listen for other nodes on " + text + ": " + told(system, port.error()) +
                                    "; --cluster chooses another one"};
  }
  return *port;
}

std::shared_ptr<Network> make_caf_network(caf::actor_system& system) { return std::make_shared<CafNetwork>(system); }

Result<Address> parse_address(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  Address address;
  if (colon != std::string::npos && colon > 0) {
    address.host = text.substr(0, colon);
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, address.port);
    const bool has_port = error == std::errc{} && stop == end;
    const bool colons = address.host.find(':') != std::string::npos;
    if (has_port && colons && address.host.find_first_not_of("[]:.0123456789abcdefABCDEF") == std::string::npos) {
      return Error{ErrorCode::unsupported, "\"" + text +
                                               "\" is an IPv6 address, and nodes reach each other over IPv4 only; expected for "
                                               "instance 127.0.0.1:" +
                                               std::to_string(address.port)};
    }
    if (has_port && !colons) return address;
  }
  return Error{ErrorCode::invalid_argument, "\"" + text + "\" is no address; expected HOST:PORT, for instance 127.0.0.1:7500"};
}

}  // namespace troupe::actors
