#include "bench/fabric_process.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>

#include "bench/words.hpp"

namespace troupe::bench {

namespace {

using cluster::Channel;

Error io_error(const std::string& doing) { return {ErrorCode::io, doing + ": " + std::strerror(errno)}; }

Result<FabricEnd> open_end(const cluster::NodeId& name, const std::string& transports) {
  cluster::UcxOptions options;
  options.transports = transports;
  FabricEnd end;
  TROUPE_TRY(end.fabric, cluster::open_ucx_fabric(name, {}, options));
  TROUPE_TRY(end.wire, cluster::open_ucx_wire(options));
  return end;
}

void serve_wire(FabricEnd& end, std::span<std::byte> memory) {
  bool stopped = false;
  end.wire->listen({[&](cluster::Arrival& arrival) {
                      const std::string head(reinterpret_cast<const char*>(arrival.head().data()), arrival.head().size());
                      if (head == raw_stop || arrival.bytes() > memory.size()) {
                        stopped = true;
                        return;
                      }
                      const auto target = memory.first(arrival.bytes());
                      arrival.receive(target, [&end, head, target](const Result<void>&) {
                        end.wire->send(end.link, head, head == raw_echo ? target : std::span<std::byte>(),
                                       [](const Result<void>&) {});
                      });
                    },
                    [&](cluster::LinkId, const Error&) { stopped = true; }});
  while (!stopped) end.wire->progress();
}

void serve_connection(int listener, std::size_t bytes, std::span<std::byte> memory) {
  const int connection = ::accept(listener, nullptr, nullptr);
  std::size_t here = 0;
  for (;;) {
    const ssize_t count = ::recv(connection, memory.data() + here, bytes - here, 0);
    if (count <= 0) break;
    here += static_cast<std::size_t>(count);
    if (here < bytes) continue;
    here = 0;
    if (::send(connection, "k", 1, MSG_NOSIGNAL) != 1) break;
  }
  ::close(connection);
}

/// The forked process.
Result<void> serve(int commands, int answers, std::size_t bytes_max, const std::string& transports) {
  TROUPE_TRY(auto end, open_end(far_end, transports));
  const auto memory = std::make_shared<std::vector<std::byte>>(bytes_max, std::byte{1});
  std::vector<std::byte> raw_memory(bytes_max, std::byte{1});
  TROUPE_TRY(const auto region, end.fabric->expose(*memory, memory));
  end.fabric->receive(Channel::test, [&](const cluster::NodeId& from, const cluster::Payload&) {
    end.fabric->send(from, Channel::expert_results, {}, TimePoint::max(), nullptr);
  });
  end.fabric->receive(Channel::expert_work, [&](const cluster::NodeId& from, const cluster::Payload& message) {
    end.fabric->send(from, Channel::expert_results, message, TimePoint::max(), nullptr);
  });
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(where);
  if (::bind(listener, reinterpret_cast<sockaddr*>(&where), size) != 0 || ::listen(listener, 1) != 0 ||
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&where), &size) != 0) {
    return io_error("listening on loopback");
  }
  for (const std::string& text :
       {end.fabric->address(), end.wire->address(), region->remote().key, std::to_string(ntohs(where.sin_port))}) {
    TROUPE_TRY_DO(say(answers, text));
  }
  TROUPE_TRY(const std::string fabric_address, hear(commands));
  TROUPE_TRY(const std::string wire_address, hear(commands));
  TROUPE_TRY_DO(end.fabric->connect(near_end, fabric_address));
  TROUPE_TRY(end.link, end.wire->open(wire_address));
  for (;;) {
    const auto command = hear(commands);
    if (!command) break;  // the other end is done
    if (*command == "raw") {
      serve_wire(end, raw_memory);
    } else {
      serve_connection(listener, std::stoull(*command), raw_memory);
    }
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<FabricProcess>> FabricProcess::start(std::size_t bytes_max, const std::string& transports) {
  std::array<int, 2> commands{};
  std::array<int, 2> answers{};
  if (::pipe(commands.data()) != 0 || ::pipe(answers.data()) != 0) return io_error("making pipes");
  std::unique_ptr<FabricProcess> process(new FabricProcess());
  process->process_ = ::fork();
  if (process->process_ < 0) return io_error("forking");
  if (process->process_ == 0) {
    ::close(commands[1]);
    ::close(answers[0]);
    ::signal(SIGPIPE, SIG_IGN);
    const auto served = serve(commands[0], answers[1], bytes_max, transports);
    if (!served) std::fprintf(stderr, "the other process of the benchmark: %s\n", served.error().message.c_str());
    ::_exit(served ? 0 : 1);
  }
  ::close(commands[0]);
  ::close(answers[1]);
  process->commands_ = commands[1];
  TROUPE_TRY(process->end_, open_end(near_end, transports));
  TROUPE_TRY(const std::string fabric_address, hear(answers[0]));
  TROUPE_TRY(const std::string wire_address, hear(answers[0]));
  TROUPE_TRY(process->region_.key, hear(answers[0]));
  TROUPE_TRY(process->port_, hear(answers[0]));
  ::close(answers[0]);
  process->region_.bytes = bytes_max;
  TROUPE_TRY_DO(say(process->commands_, process->end_.fabric->address()));
  TROUPE_TRY_DO(say(process->commands_, process->end_.wire->address()));
  TROUPE_TRY_DO(process->end_.fabric->connect(far_end, fabric_address));
  TROUPE_TRY(process->end_.link, process->end_.wire->open(wire_address));
  return process;
}

FabricProcess::~FabricProcess() {
  if (commands_ >= 0) ::close(commands_);
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
}

Result<void> FabricProcess::serve_raw() { return say(commands_, "raw"); }

Result<int> FabricProcess::serve_socket(std::size_t bytes) {
  TROUPE_TRY_DO(say(commands_, std::to_string(bytes)));
  const int connection = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  where.sin_port = htons(static_cast<std::uint16_t>(std::stoi(port_)));
  if (::connect(connection, reinterpret_cast<sockaddr*>(&where), sizeof(where)) != 0) return io_error("connecting on loopback");
  return connection;
}

}  // namespace troupe::bench
