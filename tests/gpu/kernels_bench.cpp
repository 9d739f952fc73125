#include "tests/gpu/kernels_bench.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <iterator>

#include "tests/gpu/decode_model.hpp"
#include "tests/gpu/timing.hpp"

namespace troupe::kernels::cuda {

namespace {

constexpr int rows_max = 4096;
static_assert(std::end(product_rows)[-1] == rows_max);
/// From how many rows on all plans are compared: below, weights are what takes time.
constexpr int many_rows_min = 64;
constexpr double bytes_of_matrices = 1 << 30;
constexpr int matrices_max = 64;
constexpr int matrices_of_many_rows = 3;
constexpr int steps_per_graph = 4;

/// A product, and what models do with it: neither of the two is a plain one.
struct Kind {
  const char* model;
  const char* matrix;
  int outputs;
  int inputs;
  bool gated = false;
  bool residual = false;
};
constexpr Kind kinds[] = {
    {"8B", "qkv", 6144, 4096},
    {"8B", "o", 4096, 4096, false, true},
    {"8B", "gate_up", 28672, 4096, true},
    {"8B", "down", 4096, 14336, false, true},
    {"1B", "qkv", 3072, 2048},
    {"1B", "o", 2048, 2048, false, true},
    {"1B", "gate_up", 16384, 2048, true},
    {"1B", "down", 2048, 8192, false, true},
    {"0.6B", "qkv", 4096, 1024},
    {"0.6B", "o", 1024, 2048, false, true},
    {"0.6B", "gate_up", 6144, 1024, true},
    {"0.6B", "down", 1024, 3072, false, true},
    {"8B", "logits", 128256, 4096},
};

std::size_t product_of(int left, int right) { return static_cast<std::size_t>(left) * static_cast<std::size_t>(right); }

std::vector<Matrix> matrices_of(const Kind& kind) {
  const int count = std::clamp(static_cast<int>(bytes_of_matrices / (2.0 * kind.outputs * kind.inputs)), 2, matrices_max);
  std::vector<Matrix> matrices;
  for (int i = 0; i < count; ++i) matrices.emplace_back(kind.outputs, kind.inputs, static_cast<std::uint32_t>(i), 0.03f);
  return matrices;
}

/// What is measured of one kind of matrix: the same memory serves our products and cuBLAS's, to which it is plain rows.
class ProductBench {
 public:
  ProductBench(const Kind& kind, Cublas* cublas)
      : kind_(kind),
        cublas_(cublas),
        matrices_(matrices_of(kind)),
        input_(Rows::random(rows_max, kind.inputs, 3)),
        output_(product_of(rows_max, kind.outputs)),
        gated_(kind.gated ? rows_max : 8, kind.outputs / 2),
        residual_(kind.residual ? rows_max : 8, kind.outputs) {}

  ProductSpeed measure(int rows) const {
    ProductSpeed speed{kind_.model, kind_.matrix, kind_.outputs, kind_.inputs, rows, 0, {}, {}, {}};
    speed.seconds = our_seconds_of(rows, std::nullopt);
    if (kind_.residual) speed.plain_seconds = plain_seconds_of(rows);
    if (cublas_ == nullptr) return speed;
    speed.cublas_seconds = cublas_seconds_of(rows, kind_.gated ? CublasOutput::bfloat16 : CublasOutput::float32);
    if (kind_.residual) speed.cublas_added_seconds = cublas_seconds_of(rows, CublasOutput::added);
    return speed;
  }
  PlansSpeed measure_all(int rows, int processors) const {
    const WeightTiles& weights = matrices_.front().weights;
    const Ending ending = kind_.gated ? Ending::gated : kind_.residual ? Ending::residual : Ending::rows;
    PlansSpeed speeds{measure(rows), pick(weights, rows, processors, ending), {}};
    for (const ProductPlan& plan : product_plans) {
      if (fits(plan, weights) && plan.rows >= std::min(rows, many_rows_min))
        speeds.plans.push_back({plan, our_seconds_of(rows, plan)});
    }
    return speeds;
  }

