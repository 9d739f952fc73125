// How fast the CUDA kernels are, beside what the same GPU reads per second in the same run, and beside cuBLAS if it is here.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>

#include "tests/gpu/decode_attention_bench.hpp"
#include "tests/gpu/hopper.hpp"
#include "tests/gpu/kernels_bench.hpp"
#include "tests/gpu/moe_bench.hpp"
#include "tests/gpu/passes_bench.hpp"
#include "tests/gpu/sample_bench.hpp"
#include "tests/gpu/timing.hpp"

namespace troupe::kernels::cuda {
namespace {

struct Measured {
  std::string gpu;
  double read_bytes_per_second = 0;
  bool cublas = false;
  std::vector<ProductSpeed> products;
  std::vector<DecodeSpeed> decoding;
  std::vector<DecodeAttentionSpeed> decode_attention;
  std::vector<AttentionSpeed> attention;
  std::vector<PassSpeed> passes;
  std::vector<MoeSpeed> moe;
  std::vector<SampleSpeed> sampling;
};

constexpr const char* parts[] = {"products", "decoding", "decode_attention", "attention", "passes", "moe", "sampling"};

/// What the command line asks for.
struct Wanted {
  std::string only;       ///< one of the parts; empty: all
  std::vector<int> rows;  ///< of products
};

Measured measure(const Wanted& wanted) {
  const auto wants = [&](const char* part) { return wanted.only.empty() || wanted.only == part; };
  Measured measured;
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, 0));
  measured.gpu = properties.name;
  measured.read_bytes_per_second = read_ceiling();
  const auto cublas = Cublas::open();
  measured.cublas = cublas != nullptr;
  if (wants("products")) measure_products(measured.products, cublas.get(), wanted.rows);
  if (wants("decoding")) measure_decoding(measured.decoding);
  if (wants("decode_attention")) measure_decode_attention(measured.decode_attention);
  if (wants("attention")) measure_attention(measured.attention);
  if (wants("passes")) measure_passes(measured.passes);
  if (wants("moe")) measure_moe(measured.moe);
  if (wants("sampling")) measure_sampling(measured.sampling);
  return measured;
}

/// Of what something took beside us, if it was measured: its microseconds, and these as a share of ours.
void print_seconds(const char* name, const char* share, const std::optional<double>& seconds, double ours) {
  if (seconds)
    std::printf(", \"%s\": %.2f, \"%s\": %.3f", name, *seconds * 1e6, share, *seconds / ours);
  else
    std::printf(", \"%s\": null, \"%s\": null", name, share);
}

void print_json(const Measured& measured) {
  const double ceiling = measured.read_bytes_per_second;
  std::printf("{\"gpu\": \"%s\", \"read_bytes_per_second\": %.0f, \"cublas\": %s,\n \"products\": [", measured.gpu.c_str(),
              ceiling, measured.cublas ? "true" : "false");
  const char* separator = "\n";
  for (const ProductSpeed& speed : measured.products) {
    std::printf(
        "%s  {\"model\": \"%s\", \"matrix\": \"%s\", \"outputs\": %d, \"inputs\": %d, \"rows\": %d, \"us\": %.2f, "
        "\"of_floor\": %.3f, \"tflops\": %.1f",
        separator, speed.model.c_str(), speed.matrix.c_str(), speed.outputs, speed.inputs, speed.rows, speed.seconds * 1e6,
        speed.of_floor(ceiling), speed.operations_per_second() / 1e12);
    print_seconds("cublas_us", "of_cublas", speed.cublas_seconds, speed.seconds);
    print_seconds("cublas_same_work_us", "of_cublas_same_work", speed.cublas_added_seconds, speed.seconds);
    print_seconds("plain_us", "of_plain", speed.plain_seconds, speed.seconds);
    std::printf("}");
    separator = ",\n";
  }
  std::printf("],\n \"decoding\": [");
  separator = "\n";
  for (const DecodeSpeed& speed : measured.decoding) {
    std::printf("%s  {\"model\": \"%s\", \"batch\": %d, \"context\": %d, \"ms\": %.4f, \"floor_ms\": %.4f, \"of_floor\": %.3f}",
                separator, speed.model.c_str(), speed.rows, speed.context, speed.seconds * 1e3,
                speed.floor_seconds(ceiling) * 1e3, speed.of_floor(ceiling));
    separator = ",\n";
  }
  std::printf("],\n \"decode_attention\": [");
  separator = "\n";
  for (const DecodeAttentionSpeed& speed : measured.decode_attention) {
    std::printf(
        "%s  {\"head_dim\": %d, \"heads\": %d, \"kv_heads\": %d, \"batch\": %d, \"lengths\": \"%s\", \"us\": %.2f, "
        "\"of_floor\": %.3f, \"plan_us\": %.2f}",
        separator, speed.head_dim, speed.heads, speed.kv_heads, speed.rows, speed.lengths.c_str(), speed.seconds * 1e6,
        speed.of_floor(ceiling), speed.plan_seconds * 1e6);
    separator = ",\n";
  }
  std::printf("],\n \"attention\": [");
  separator = "\n";
  for (const AttentionSpeed& speed : measured.attention) {
    std::printf(
        "%s  {\"head_dim\": %d, \"heads\": %d, \"kv_heads\": %d, \"context\": %d, \"rows\": %d, \"ms\": %.4f, \"tflops\": "
        "%.1f}",
        separator, speed.head_dim, speed.heads, speed.kv_heads, speed.context, speed.rows, speed.seconds * 1e3,
        speed.operations_per_second() / 1e12);
    separator = ",\n";
  }
  std::printf("],\n \"passes\": [");
  separator = "\n";
  for (const PassSpeed& speed : measured.passes) {
    std::printf("%s  {\"model\": \"%s\", \"rows\": %d, \"ms\": %.3f, \"tflops\": %.1f}", separator, speed.model.c_str(),
                speed.rows, speed.seconds * 1e3, speed.operations_per_second() / 1e12);
    separator = ",\n";
  }
  std::printf("],\n \"moe\": [");
  separator = "\n";
  for (const MoeSpeed& speed : measured.moe) {
    std::printf(
        "%s  {\"model\": \"%s\", \"rows\": %d, \"experts\": %.1f, \"us\": %.2f, \"floor_us\": %.2f, \"of_floor\": %.3f, "
        "\"tflops\": %.1f}",
        separator, speed.model.c_str(), speed.rows, speed.experts, speed.seconds * 1e6, speed.floor_seconds(ceiling) * 1e6,
        speed.of_floor(ceiling), speed.operations_per_second() / 1e12);
    separator = ",\n";
  }
  std::printf("],\n \"sampling\": [");
  separator = "\n";
  for (const SampleSpeed& speed : measured.sampling) {
    std::printf(
        "%s  {\"options\": \"%s\", \"vocabulary\": %d, \"rows\": %d, \"blocks_per_row\": %d, \"us\": %.2f, \"of_floor\": %.3f}",
        separator, speed.options.c_str(), speed.vocabulary, speed.rows, speed.blocks_per_row, speed.seconds * 1e6,
        speed.of_floor(ceiling));
    separator = ",\n";
  }
  std::printf("]}\n");
}

