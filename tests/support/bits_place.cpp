#include "tests/support/bits_place.hpp"

#include <chrono>
#include <utility>

#include "base/check.hpp"
#include "kernels/open_device.hpp"
#include "tests/support/broken_kernels.hpp"

namespace troupe::tests::bits {

namespace {

constexpr std::chrono::seconds never(60);

kernels::CpuOptions device_options(kernels::InstructionSet set, int threads, std::string_view defect) {
  return {.instruction_set = set, .threads = threads, .operations = broken_operations(defect, set)};
}

}  // namespace

void Bell::ring() {
  const std::scoped_lock lock(mutex_);
  rung_ = true;
  changed_.notify_one();
}

bool Bell::wait() {
  std::unique_lock lock(mutex_);
  const bool heard = changed_.wait_for(lock, never, [&] { return rung_; });
  rung_ = false;
  return heard;
}

Place open_place(const EngineLayout& layout, const model::Model& model, const Clock& clock, Bell& bell,
                 std::string_view defect) {
  Place place;
  kernels::DeviceOptions wish;
  wish.wish = layout.on_gpu ? kernels::DeviceWish::cuda : kernels::DeviceWish::cpu;
  wish.cpu = device_options(layout.instruction_set, layout.threads, defect);
  auto opened = kernels::open_device(wish);
  TROUPE_CHECK(opened.has_value(), "a schedule names devices and instruction sets that are there");
  place.device = std::move(opened->device);
  if (const auto& late = layout.late_experts) {
    auto made = LateExperts::create(model.config, model.weights,
                                    {.seed = late->seed,
                                     .rows_max = layout.options.batch.tokens_max,
                                     .pause_us_max = late->pause_us_max,
                                     .device = device_options(late->instruction_set, late->threads, defect)});
    TROUPE_CHECK(made.has_value(), "late experts can be made");
    place.late = *std::move(made);
  }
  auto made = engine::Engine::create(model, *place.device, clock, layout.options, place.late.get());
  TROUPE_CHECK(made.has_value(), "a schedule's options are valid");
  place.engine = *std::move(made);
  place.engine->on_wake([&bell] { bell.ring(); });
  return place;
}

}  // namespace troupe::tests::bits
