// What `troupe eval` does with a file of conversations: holds them again on a node of this process, whose turns are committed
// with the answers that the file has, and asks what was said in them.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "bench/dialogue_page.hpp"
#include "bench/dialogue_set.hpp"
#include "cli/answer_view.hpp"
#include "cli/command.hpp"
#include "policy/routing.hpp"

namespace troupe::cli {

struct DialogueEvaluation {
  std::string file;
  bench::DialogueSet set;
  policy::RoutingPolicy routing;            ///< how much of a conversation a prompt has; its rules are not used
  policy::PerTier<std::string> models;      ///< a folder or a bundled model's name for each
  policy::Tier tier = policy::Tier::heavy;  ///< that answers; the portfolio's smallest writes the summaries
  std::size_t limit = 0;                    ///< conversations; 0: all
  DeviceChoice device;
  EngineChoice engine;
  std::ostream* answers = nullptr;  ///< a line of JSON for each probe
};

struct DialogueResults {
  std::vector<bench::DialogueRow> rows;  ///< for each way to read a conversation, after each number of exchanges
  std::string machine;                   ///< what computed
};
/// After each number of exchanges that something is asked after. There is at least one row.
Result<DialogueResults> evaluate(const DialogueEvaluation& evaluation);

void print_dialogues(std::ostream& stream, std::span<const bench::DialogueRow> rows);
Json json_of(const bench::DialogueSetting& setting, std::span<const bench::DialogueRow> rows);

}  // namespace troupe::cli
