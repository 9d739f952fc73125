// Experts that answer late, out of order and from another thread, as experts on other nodes do. Each work is cut into pieces of
// one expert and some of its rows; a thread of its own computes the pieces of all works under way in random order, with pauses,
// on a device of its own (which may have another instruction set than the engine's).
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/random.hpp"
#include "base/result.hpp"
#include "kernels/cpu_device.hpp"
#include "model/experts.hpp"

namespace troupe::tests {

struct LateExpertsOptions {
  std::uint64_t seed = 0;         ///< of the cuts, the order and the pauses
  std::int32_t rows_max = 0;      ///< of one work
  std::int32_t pause_us_max = 0;  ///< before some pieces
  kernels::CpuOptions device;     ///< what computes them
};

class LateExperts final : public model::Experts {
 public:
  /// The config and the weights (in memory that the CPU reads) must outlive it. Errors are the device's.
  static Result<std::unique_ptr<LateExperts>> create(const model::ModelConfig& config, const model::Weights& weights,
                                                     const LateExpertsOptions& options);
  /// Every work has been answered by then.
  ~LateExperts() override;
  LateExperts(const LateExperts&) = delete;
  LateExperts& operator=(const LateExperts&) = delete;

  void compute(const model::ExpertWork& work, model::ExpertsDone done) override;
  /// The most works that were ever under way at once.
  std::int32_t most_under_way() const;

 private:
  /// A work that has begun; shared by its pieces.
  struct Pending {
    model::ExpertWork work;
    model::ExpertsDone done;
    std::size_t pieces_left = 0;
  };
  struct Piece {
    std::shared_ptr<Pending> pending;
    std::int32_t expert = 0;
    std::vector<std::int32_t> slots;  ///< row * chosen + choice
  };

  LateExperts(const model::ModelConfig& config, const LateExpertsOptions& options, std::unique_ptr<kernels::CpuDevice> device,
              std::unique_ptr<model::LocalExperts> local);
  std::vector<Piece> cut(const std::shared_ptr<Pending>& pending);
  void run();
  void answer(const Piece& piece);

  const model::ModelConfig& config_;
  LateExpertsOptions options_;
  std::unique_ptr<kernels::CpuDevice> device_;
  std::unique_ptr<model::LocalExperts> local_;
  Random cuts_;    ///< of the thread that calls compute
  Random orders_;  ///< of the thread that answers
  std::vector<float> input_;
  std::vector<float> output_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Piece> pieces_;
  std::int32_t under_way_ = 0;
  std::int32_t most_under_way_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace troupe::tests
