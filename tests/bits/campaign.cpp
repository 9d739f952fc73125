#include "tests/bits/campaign.hpp"

#include <chrono>
#include <csignal>
#include <iostream>
#include <vector>

namespace troupe::tests::bits {

namespace {

volatile std::sig_atomic_t stopping = 0;

}  // namespace

void stop_campaign() { stopping = 1; }
bool is_stopped() { return stopping != 0; }

bool is_for(const Job& job, std::size_t model, std::size_t models, std::uint64_t earlier) {
  if (job.count <= models) return model % job.count == job.index;
  const std::size_t jobs_of_model = (job.count - model + models - 1) / models;
  return job.index % models == model && earlier % jobs_of_model == job.index / models;
}

Summary run_campaign(const Campaign& campaign, const Job& job, const std::function<void(const Summary&)>& progress) {
  const auto begin = std::chrono::steady_clock::now();
  const auto is_over = [&] {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    return is_stopped() || (campaign.seconds && passed.count() >= *campaign.seconds);
  };
  Property property(campaign.seed, campaign.defect, campaign.kind);
  std::vector<std::uint64_t> cases_of(property.models());
  Summary summary;
  for (std::uint64_t number = 0; number < campaign.cases && !is_over(); ++number) {
    const std::size_t model = universe_of(campaign.seed, number, property.models());
    if (!is_for(job, model, property.models(), cases_of[model]++)) continue;
    const CaseResult result = property.run(number);
    const std::size_t told = summary.differences.size();
    summary.add(result);
    for (std::size_t i = told; i < summary.differences.size(); ++i) std::cerr << "bits: " << summary.differences[i] << "\n";
    if (!result.differences.empty()) {
      std::cerr << "bits: to repeat: dev/bits --seed " << campaign.seed << " --case " << number
                << (campaign.kind == kernels::DeviceKind::cuda ? " --device cuda" : "")
                << (campaign.defect.empty() ? "" : " --break " + campaign.defect) << "\n";
    }
    progress(summary);
    if (summary.differing >= Summary::differences_max) {
      std::cerr << "bits: stopped after " << summary.cases << " cases, enough is wrong\n";
      break;
    }
  }
  return summary;
}

}  // namespace troupe::tests::bits
