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
  /// Of products that models add to residual rows: cuBLAS's with the sum (beta = 1), which reads and writes the same rows as
  /// ours but leaves nothing for the next norm; and ours as plain rows of floats, which is what `cublas_seconds` is of
  /// cuBLAS's.
  std::optional<double> cublas_added_seconds;
  std::optional<double> plain_seconds;

  double weight_bytes() const { return 2.0 * outputs * inputs; }
  double operations() const { return 2.0 * outputs * inputs * rows; }
  /// The time of reading the weights once, as a share of the time taken.
  double of_floor(double read_bytes_per_second) const { return weight_bytes() / read_bytes_per_second / seconds; }
  double operations_per_second() const { return operations() / seconds; }
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

/// The numbers of rows of which products are measured.
inline constexpr int product_rows[] = {1, 8, 16, 32, 64, 128, 192, 256, 512, 1024, 4096};

/// Adds to `speeds`; `cublas` may be null. `rows` are some of product_rows; plans are compared from 64 rows on.
void measure_products(std::vector<ProductSpeed>& speeds, Cublas* cublas, const std::vector<int>& rows);
void measure_plans(std::vector<PlansSpeed>& speeds, Cublas* cublas, const std::vector<int>& rows);
void measure_decoding(std::vector<DecodeSpeed>& speeds);

}  // namespace troupe::kernels::cuda
