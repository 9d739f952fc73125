// A layout: the nodes of a small cluster, which of a model's experts each holds, how much room its engine and the levels below
// it have, what is asked where and when, and what happens meanwhile. A function of a seed; nothing of it may change an answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "engine/options.hpp"
#include "kernels/targets.hpp"
#include "policy/expert_placement.hpp"
#include "tests/layouts/prompts.hpp"

namespace troupe::tests::layouts {

struct NodeLayout {
  std::string name;
  bool runs_sequences = false;
  kernels::InstructionSet instruction_set = kernels::InstructionSet::plain;
  engine::EngineOptions options;  ///< of its engine
  std::size_t host_blocks = 0;    ///< below the engine's pool, in memory
  std::size_t disk_blocks = 0;    ///< and below that
  policy::ExpertSelection experts;
};

/// Time is counted in ticks, in each of which every engine takes a step.
struct Question {
  std::size_t prompt = 0;
  std::size_t node = 0;
  std::int32_t tick = 0;
  engine::Priority priority = engine::Priority::standard;
  bool use_prefix_cache = true;
  bool waits_for_blocks = true;  ///< else it is computed while blocks are still on their way
  std::string tenant;
};

struct Happening {
  enum class Kind : std::uint8_t {
    kill,
    restart,   ///< of a node that was killed, with nothing left of what it had
    drain,     ///< its sequences go on elsewhere, and others answer for its experts
    join,      ///< of a node that was drained
    withdraw,  ///< a node no longer answers for experts, and nobody was told before
    clear,     ///< its cache becomes cold
  };
  Kind kind = Kind::clear;
  std::int32_t tick = 0;
  std::size_t node = 0;
};
std::string_view to_string(Happening::Kind kind);

/// How often what goes between nodes, and what is kept, goes wrong.
struct Troubles {
  std::int64_t delay_us_max = 0;
  float late = 0;       ///< messages and transfers, by more than anybody waits
  float repeated = 0;   ///< messages
  float lost = 0;       ///< messages
  float fails = 0;      ///< transfers
  float torn = 0;       ///< transfers that end well after some of their bytes
  float broken = 0;     ///< connections, per message or transfer
  float let_go = 0;     ///< blocks that their owner does not keep while they are read
  float misplaced = 0;  ///< blocks that their owner says to be where others are
  float spoilt = 0;     ///< blocks on a disk
};

struct Layout {
  std::uint64_t seed = 0;
  std::size_t model = 0;
  std::vector<NodeLayout> nodes;
  std::vector<Question> questions;
  std::vector<Happening> happenings;
  Troubles troubles;
  double seconds_per_token = 0;  ///< what nodes believe that computing costs, when they decide whether to fetch; 0: unknown
};

/// The seed of one of the layouts that a run draws.
std::uint64_t layout_seed(std::uint64_t seed, std::uint64_t number);
/// A pure function of the seed.
Layout draw_layout(std::uint64_t seed, Prompts& prompts);
/// Each expert on one of the nodes or several: as policy computes it, or at random.
policy::ExpertPlacement draw_placement(Random& random, const policy::ExpertShape& shape,
                                       const std::vector<policy::NodeId>& nodes);
/// For a person who looks into one.
std::string describe(const Layout& layout, Prompts& prompts);

}  // namespace troupe::tests::layouts
