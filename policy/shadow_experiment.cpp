#include "policy/shadow_experiment.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/random.hpp"

namespace troupe::policy {

namespace {

template <class T>
bool holds(const std::vector<T>& condition, const T& value) {
  return condition.empty() || std::find(condition.begin(), condition.end(), value) != condition.end();
}

/// FNV-1a; the generator behind it mixes the bits.
std::array<std::uint32_t, 2> key_of(const std::string& name) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return {static_cast<std::uint32_t>(hash), static_cast<std::uint32_t>(hash >> 32U)};
}

std::string to_text(double number) {
  std::string text = std::to_string(number);
  while (text.ends_with('0')) text.pop_back();
  if (text.ends_with('.')) text.pop_back();
  return text;
}

std::string fault_of(const ShadowExperiment& experiment) {
  const std::string name = "shadow \"" + experiment.name + "\" ";
  if (experiment.name.empty() || experiment.name.size() > ShadowExperiment::name_bytes_max) {
    return "a shadow has a name of " + std::to_string(experiment.name.size()) + " bytes, expected 1 to " +
           std::to_string(ShadowExperiment::name_bytes_max);
  }
  if (!(experiment.share >= 0 && experiment.share <= 1)) {
    return name + "has a share of " + to_text(experiment.share) + ", expected 0 to 1";
  }
  if (experiment.tier.has_value() == !experiment.policy.empty()) {
    return name + (experiment.tier ? "has both a tier and a policy" : "has neither a tier nor a policy") +
           "; write one of them, which answers instead";
  }
  if (experiment.tenant.size() > ShadowExperiment::tenants_max) {
    return name + "names " + std::to_string(experiment.tenant.size()) + " tenants, expected at most " +
           std::to_string(ShadowExperiment::tenants_max);
  }
  for (const std::string& tenant : experiment.tenant) {
    if (tenant.empty() || tenant.size() > Ask::tenant_bytes_max) {
      return name + "names a tenant of " + std::to_string(tenant.size()) + " bytes, expected 1 to " +
             std::to_string(Ask::tenant_bytes_max);
    }
  }
  return {};
}

}  // namespace

std::vector<std::string> faults_of(const std::vector<ShadowExperiment>& experiments) {
  std::vector<std::string> faults;
  if (experiments.size() > ShadowExperiment::experiments_max) {
    faults.push_back("the policy has " + std::to_string(experiments.size()) + " shadows, expected at most " +
                     std::to_string(ShadowExperiment::experiments_max));
  }
  for (auto each = experiments.begin(); each != experiments.end(); ++each) {
    if (std::string fault = fault_of(*each); !fault.empty()) faults.push_back(std::move(fault));
    const bool again = std::any_of(experiments.begin(), each, [&](const auto& before) { return before.name == each->name; });
    if (again) faults.push_back("shadow \"" + each->name + "\" is there twice; give each its own name");
  }
  return faults;
}

std::string sentence_of(const ShadowExperiment& experiment) {
  std::string about;
  for (const Assurance assurance : experiment.assurance)
    about += (about.empty() ? "" : " or ") + std::string(to_string(assurance));
  if (!about.empty()) about = " of assurance " + about;
  for (std::size_t i = 0; i < experiment.tenant.size(); ++i) about += (i == 0 ? " of tenant " : " or ") + experiment.tenant[i];
  return to_text(experiment.share) + " of the turns" + about + ": " +
         (experiment.tier ? std::string(to_string(*experiment.tier)) + ", alone" : "under " + experiment.policy);
}

bool is_about(const ShadowExperiment& experiment, const Ask& ask) {
  return holds(experiment.assurance, ask.assurance) && holds(experiment.tenant, ask.tenant);
}

bool is_drawn(const ShadowExperiment& experiment, const TurnId& turn) {
  const auto key = key_of(experiment.name);
  std::array<std::uint32_t, 4> words{};
  const auto& bytes = turn.conversation.bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) words[i / 4] |= static_cast<std::uint32_t>(bytes[i]) << (8 * (i % 4));
  // The conversation first, and then the turn within it: a counter has no room for both.
  const auto drawn_from = philox(words, key);
  const auto drawn = philox({drawn_from[0], drawn_from[1], drawn_from[2], turn.number}, key);
  const std::uint64_t bits = (static_cast<std::uint64_t>(drawn[0]) << 21U) | (drawn[1] >> 11U);
  return static_cast<double>(bits) * 0x1p-53 < experiment.share;
}

}  // namespace troupe::policy
