// What came of shadows, as people and programs read it.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "cli/answer_view.hpp"
#include "policy/shadow_report.hpp"

namespace troupe::cli {

/// A record, and whose log it is from.
struct ShadowOfNode {
  std::string node;
  policy::NumberedShadowRecord numbered;
};

struct ShadowFindings {
  std::vector<std::string> nodes;  ///< whose logs were read
  std::vector<std::string> away;   ///< whose logs could not be, and why
  std::int64_t since_ms = 0;       ///< 0: all that is kept
  std::vector<policy::RunningShadow> running;
  std::vector<policy::ShadowRow> rows;
  std::vector<ShadowOfNode> listed;  ///< those whose answers differ, with texts, newest first
};

void print_shadows(std::ostream& stream, const ShadowFindings& findings);
Json json_of(const ShadowFindings& findings);

}  // namespace troupe::cli
