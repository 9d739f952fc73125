// What the forms of `troupe eval` share: its command line, and the files that it writes.
#pragma once

#include <cstddef>
#include <fstream>
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

/// What an evaluation writes beside its output. Opened before the work rather than after it.
class EvalFiles {
 public:
  static Result<EvalFiles> open(const EvalCommand& command);
  /// Null: not asked for.
  std::ostream* html() { return html_name_.empty() ? nullptr : &html_; }
  std::ostream* answers() { return answers_name_.empty() ? nullptr : &answers_; }
  /// `io` if something did not get there.
  Result<void> check();

 private:
  std::string html_name_;
  std::string answers_name_;
  std::ofstream html_;
  std::ofstream answers_;
};

// One for each form of rows (bench/set_form.hpp); each returns the exit status.
Result<int> eval_questions(const EvalCommand& command);
Result<int> eval_intents(const EvalCommand& command);
Result<int> eval_dialogues(const EvalCommand& command);

}  // namespace troupe::cli
