// The other process of the tests of the fabric over NCCL: exposes device memory, sends messages back, does what it is told, and
// lives until its input ends or somebody kills it.
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "bench/cuda_memory.hpp"
#include "bench/words.hpp"
#include "cluster/nccl_fabric.hpp"
#include "cluster/ucx_fabric.hpp"
#include "tests/gpu/gpu_peer.hpp"

namespace troupe::cluster {
namespace {

struct Peer {
  std::unique_ptr<Fabric> fabric;
  std::shared_ptr<bench::CudaMemory> memory;   ///< exposed
  std::shared_ptr<bench::CudaMemory> scratch;  ///< for what it gets
  RegionPtr region;
  RegionPtr scratch_region;

  void say(const NodeId& to, std::span<const std::byte> bytes) const {
    fabric->send(to, Channel::test, payload_of(bytes), TimePoint::max(), nullptr);
  }
  void say(const NodeId& to, const std::string& text) const { say(to, std::as_bytes(std::span(text))); }

  void on_command(const NodeId& from, const Payload& message) {
    GpuCommand command;
    if (message.bytes.size() != sizeof(command)) return say(from, "that is no command");
    std::memcpy(&command, message.bytes.data(), sizeof(command));
    if (command.kind == GpuCommand::Kind::read) {
      std::vector<std::byte> bytes(command.bytes);
      const auto read = memory->read(command.offset, bytes);
      return read ? say(from, bytes) : say(from, read.error().message);
    }
    const RemoteRegion theirs{std::string(reinterpret_cast<const char*>(command.key), command.key_bytes), gpu_region_bytes};
    fabric->get(from, theirs, scratch_region, {{0, 0, gpu_region_bytes}}, TimePoint::max(),
                [this, from](const Result<void>& got) {
                  if (!got) return say(from, got.error().message);
                  std::vector<std::byte> bytes(gpu_region_bytes);
                  const auto read = scratch->read(0, bytes);
                  if (!read) return say(from, read.error().message);
                  say(from, bytes == gpu_pattern(gpu_region_bytes, 1) ? "right" : "wrong bytes");
                });
  }
};

Result<void> run(const std::string& name, std::uint64_t seed) {
  ::setenv("NCCL_HOSTID", ("troupe-test-" + name).c_str(), 1);
  Peer peer;
  TROUPE_TRY(peer.memory, bench::CudaMemory::allocate(gpu_region_bytes));
  TROUPE_TRY(peer.scratch, bench::CudaMemory::allocate(gpu_region_bytes));
  TROUPE_TRY_DO(peer.memory->write(0, gpu_pattern(gpu_region_bytes, seed)));
  TROUPE_TRY(auto control, open_ucx_fabric({name}));
  TROUPE_TRY(peer.fabric, open_nccl_fabric({name}, {}, {}, std::move(control)));
  TROUPE_TRY(peer.region, peer.fabric->expose(peer.memory->memory(), peer.memory));
  TROUPE_TRY(peer.scratch_region, peer.fabric->expose(peer.scratch->memory(), peer.scratch));
  peer.fabric->receive(Channel::expert_work, [&](const NodeId& from, const Payload& message) {
    peer.fabric->send(from, Channel::expert_results, message, TimePoint::max(), nullptr);
  });
  peer.fabric->receive(Channel::test, [&](const NodeId& from, const Payload& message) { peer.on_command(from, message); });
  TROUPE_TRY_DO(bench::say(STDOUT_FILENO, peer.fabric->address()));
  TROUPE_TRY_DO(bench::say(STDOUT_FILENO, peer.region->remote().key));
  while (std::cin.get() != EOF) {
  }
  peer.fabric.reset();
  return {};
}

}  // namespace
}  // namespace troupe::cluster

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: gpu_peer NAME SEED\n", stderr);
    return 2;
  }
  const auto ran = troupe::cluster::run(argv[1], std::strtoull(argv[2], nullptr, 10));
  if (!ran) std::fprintf(stderr, "gpu_peer %s: %s\n", argv[1], ran.error().message.c_str());
  return ran ? 0 : 1;
}
