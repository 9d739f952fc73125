// The seam between a mixture-of-experts layer and whoever computes its experts: a layer hands out its rows with the experts
// that the router chose, and may wait for the results. LocalExperts computes, here and at once, those whose weights it has;
// cluster/expert_dispatch.hpp has the others computed by other nodes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/result.hpp"
#include "kernels/device.hpp"
#include "model/weights.hpp"

namespace troupe::model {

/// The expert work of one layer in one forward pass. All memory is the pass's and stays valid until the work is done.
struct ExpertWork {
  std::int32_t layer = 0;
  std::int32_t rows = 0;
  std::int32_t chosen = 0;               ///< experts per row
  const float* input = nullptr;          ///< [rows, hidden], device memory
  const std::int32_t* expert = nullptr;  ///< [rows, chosen], ascending in a row, device memory
  float* output = nullptr;               ///< [rows, chosen, hidden], device memory: to be written in any order
};

/// Called exactly once for each work, from any thread, possibly before `compute` returns.
using ExpertsDone = std::function<void(Result<void>)>;

class Experts {
 public:
  virtual ~Experts() = default;
  /// Begins the work. What an expert answers for a row is a function of that row alone; how rows are grouped is free.
  virtual void compute(const ExpertWork& work, ExpertsDone done) = 0;
};

/// Slots (row * chosen + choice) ordered by expert, rows ascending within one.
struct ExpertGroups {
  std::vector<std::int32_t> slots;
  std::vector<std::int32_t> offsets;  ///< [experts + 1] into `slots`
};
ExpertGroups group_by_expert(std::span<const std::int32_t> expert, std::int32_t experts);

/// An expert wanted for a row, and where its answer goes.
struct ExpertSlot {
  std::int32_t expert = 0;
  std::int32_t row = 0;     ///< of the input
  std::int32_t target = 0;  ///< row of the output, each at most once
};

/// Some experts' work of one layer; whose rows they are does not matter.
struct ExpertSlots {
  std::int32_t layer = 0;
  const float* input = nullptr;       ///< [rows, hidden], device memory
  float* output = nullptr;            ///< [targets, hidden], device memory
  std::span<const ExpertSlot> slots;  ///< in any order
};

/// Computes experts on the device that holds their weights: all of a model's, or those that are loaded. Used by one thread at a
/// time, which may use the device's stream.
class LocalExperts final : public Experts {
 public:
  /// `rows_max` is what is computed in one go; more rows take several. Config, weights and device must outlive it.
  static Result<std::unique_ptr<LocalExperts>> create(const ModelConfig& config, const Weights& weights,
                                                      kernels::Device& device, std::int32_t rows_max);
  /// What `create` allocates.
  static std::size_t bytes(const ModelConfig& config, std::int32_t rows_max);
  /// Whether the expert is loaded here.
  bool has(std::int32_t layer, std::int32_t expert) const;
  /// A whole layer: all of its experts are loaded.
  void compute(const ExpertWork& work, ExpertsDone done) override;
  /// Some slots, whose experts are loaded. Returns once the outputs are there.
  void compute(const ExpertSlots& work);

 private:
  LocalExperts(const ModelConfig& config, const Weights& weights, kernels::Device& device, std::int32_t rows_max);
  /// Slots ascending by expert, as many as there is room for.
  void compute_piece(const ExpertSlots& work, std::span<const std::int32_t> ascending);

  const ModelConfig& config_;
  const Weights& weights_;
  kernels::Device& device_;
  std::size_t slots_max_ = 0;
  kernels::Memory gathered_;  ///< [slots, hidden], also what the experts answer
  kernels::Memory gate_up_;   ///< [slots, 2 * intermediate]
  kernels::Memory inner_;     ///< [slots, intermediate]
};

}  // namespace troupe::model
