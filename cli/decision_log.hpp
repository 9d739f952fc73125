// Recorded decisions as a file: one JSON object a line, as `troupe policy log` writes them and `troupe explain --json` does
// too.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "cli/answer_view.hpp"
#include "policy/turn.hpp"

namespace troupe::cli {

struct DecisionLogLimits {
  static constexpr std::size_t file_bytes_max = std::size_t{1} << 30;
  static constexpr std::size_t line_bytes_max = std::size_t{16} << 20;
};

/// A turn with the text of each attempt, but without prompts and token ids.
Json decision_of(const policy::Turn& turn);

/// The parts of a turn that routing looks at; what is not there has its default. `corrupt` names the field.
Result<policy::Turn> turn_of(std::string_view line);

/// All turns of a file, in order; empty lines are passed over. Errors name file and line.
Result<std::vector<policy::Turn>> read_decisions(const std::string& file);

}  // namespace troupe::cli
