// Bursts of random questions to clusters of real processes that are killed at random times. Every turn must end committed, its
// reader must see each event once, and its bits must be those of an undisturbed node that is asked the same.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "policy/expert_entries.hpp"
#include "tests/cluster/converse.hpp"
#include "tests/cluster/troupe_of.hpp"

namespace troupe::tests {

struct ChaosSummary {
  std::uint64_t events = 0;   ///< bursts
  std::uint64_t streams = 0;  ///< conversations
  std::uint64_t turns = 0;
  std::uint64_t kills = 0;
  std::uint64_t drains = 0;           ///< that ended with an empty node, which then joined again
  std::uint64_t failed_requests = 0;  ///< questions, openings and readings that a client could not bring to their end
  std::uint64_t differing = 0;        ///< turns with other bits
  std::uint64_t lost = 0;             ///< turns without a committed end, or that are not in the history
  std::uint64_t doubled = 0;          ///< turns of which an event came twice or out of order, or that are twice in the history
  std::vector<double> gaps_ms;        ///< of each turn that was under way at a kill: the longest time between two of its events

  /// A quantile of the gaps; 0 if there are none.
  double gap_ms(double quantile) const;
};

/// One of the clusters that are asked.
struct ChaosCluster {
  std::string name;               ///< for people: how to have it again
  std::string layout = {};        ///< for people; told with the first complaint
  std::uint64_t seed = 0;         ///< of what it is asked and of what happens to it
  std::vector<NodeSetup> setups;  ///< names are filled in, and the placement
  /// Of experts, where the first node is "1"; none: engines have all of their own.
  std::vector<policy::ExpertEntry> placement = {};
};

struct ChaosOptions {
  std::uint64_t seed = 1;
  std::size_t nodes = 0;     ///< of a cluster: 1, 2 or 3, or 0 for all of them in turn
  bool only_drains = false;  ///< nodes are drained and not killed, in every burst; of three nodes
  std::uint64_t events_per_cluster = 20;
  /// What the nodes of usual clusters compute on. On a GPU, which they share, their engines have all experts of their own.
  std::string device = "cpu";
  /// Which clusters there are, by number; none: as `nodes` says.
  std::function<ChaosCluster(std::uint64_t number)> clusters;
};

class Chaos {
 public:
  /// Data and logs live in `folder`.
  Chaos(std::filesystem::path folder, ChaosOptions options);
  ~Chaos();

  /// Says on the error stream how far it is and what is wrong. An Error means that nodes do not start.
  Result<ChaosSummary> run(std::uint64_t events);

 private:
  /// What happens to the nodes while they answer.
  struct Disturbance {
    std::vector<std::size_t> victims;
    std::uint64_t after_tokens = 0;  ///< the nodes are killed when the readers have seen as many `tokens` events
    int delay_ms = 0;                ///< or when so much time has gone by
    int down_ms = 0;
    std::optional<std::size_t> drained;  ///< this one is emptied meanwhile, and joins again
  };

  Result<void> start_cluster(std::uint64_t number);
  ChaosCluster usual_cluster(std::uint64_t number);
  /// Those that do not grant leases and are not the last of a tier.
  std::vector<std::size_t> drainable() const;
  Script draw_script();
  Disturbance draw_disturbance();
  Result<void> expect(Script& script);
  Result<void> run_one(std::uint64_t number);
  /// Kills and starts nodes, in this thread: a process ends with the thread that started it.
  Result<void> disturb(const Disturbance& disturbance);
  /// Drains a node, kills what is to be killed meanwhile, and lets it join again when it is empty.
  Result<void> drain_and_join(const Disturbance& disturbance);
  Result<void> kill_and_start(const Disturbance& disturbance);
  void note_gaps(const Told& told, std::chrono::steady_clock::time_point killed);
  void judge(std::uint64_t number, const Script& script, const Told& told);
  std::uint64_t draw(std::uint64_t below) { return random_() % below; }
  void complain(std::uint64_t number, const std::string& what);

  std::filesystem::path folder_;
  ChaosOptions options_;
  std::mt19937_64 random_;
  std::vector<std::string> questions_;
  std::unique_ptr<TroupeOf> undisturbed_;
  ChaosCluster asked_;
  std::unique_ptr<TroupeOf> cluster_;
  ChaosSummary summary_;
};

}  // namespace troupe::tests