 private:
  /// How many matrices are multiplied one after another.
  std::size_t count_of(int rows) const {
    return rows > 128 ? std::min<std::size_t>(matrices_.size(), matrices_of_many_rows) : matrices_.size();
  }
  double our_seconds_of(int rows, const std::optional<ProductPlan>& plan) const {
    return seconds_of(count_of(rows), [&](cudaStream_t stream, const Matrix& matrix) {
      if (kind_.gated)
        multiply_gated(stream, matrix.weights, input_.tiles, rows, gated_.tiles, plan);
      else if (kind_.residual)
        multiply_residual(stream, matrix.weights, input_.tiles, rows, residual_, plan);
      else
        multiply(stream, matrix.weights, input_.tiles, rows, output_.data(), plan);
    });
  }
  double plain_seconds_of(int rows) const {
    return seconds_of(count_of(rows), [&](cudaStream_t stream, const Matrix& matrix) {
      multiply(stream, matrix.weights, input_.tiles, rows, output_.data());
    });
  }
  /// Nothing if cuBLAS fails, which is said.
  std::optional<double> cublas_seconds_of(int rows, CublasOutput type) const {
    try {
      return seconds_of(count_of(rows), [&](cudaStream_t stream, const Matrix& matrix) {
        cublas_->multiply(stream, matrix.memory.data(), input_.memory.data(), output_.data(), type, kind_.outputs, kind_.inputs,
                          rows);
      });
    } catch (const std::exception& error) {
      std::fprintf(stderr, "gpu_kernels_bench: no cuBLAS for %d rows: %s\n", rows, error.what());
      return std::nullopt;
    }
  }
  template <class Multiply>
  double seconds_of(std::size_t count, const Multiply& multiply_by) const {
    multiply_by(stream_.get(), matrices_.front());  // what is loaded at the first use is not loaded while capturing
    check_cuda(cudaStreamSynchronize(stream_.get()));
    const Graph graph(stream_, [&](cudaStream_t stream) {
      for (std::size_t i = 0; i < count; ++i) multiply_by(stream, matrices_[i]);
    });
    return median_seconds(stream_, [&] { graph.launch(stream_); }) / static_cast<double>(count);
  }

  Kind kind_;
  Cublas* cublas_;
  Stream stream_;
  std::vector<Matrix> matrices_;
  Rows input_;
  DeviceArray<float> output_;
  Rows gated_;
  Residual residual_;
};

struct Place {
  int rows;
  int context;
};
struct DecodeKind {
  const char* model;
  DecodeShape shape;
  bool query_key_norms;
  std::vector<Place> places;
};

DecodeSpeed measure_step(const DecodeKind& kind, const DecodeModel& model, const Place& place) {
  DecodeBatch batch(model, place.rows, place.context);
  // Attention takes as long whatever it reads, but not over NaN.
  fill_noise(batch.kv().data(), batch.kv().count(), 4242, 1);
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> blocks;
  for (int row = 0; row < place.rows; ++row) {
    tokens.push_back(row * 37 % model.shape().vocabulary);
    for (int i = 0; i < batch.blocks_each(); ++i) blocks.push_back(i * place.rows + row);
  }
  batch.place_blocks(blocks);
  batch.set(tokens, std::vector<std::int32_t>(static_cast<std::size_t>(place.rows), place.context - 1));
  const Stream stream;
  batch.run(stream.get());
  check_cuda(cudaStreamSynchronize(stream.get()));
  const Graph graph(stream, [&](cudaStream_t captured) {
    for (int i = 0; i < steps_per_graph; ++i) batch.run(captured);
  });
  DecodeSpeed speed{kind.model, place.rows, place.context, 0, 0};
  speed.seconds = median_seconds(stream, [&] { graph.launch(stream); }) / steps_per_graph;
  speed.bytes = static_cast<double>(model.weight_bytes()) +
                static_cast<double>(product_of(place.rows, place.context) * model.kv_bytes_per_position());
  return speed;
}

}  // namespace

void measure_products(std::vector<ProductSpeed>& speeds, Cublas* cublas, const std::vector<int>& rows) {
  for (const Kind& kind : kinds) {
    std::fprintf(stderr, "gpu_kernels_bench: products of %s %s\n", kind.model, kind.matrix);
    const ProductBench bench(kind, cublas);
    for (const int count : rows) speeds.push_back(bench.measure(count));
  }
}

void measure_plans(std::vector<PlansSpeed>& speeds, Cublas* cublas, const std::vector<int>& rows) {
  int processors = 0;
  check_cuda(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 0));
  for (const Kind& kind : kinds) {
    const ProductBench bench(kind, cublas);
    for (const int count : rows) {
      if (count >= many_rows_min) speeds.push_back(bench.measure_all(count, processors));
    }
  }
}

void measure_decoding(std::vector<DecodeSpeed>& speeds) {
  constexpr int positions = 16400;
  const std::vector<DecodeKind> decode_kinds = {
      {"8B",
       {32, 4096, 14336, 32, 8, 128, 128256},
       false,
       {{1, 128}, {1, 1024}, {1, 16384}, {8, 1024}, {32, 1024}, {64, 1024}}},
      {"1B", {16, 2048, 8192, 32, 8, 64, 128256}, false, {{1, 128}, {1, 1024}, {1, 16384}, {8, 1024}, {32, 1024}}},
      {"0.6B", {28, 1024, 3072, 16, 8, 128, 151936}, true, {{1, 128}, {1, 1024}, {8, 1024}, {32, 1024}}},
  };
  for (const DecodeKind& kind : decode_kinds) {
    std::fprintf(stderr, "gpu_kernels_bench: decoding with %s\n", kind.model);
    const DecodeModel model(kind.shape, kind.query_key_norms, positions);
    for (const Place& place : kind.places) speeds.push_back(measure_step(kind, model, place));
  }
}

}  // namespace troupe::kernels::cuda
