// Measures the CUDA kernels: products of the matrices of three models, and whole steps of decoding with them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/cuda/product_plan.hpp"
#include "tests/gpu/cublas.hpp"

namespace troupe::kernels::cuda {

/// A product's shape is measured with several matrices one after another, so that none lies in the L2 cache.
struct ProductSpeed {
  std::string model;
  std::string matrix;
  int outputs = 0;
  int inputs = 0;
  int rows = 0;
  double seconds = 0;
  std::optional<double> cublas_seconds;  ///< of the product alone, where ours goes on to what models do with it

  double weight_bytes() const { return 2.0 * outputs * inputs; }
  double operations() const { return 2.0 * outputs * inputs * rows; }
  /// The time of reading the weights once, as a share of the time taken.
  double of_floor(double read_bytes_per_second) const { return weight_bytes() / read_bytes_per_second / seconds; }
  double operations_per_second() const { return operations() / seconds; }
  /// cuBLAS's time as a share of the time taken.
  std::optional<double> of_cublas() const {
    if (!cublas_seconds) return std::nullopt;
    return *cublas_seconds / seconds;
  }
};

/// A product by one of the ways to cut it into tiles.
struct PlanSpeed {
  ProductPlan plan;
  double seconds = 0;
};
/// A product of many rows by all of them, with cuBLAS's time if it is here, and by the one that is picked.
struct PlansSpeed {
  ProductSpeed picked;
  ProductPlan pick;
  std::vector<PlanSpeed> plans;
};

struct DecodeSpeed {
  std::string model;
  int rows = 0;
  int context = 0;
  double seconds = 0;
  double bytes = 0;  ///< weights, and the keys and values before the token

  double floor_seconds(double read_bytes_per_second) const { return bytes / read_bytes_per_second; }
  double of_floor(double read_bytes_per_second) const { return floor_seconds(read_bytes_per_second) / seconds; }
};

/// Adds to `speeds`; `cublas` may be null.
void measure_products(std::vector<ProductSpeed>& speeds, Cublas* cublas);
void measure_plans(std::vector<PlansSpeed>& speeds, Cublas* cublas);
void measure_decoding(std::vector<DecodeSpeed>& speeds);

}  // namespace troupe::kernels::cuda
