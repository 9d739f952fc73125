#include "bench/fabric_nccl.hpp"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "bench/cuda_memory.hpp"
#include "bench/nccl_plain.hpp"
#include "bench/transfer_rate.hpp"
#include "bench/words.hpp"
#include "cluster/nccl_fabric.hpp"
#include "cluster/ucx_fabric.hpp"

namespace troupe::bench {

namespace {

const cluster::NodeId near_end{"near"};
const cluster::NodeId far_end{"far"};

std::vector<std::byte> pattern(std::size_t bytes) {
  std::vector<std::byte> memory(bytes);
  for (std::size_t i = 0; i < bytes; ++i) memory[i] = static_cast<std::byte>(i * 2654435761U >> 13);
  return memory;
}

/// One of the two processes.
struct NcclEnd {
  std::shared_ptr<CudaMemory> memory;
  std::unique_ptr<cluster::Fabric> fabric;
  cluster::RegionPtr region;
  std::unique_ptr<NcclPlain> plain;
};

Result<NcclEnd> open_end(const cluster::NodeId& name, std::size_t bytes_max, const NcclBenchOptions& options) {
  ::setenv("NCCL_HOSTID", ("troupe-bench-" + name.value).c_str(), 1);
  cluster::UcxOptions ucx;
  ucx.transports = options.transports;
  cluster::NcclOptions nccl;
  nccl.device = options.device;
  NcclEnd end;
  TROUPE_TRY(end.memory, CudaMemory::allocate(bytes_max, options.device));
  TROUPE_TRY_DO(end.memory->write(0, pattern(bytes_max)));
  TROUPE_TRY(auto control, cluster::open_ucx_fabric(name, {}, ucx));
  TROUPE_TRY(end.fabric, cluster::open_nccl_fabric(name, {}, nccl, std::move(control)));
  TROUPE_TRY(end.region, end.fabric->expose(end.memory->memory(), end.memory));
  return end;
}

/// The forked process: receives what it is told to, over NCCL alone, until nobody tells it anything any more.
Result<void> serve(int socket, std::size_t bytes_max, const NcclBenchOptions& options) {
  TROUPE_TRY(auto end, open_end(far_end, bytes_max, options));
  TROUPE_TRY_DO(say(socket, end.fabric->address()));
  TROUPE_TRY_DO(say(socket, end.region->remote().key));
  TROUPE_TRY(const std::string id, hear(socket));
  TROUPE_TRY(end.plain, NcclPlain::join(id, 1, options.device));
  for (;;) {
    const auto bytes = hear(socket);
    if (!bytes) return {};
    TROUPE_TRY(const std::string times, hear(socket));
    TROUPE_TRY_DO(end.plain->receive(end.memory->memory().first(std::stoull(*bytes)), std::stoi(times)));
    TROUPE_TRY_DO(say(socket, "received"));
  }
}

class FarProcess {
 public:
  static Result<std::unique_ptr<FarProcess>> start(std::size_t bytes_max, const NcclBenchOptions& options) {
    std::array<int, 2> sockets{};
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets.data()) != 0) return Error{ErrorCode::io, "no pair of sockets"};
    std::unique_ptr<FarProcess> process(new FarProcess());
    process->process_ = ::fork();
    if (process->process_ < 0) return Error{ErrorCode::io, "no second process"};
    if (process->process_ == 0) {
      ::close(sockets[0]);
      ::signal(SIGPIPE, SIG_IGN);
      const auto served = serve(sockets[1], bytes_max, options);
      if (!served) std::fprintf(stderr, "the other process of the benchmark: %s\n", served.error().message.c_str());
      ::_exit(served ? 0 : 1);
    }
    ::close(sockets[1]);
    process->socket_ = sockets[0];
    return process;
  }
  ~FarProcess() {
    if (socket_ >= 0) ::close(socket_);
    if (process_ > 0) {
      ::kill(process_, SIGKILL);
      ::waitpid(process_, nullptr, 0);
    }
  }
  FarProcess(const FarProcess&) = delete;
  FarProcess& operator=(const FarProcess&) = delete;
  int socket() const { return socket_; }

