// gpu_engine_bench: prints what engine_bench.hpp measures, against how fast the GPU reads its memory.
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "tests/gpu/engine_bench.hpp"
#include "tests/gpu/hopper.hpp"
#include "tests/gpu/timing.hpp"

namespace {

using namespace troupe::bench;

void print_table(const EngineSpeeds& speeds, double ceiling) {
  std::printf("reads %.0f GB/s\n\n%-14s %6s %8s %9s %9s %9s %7s\n", ceiling / 1e9, "decoding", "batch", "context", "ms",
              "tokens/s", "of floor", "idle");
  for (const EngineDecodeSpeed& speed : speeds.decoding) {
    std::printf("%-14s %6d %8d %9.4f %9.1f %9.3f %7.4f\n", speed.model.c_str(), speed.batch, speed.context, speed.seconds * 1e3,
                speed.batch / speed.seconds, speed.of_floor(ceiling), speed.idle);
  }
  std::printf("\n%-14s %8s %9s %9s %9s\n", "prefill", "tokens", "ms", "tokens/s", "TFLOP/s");
  for (const EnginePrefillSpeed& speed : speeds.prefill) {
    std::printf("%-14s %8d %9.2f %9.0f %9.1f\n", speed.model.c_str(), speed.tokens, speed.seconds * 1e3,
                speed.tokens / speed.seconds, speed.operations / speed.seconds / 1e12);
  }
}

void print_json(const EngineSpeeds& speeds, double ceiling) {
  nlohmann::ordered_json found{
      {"read_bytes_per_second", ceiling}, {"decoding", nlohmann::json::array()}, {"prefill", nlohmann::json::array()}};
  for (const EngineDecodeSpeed& speed : speeds.decoding) {
    auto parts = nlohmann::json::array();
    for (const double seconds : speed.part_seconds) parts.push_back(seconds * 1e3);
    found["decoding"].push_back({{"model", speed.model},
                                 {"batch", speed.batch},
                                 {"context", speed.context},
                                 {"ms", speed.seconds * 1e3},
                                 {"parts_ms", std::move(parts)},
                                 {"of_floor", speed.of_floor(ceiling)},
                                 {"idle", speed.idle}});
  }
  for (const EnginePrefillSpeed& speed : speeds.prefill) {
    found["prefill"].push_back({{"model", speed.model},
                                {"tokens", speed.tokens},
                                {"ms", speed.seconds * 1e3},
                                {"tflops", speed.operations / speed.seconds / 1e12}});
  }
  std::printf("%s\n", found.dump().c_str());
}

}  // namespace

int main(int argc, char** argv) {
  bool json = false;
  std::string shapes = "bench/shapes";
  std::string only;
  std::string checkpoint;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0) {
      json = true;
    } else if (std::strcmp(argv[i], "--shapes") == 0 && i + 1 < argc) {
      shapes = argv[++i];
    } else if (std::strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
      only = argv[++i];
    } else if (std::strcmp(argv[i], "--load") == 0 && i + 1 < argc) {
      checkpoint = argv[++i];
    } else {
      std::fputs("usage: gpu_engine_bench [--json] [--shapes FOLDER] [--only MODEL | --load CHECKPOINT]\n", stderr);
      return 2;
    }
  }
  if (const auto why = troupe::kernels::cuda::why_no_hopper()) {
    std::fprintf(stderr, "gpu_engine_bench: %s\n", why->c_str());
    return 3;
  }
  if (!checkpoint.empty()) {
    const auto load = measure_load(checkpoint);
    if (!load) {
      std::fprintf(stderr, "gpu_engine_bench: %s\n", load.error().message.c_str());
      return 1;
    }
    std::printf("%s: %.2f GB in %.3f s, %.1f GB/s\n", checkpoint.c_str(), load->bytes / 1e9, load->seconds,
                load->bytes / load->seconds / 1e9);
    return 0;
  }
  EngineSpeeds speeds;
  const double ceiling = troupe::kernels::cuda::read_ceiling();
  for (const EngineCases& cases : engine_cases()) {
    if (!only.empty() && only != cases.model) continue;
    const auto say = [](const std::string& line) { std::fprintf(stderr, "gpu_engine_bench: %s\n", line.c_str()); };
    if (const auto measured = measure_engine_cases(cases, shapes, speeds, say); !measured) {
      std::fprintf(stderr, "gpu_engine_bench: %s: %s\n", cases.model.c_str(), measured.error().message.c_str());
      return 1;
    }
  }
  json ? print_json(speeds, ceiling) : print_table(speeds, ceiling);
  return 0;
}
