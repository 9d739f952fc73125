// The benchmark of `troupe bench fabric --transport nccl` as a program of its own, for machines that build little else.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "bench/fabric_nccl.hpp"

int main(int argc, char** argv) {
  using namespace troupe;
  const bool json = argc == 2 && std::strcmp(argv[1], "--json") == 0;
  if (argc > 1 && !json) {
    std::fputs("usage: gpu_bench [--json]\n", stderr);
    return 2;
  }
  const auto result =
      bench::bench_nccl({}, [](const std::string& what) { std::fprintf(stderr, "gpu_bench: %s\n", what.c_str()); });
  if (!result) {
    std::fprintf(stderr, "gpu_bench: %s\n", result.error().message.c_str());
    return 1;
  }
  const char* separator = "[";
  for (const bench::NcclBandwidth& measured : *result) {
    if (json) {
      std::printf("%s{\"bytes\": %zu, \"plain_bytes_per_second\": %.0f, \"gets_of_plain\": %.3f, \"puts_of_plain\": %.3f}",
                  separator, measured.bytes, measured.plain, measured.of_plain(measured.gets),
                  measured.of_plain(measured.puts));
      separator = ", ";
    } else {
      std::printf("%5zu MiB  NCCL alone %.2f GB/s, gets %.2f of it, puts %.2f of it\n", measured.bytes >> 20,
                  measured.plain / 1e9, measured.of_plain(measured.gets), measured.of_plain(measured.puts));
    }
  }
  if (json) std::puts("]");
}