 private:
  FarProcess() = default;
  int socket_ = -1;
  pid_t process_ = -1;
};

Result<double> measure_plain(NcclEnd& end, int socket, std::size_t bytes, int transfers) {
  const auto move = [&](int times) -> Result<void> {
    TROUPE_TRY_DO(say(socket, std::to_string(bytes)));
    TROUPE_TRY_DO(say(socket, std::to_string(times)));
    TROUPE_TRY_DO(end.plain->send(end.memory->memory().first(bytes), times));
    TROUPE_TRY(const std::string received, hear(socket));
    return {};
  };
  TROUPE_TRY_DO(move((transfers + 4) / 5));
  const auto started = Steady::now();
  TROUPE_TRY_DO(move(transfers));
  return rate(bytes, transfers, started);
}

/// That what is measured moves the right bytes.
Result<void> check_bytes(NcclEnd& end, const cluster::RemoteRegion& region, std::size_t bytes) {
  TROUPE_TRY_DO(end.memory->write(0, std::vector<std::byte>(bytes)));
  TransferCount count;
  end.fabric->get(far_end, region, end.region, {{0, 0, bytes}}, TimePoint::max(), count.done());
  TROUPE_TRY_DO(count.wait(1));
  std::vector<std::byte> here(bytes);
  TROUPE_TRY_DO(end.memory->read(0, here));
  if (here == pattern(bytes)) return {};
  return Error{ErrorCode::corrupt, "the fabric brought other bytes than the other process holds"};
}

}  // namespace

Result<std::vector<NcclBandwidth>> bench_nccl(const NcclBenchOptions& options,
                                              const std::function<void(const std::string&)>& progress) {
  const std::size_t bytes_max = *std::max_element(options.sizes.begin(), options.sizes.end());
  TROUPE_TRY(const auto process, FarProcess::start(bytes_max, options));
  TROUPE_TRY(auto end, open_end(near_end, bytes_max, options));
  TROUPE_TRY(const std::string address, hear(process->socket()));
  TROUPE_TRY(const std::string key, hear(process->socket()));
  const cluster::RemoteRegion region{key, bytes_max};
  TROUPE_TRY_DO(end.fabric->connect(far_end, address));
  TROUPE_TRY(const std::string id, NcclPlain::draw_id());
  TROUPE_TRY_DO(say(process->socket(), id));
  progress("joining two processes over NCCL alone");
  TROUPE_TRY(end.plain, NcclPlain::join(id, 0, options.device));
  progress("joining them over the fabric");
  TROUPE_TRY_DO(check_bytes(end, region, bytes_max));
  std::vector<NcclBandwidth> result;
  for (const std::size_t bytes : options.sizes) {
    progress("transfers of " + std::to_string(bytes) + " bytes");
    std::array<std::vector<double>, 3> rates;
    const std::vector<cluster::Piece> whole = {{0, 0, bytes}};
    for (int round = 0; round < options.rounds; ++round) {
      TROUPE_TRY(const double plain, measure_plain(end, process->socket(), bytes, options.transfers));
      TROUPE_TRY(const double gets, measure(bytes, options.transfers, [&](TransferCount& count) {
                   end.fabric->get(far_end, region, end.region, whole, TimePoint::max(), count.done());
                 }));
      TROUPE_TRY(const double puts, measure(bytes, options.transfers, [&](TransferCount& count) {
                   end.fabric->put(far_end, end.region, region, whole, TimePoint::max(), count.done());
                 }));
      rates[0].push_back(gets);
      rates[1].push_back(puts);
      rates[2].push_back(plain);
    }
    result.push_back({bytes, median(rates[0]), median(rates[1]), median(rates[2])});
  }
  // NCCL alone waits for its peer when it ends, and the peer for nobody.
  end.fabric.reset();
  return result;
}

}  // namespace troupe::bench
