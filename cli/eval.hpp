// What the forms of `troupe eval` share: its command line.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "cli/command.hpp"
#include "policy/routing.hpp"

namespace troupe::cli {

struct EvalCommand {
  std::string questions;
  std::string corpus;
  std::string policy;
  std::vector<std::string> tiers;
  std::vector<std::string> models;
  std::size_t limit = 0;  ///< 0: all
  std::vector<std::string> connect;
  bool json = false;
  std::string html;
  std::string answers;
  DeviceChoice device;
  EngineChoice engine;

  /// The model of each tier: what was asked for, or the bundled one.
  Result<policy::PerTier<std::string>> models_of_tiers() const;
  /// Of --policy, or the default.
  Result<policy::RoutingPolicy> routing() const;
  /// Those of `all` that --tiers names, in their order; all if it names none.
  Result<std::vector<std::string>> rows_among(std::vector<std::string> all) const;
};

// One for each form of rows (bench/set_form.hpp); each returns the exit status.
Result<int> eval_questions(const EvalCommand& command);
Result<int> eval_intents(const EvalCommand& command);
Result<int> eval_dialogues(const EvalCommand& command);

}  // namespace troupe::cli
