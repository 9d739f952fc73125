// Shadowing: a share of the turns that clients were answered is answered once more, by another tier or under another policy,
// and compared. Nobody but operators sees it. Here is what an experiment is, and which turns it draws; shadow.hpp is what
// becomes of them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "policy/ask.hpp"

namespace troupe::policy {

struct ShadowExperiment {
  static constexpr std::size_t experiments_max = 4;  ///< of a policy
  static constexpr std::size_t name_bytes_max = 64;
  static constexpr std::size_t tenants_max = 16;

  std::string name;
  double share = 0;          ///< of the turns that it is about, 0 to 1
  std::optional<Tier> tier;  ///< that answers instead, alone; it may be one that the policy itself asks nobody of
  std::string policy;        ///< or the file of a policy to answer under, relative to the folder of the file that names it
  // It is about turns of which all of these hold; an empty list is no condition.
  std::vector<Assurance> assurance;
  std::vector<std::string> tenant;
  friend bool operator==(const ShadowExperiment&, const ShadowExperiment&) = default;
};

/// What is wrong with a policy's experiments, as sentences; empty if nothing is.
std::vector<std::string> faults_of(const std::vector<ShadowExperiment>& experiments);

/// For a person: "0.05 of the turns of tenant acme: heavy, alone".
std::string sentence_of(const ShadowExperiment& experiment);

/// Whether the experiment is about such questions.
bool is_about(const ShadowExperiment& experiment, const Ask& ask);

/// Whether the turn is one of its share. A function of the experiment's name, its share, and the turn alone, so that every node
/// and every life of it draws the same; a turn that is drawn at a share is drawn at every greater one. Experiments of different
/// names draw independently.
bool is_drawn(const ShadowExperiment& experiment, const TurnId& turn);

}  // namespace troupe::policy
