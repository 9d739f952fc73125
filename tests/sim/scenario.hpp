// What happens in one simulated run, drawn from a seed: who asks what, and what goes wrong meanwhile. And the run itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/client.hpp"

namespace troupe::sim {

struct Fault {
  enum class Kind : std::uint8_t { crash, actor, partition, slow_disk, full_disk, drain };
  Kind kind = Kind::crash;
  Duration at{};
  Duration lasts{};  ///< of a drain: until the node is told to join again
  std::size_t node = 0;
  std::size_t other = 0;      ///< of a partition
  std::uint64_t detail = 0;   ///< which actor; what a crash leaves of unsynced writes
  bool zombie = false;        ///< what a crashed life still had to write lands later
  bool other_corpus = false;  ///< it comes back with another corpus
};

struct Scenario {
  std::uint64_t seed = 0;
  /// Nobody cancels or goes away, deadlines are far and the corpus stays: then faults must not change any answer.
  bool plain = false;
  Weather weather;
  std::vector<Conversation> conversations;
  std::vector<Fault> faults;
  std::optional<Drill> drill;  ///< models are broken, too; then the scenario is not plain
};
Scenario draw_scenario(std::uint64_t seed);
/// The same questions on a good day.
Scenario without_faults(Scenario scenario);

struct RunOptions {
  bool keep_trace = false;
  Defect defect = Defect::none;
  std::vector<policy::ShadowArm> shadows = {};
};
struct Outcome {
  std::vector<std::string> violations;
  std::vector<std::string> lines;  ///< if the trace is kept
  std::uint64_t trace_hash = 0;
  policy::BlockTraffic blocks;  ///< of all nodes
  /// By conversation, in the order of its questions; only what does not depend on when and where it was computed.
  std::vector<std::vector<std::string>> answers;
  std::vector<policy::ShadowRecord> shadows;  ///< in all nodes' logs
};
/// Runs a scenario, then mends everything, waits until all turns have ended, and checks the invariants (invariants.hpp).
Outcome run(const Scenario& scenario, const RunOptions& options, AloneAnswers& alone);
Outcome run(const Scenario& scenario, const RunOptions& options);

/// One seed: its scenario, and, if that is plain, the same on a good day, whose answers must be equal.
Outcome run_seed(std::uint64_t seed, const RunOptions& options);

}  // namespace troupe::sim