/// Microseconds, and these as a share of ours.
void print_beside(const std::optional<double>& seconds, double ours) {
  if (seconds)
    std::printf(" %10.2f %5.2f", *seconds * 1e6, *seconds / ours);
  else
    std::printf(" %10s %5s", "-", "-");
}
void print_beside(const ProductSpeed& speed) {
  print_beside(speed.cublas_seconds, speed.seconds);
  print_beside(speed.cublas_added_seconds, speed.seconds);
  print_beside(speed.plain_seconds, speed.seconds);
}
constexpr const char* beside = "    cuBLAS, of ours  added to rows, our plain one";

/// A line for each shape and number of rows: by each plan, and a star at the picked one.
void print_plans(const std::vector<PlansSpeed>& speeds) {
  std::printf("%-15s %5s %8s %s  by plan, us\n", "product", "rows", "us", beside);
  for (const PlansSpeed& speed : speeds) {
    const ProductSpeed& picked = speed.picked;
    std::printf("%-5s %-9s %5d %8.2f", picked.model.c_str(), picked.matrix.c_str(), picked.rows, picked.seconds * 1e6);
    print_beside(picked);
    std::printf(" ");
    for (const PlanSpeed& by : speed.plans) {
      std::printf(" %s%dx%d%s %.2f", by.plan == speed.pick ? "*" : "", by.plan.outputs, by.plan.rows, by.plan.split ? "s" : "",
                  by.seconds * 1e6);
    }
    std::printf("\n");
  }
}

