#include "kernels/usable_gpu.hpp"

namespace troupe::kernels {

namespace {

std::string version_text(std::int32_t version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace

Result<void> check_gpu(const GpuFacts& facts) {
  if (facts.driver == 0) {
    return Error{ErrorCode::unavailable, "no NVIDIA driver is here (libcuda.so.1); install one, or compute on the CPU"};
  }
  // Drivers serve all minor versions of their major one.
  if (facts.driver / 1000 < facts.runtime / 1000) {
    return Error{ErrorCode::unsupported, "the NVIDIA driver is for CUDA " + version_text(facts.driver) +
                                             ", this build needs one for " + version_text(facts.runtime) +
                                             " or newer: update the driver, or compute on the CPU"};
  }
  if (!facts.counting_failed.empty() || facts.count == 0) {
    return Error{ErrorCode::unavailable,
                 "there is no NVIDIA GPU that can be used here (" +
                     (facts.counting_failed.empty() ? "the driver counts none" : facts.counting_failed) +
                     "); see nvidia-smi, or compute on the CPU"};
  }
  const std::string gpu = "GPU " + std::to_string(facts.ordinal);
  if (facts.ordinal < 0 || facts.ordinal >= facts.count) {
    return Error{ErrorCode::out_of_range,
                 gpu + " was asked for, and there are " + std::to_string(facts.count) + ", counted from 0"};
  }
  if (!facts.asking_failed.empty()) return Error{ErrorCode::unavailable, gpu + " does not answer: " + facts.asking_failed};
  // Kernels are of sm_90a, which runs on no other generation, older or newer.
  if (facts.capability_major != 9 || facts.capability_minor != 0) {
    return Error{ErrorCode::unsupported, gpu + " is a " + facts.name + " of compute capability " +
                                             std::to_string(facts.capability_major) + "." +
                                             std::to_string(facts.capability_minor) +
                                             ", and troupe's kernels are for 9.0 (H100, H200): compute on the CPU"};
  }
  return {};
}

}  // namespace troupe::kernels
