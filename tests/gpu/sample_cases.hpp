// Logits of many kinds and parameters of all kinds, and batches of them on the GPU. All that tests and benchmarks know of
// kernels/cuda/sample.hpp is here.
#pragma once

#include <string>
#include <vector>

#include "base/random.hpp"
#include "kernels/cuda/sample.hpp"
#include "model/sampler.hpp"
#include "tests/gpu/device_array.hpp"

namespace troupe::kernels::cuda {

/// Rows whose decisions differ: far apart or close, equal in part or all, some or most of them impossible.
enum class LogitKind { normal, peaked, steep, flat, few_values, zeros, masked, one_finite, near_zero, huge, descending };
inline constexpr int logit_kinds = 11;
const char* name_of(LogitKind kind);

std::vector<float> random_logits(LogitKind kind, std::size_t vocabulary, std::uint64_t seed);
/// Every option is off, usual or extreme; any combination comes.
RowSampling random_sampling(Random& random, std::int32_t vocabulary);

/// Rows that make it hard to find where a nucleus ends: thousands of tokens as likely as its last one, tokens that only just
/// weigh something, and as many in the last bin as fit, or one more. For vocabularies of 4096 at least.
struct NamedRow {
  std::string name;
  std::vector<float> logits;
  RowSampling parameters;
};
std::vector<NamedRow> nucleus_rows(std::int32_t vocabulary, std::uint64_t seed);

model::SamplingParameters as_model_parameters(const RowSampling& row);
std::string to_text(const RowSampling& row);

/// Rows on the GPU, what becomes of them, and a row more after each array, which nobody is to write.
class SampleBatch {
 public:
  SampleBatch(std::int32_t rows, std::int32_t vocabulary, std::int64_t stride);

  std::int32_t rows() const { return arguments_.rows; }
  /// [rows, stride]
  void write_logits(const std::vector<float>& logits) { logits_.write(logits); }
  void write_parameters(const std::vector<RowSampling>& parameters) { parameters_.write(parameters); }
  DeviceArray<float>& logits() { return logits_; }
  /// 8, 16 or 0.
  void set_blocks_per_row(std::int32_t blocks) { arguments_.blocks_per_row = blocks; }
  /// Fills with what is no result before a run.
  void spoil();
  void run(cudaStream_t stream) const { check_cuda(sample(stream, arguments_)); }
  std::vector<SampledRow> results() const;
  std::vector<std::int32_t> tokens() const;
  /// Of what lies after the last row.
  bool is_rest_spoiled() const;

 private:
  Sample arguments_;
  DeviceArray<float> logits_;
  DeviceArray<RowSampling> parameters_;
  DeviceArray<SampledRow> results_;
  DeviceArray<std::int32_t> tokens_;
};

}  // namespace troupe::kernels::cuda