void print_table(const Measured& measured) {
  const double ceiling = measured.read_bytes_per_second;
  std::printf("%s: reads %.0f GB/s\n\n%-15s %6s %10s %9s %8s %s\n", measured.gpu.c_str(), ceiling / 1e9, "product", "rows",
              "us", "of floor", "TFLOP/s", beside);
  for (const ProductSpeed& speed : measured.products) {
    std::printf("%-5s %-9s %6d %10.2f %9.3f %8.1f", speed.model.c_str(), speed.matrix.c_str(), speed.rows, speed.seconds * 1e6,
                speed.of_floor(ceiling), speed.operations_per_second() / 1e12);
    print_beside(speed);
    std::printf("\n");
  }
  std::printf("\n%-8s %6s %8s %9s %9s %9s\n", "decoding", "batch", "context", "ms", "floor ms", "of floor");
  for (const DecodeSpeed& speed : measured.decoding) {
    std::printf("%-8s %6d %8d %9.3f %9.3f %9.3f\n", speed.model.c_str(), speed.rows, speed.context, speed.seconds * 1e3,
                speed.floor_seconds(ceiling) * 1e3, speed.of_floor(ceiling));
  }
  std::printf("\n%-16s %6s %9s %6s %13s %9s %9s %8s\n", "decode attention", "heads", "head_dim", "batch", "lengths", "us",
              "of floor", "plan us");
  for (const DecodeAttentionSpeed& speed : measured.decode_attention) {
    const std::string heads = std::to_string(speed.heads) + "/" + std::to_string(speed.kv_heads);
    std::printf("%-16s %6s %9d %6d %13s %9.2f %9.3f %8.2f\n", "", heads.c_str(), speed.head_dim, speed.rows,
                speed.lengths.c_str(), speed.seconds * 1e6, speed.of_floor(ceiling), speed.plan_seconds * 1e6);
  }
  std::printf("\n%-9s %6s %9s %8s %6s %9s %8s\n", "attention", "heads", "head_dim", "context", "rows", "ms", "TFLOP/s");
  for (const AttentionSpeed& speed : measured.attention) {
    const std::string heads = std::to_string(speed.heads) + "/" + std::to_string(speed.kv_heads);
    std::printf("%-9s %6s %9d %8d %6d %9.3f %8.1f\n", "", heads.c_str(), speed.head_dim, speed.context, speed.rows,
                speed.seconds * 1e3, speed.operations_per_second() / 1e12);
  }
  std::printf("\n%-8s %6s %9s %8s\n", "pass", "rows", "ms", "TFLOP/s");
  for (const PassSpeed& speed : measured.passes) {
    std::printf("%-8s %6d %9.2f %8.1f\n", speed.model.c_str(), speed.rows, speed.seconds * 1e3,
                speed.operations_per_second() / 1e12);
  }
  std::printf("\n%-8s %6s %8s %9s %9s %9s %8s\n", "moe", "rows", "experts", "us", "floor us", "of floor", "TFLOP/s");
  for (const MoeSpeed& speed : measured.moe) {
    std::printf("%-8s %6d %8.1f %9.2f %9.2f %9.3f %8.1f\n", speed.model.c_str(), speed.rows, speed.experts, speed.seconds * 1e6,
                speed.floor_seconds(ceiling) * 1e6, speed.of_floor(ceiling), speed.operations_per_second() / 1e12);
  }
  std::printf("\n%-32s %10s %6s %6s %9s %9s\n", "sampling", "vocabulary", "rows", "blocks", "us", "of floor");
  for (const SampleSpeed& speed : measured.sampling) {
    std::printf("%-32s %10d %6d %6d %9.2f %9.3f\n", speed.options.c_str(), speed.vocabulary, speed.rows, speed.blocks_per_row,
                speed.seconds * 1e6, speed.of_floor(ceiling));
  }
}

bool is_part(const std::string& name) { return std::find(std::begin(parts), std::end(parts), name) != std::end(parts); }

/// What is printed: everything as a table or as JSON, or products of many rows by all plans.
enum class Report { table, json, plans };

int run(Report report, const Wanted& wanted) {
  if (const auto why = why_no_hopper()) {
    std::fprintf(stderr, "gpu_kernels_bench: %s\n", why->c_str());
    return 3;
  }
  if (report == Report::plans) {
    const auto cublas = Cublas::open();
    std::vector<PlansSpeed> speeds;
    measure_plans(speeds, cublas.get(), wanted.rows);
    print_plans(speeds);
    return 0;
  }
  const Measured measured = measure(wanted);
  report == Report::json ? print_json(measured) : print_table(measured);
  return 0;
}

/// Numbers of rows with commas between; empty if one of them is not among product_rows.
std::vector<int> rows_of(const std::string& list) {
  std::vector<int> rows;
  std::istringstream words(list);
  for (std::string word; std::getline(words, word, ',');) {
    const auto* const found = std::find_if(std::begin(product_rows), std::end(product_rows),
                                           [&](int count) { return std::to_string(count) == word; });
    if (found == std::end(product_rows)) return {};
    rows.push_back(*found);
  }
  return rows;
}

int usage() {
  std::fputs("usage: gpu_kernels_bench [--json | --plans] [--only PART] [--rows LIST]\nA part is one of", stderr);
  for (const char* part : parts) std::fprintf(stderr, " %s", part);
  std::fputs(".\nRows of products, with commas between, are some of", stderr);
  for (const int count : product_rows) std::fprintf(stderr, " %d", count);
  std::fputs(
      ".\n--plans compares all ways to cut products of 64 rows and more into tiles. Beside ours: cuBLAS's product alone, and "
      "of\n"
      "products that are added to residual rows cuBLAS's with the sum, and ours as plain rows.\n",
      stderr);
  return 2;
}

}  // namespace
}  // namespace troupe::kernels::cuda

int main(int argc, char** argv) {
  using namespace troupe::kernels::cuda;
  Report report = Report::table;
  Wanted wanted{{}, {std::begin(product_rows), std::end(product_rows)}};
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--json") {
      report = Report::json;
    } else if (option == "--plans") {
      report = Report::plans;
    } else if (option == "--only" && i + 1 < argc && is_part(argv[i + 1])) {
      wanted.only = argv[++i];
    } else if (option == "--rows" && i + 1 < argc && !rows_of(argv[i + 1]).empty()) {
      wanted.rows = rows_of(argv[++i]);
    } else {
      return usage();
    }
  }
  try {
    return run(report, wanted);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gpu_kernels_bench: %s\n", error.what());
    return 1;
  }
}
