// An engine as a schedule of the Bits property (bits.hpp) lays it out, with the device and the experts that it stands on.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string_view>

#include "engine/engine.hpp"
#include "kernels/device.hpp"
#include "tests/support/bits_schedule.hpp"
#include "tests/support/late_experts.hpp"

namespace troupe::tests::bits {

/// Rung by experts of any engine when they have answered.
class Bell {
 public:
  void ring();
  /// Returns at once if it was rung since the last call. False if nobody rings for so long that nobody ever will.
  bool wait();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool rung_ = false;
};

struct Place {
  std::unique_ptr<kernels::Device> device;
  std::unique_ptr<LateExperts> late;  ///< null if the engine computes its own experts
  std::unique_ptr<engine::Engine> engine;
};

/// The model, the clock and the bell must outlive the place. Stops the process if the layout cannot be had.
Place open_place(const EngineLayout& layout, const model::Model& model, const Clock& clock, Bell& bell,
                 std::string_view defect);

}  // namespace troupe::tests::bits
