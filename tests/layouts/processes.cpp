#include "tests/layouts/processes.hpp"

#include <algorithm>
#include <initializer_list>
#include <sstream>
#include <string>

#include "base/random.hpp"
#include "kernels/targets.hpp"
#include "model/config.hpp"
#include "tests/layouts/layout.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::tests::layouts {

namespace {

constexpr std::uint64_t bursts = 3;  // of each layout
/// Just enough for the longest prompt of the largest bundled model: less, and prompts would be assembled to be shorter.
constexpr std::int64_t kv_mebibytes_min = 17;

template <class T>
T one_of(Random& random, std::initializer_list<T> values) {
  return values.begin()[random.below(values.size())];
}

std::vector<std::string> draw_options(Random& random) {
  std::vector<std::string> options{
      "--kv-memory",       std::to_string(one_of<std::int64_t>(random, {kv_mebibytes_min, 32, 512})),
      "--batch-tokens",    std::to_string(one_of<std::int64_t>(random, {random.between(5, 20), 64, 300})),
      "--batch-sequences", std::to_string(one_of<std::int64_t>(random, {1, random.between(2, 6), 64})),
      "--threads",         std::to_string(random.between(1, 2)),
      "--kv-host-memory",  std::to_string(one_of<std::int64_t>(random, {0, 8, 256})),
      "--kv-disk",         std::to_string(one_of<std::int64_t>(random, {0, 64}))};
  std::vector<kernels::InstructionSet> sets;
  for (const auto set : kernels::instruction_sets) {
    // Plain C++ would take minutes, and has its own tests.
    if (set != kernels::InstructionSet::plain && kernels::is_supported(set)) sets.push_back(set);
  }
  if (!sets.empty()) {
    options.emplace_back("--isa");
    options.emplace_back(kernels::to_string(sets[random.below(sets.size())]));
  }
  return options;
}

std::string describe(const ChaosCluster& cluster) {
  std::ostringstream text;
  text << "layout " << cluster.seed << " of " << cluster.setups.size() << " processes\n";
  for (std::size_t i = 0; i < cluster.setups.size(); ++i) {
    text << "  " << i + 1 << ":";
    for (const std::string& tier : cluster.setups[i].tiers) text << " " << tier;
    for (const std::string& option : cluster.setups[i].options) text << " " << option;
    text << "\n";
  }
  for (const policy::ExpertEntry& entry : cluster.placement) {
    text << "  " << entry.node.value << " has experts " << (entry.experts.empty() ? "all" : to_string(entry.experts))
         << " of layers " << (entry.layers.empty() ? "all" : to_string(entry.layers)) << "\n";
  }
  return text.str();
}

}  // namespace

ChaosCluster draw_processes(std::uint64_t seed) {
  Random random(seed, 4);
  ChaosCluster cluster;
  cluster.seed = seed;
  cluster.setups.resize(one_of<std::size_t>(random, {1, 2, 2, 3, 3, 4, 4}));
  for (const char* const tier : {"mini", "medium", "heavy"}) {
    const std::size_t home = random.below(cluster.setups.size());
    for (std::size_t i = 0; i < cluster.setups.size(); ++i) {
      if (i == home || random.chance(0.4F)) cluster.setups[i].tiers.emplace_back(tier);
    }
  }
  if (random.chance(0.8F)) {
    std::vector<policy::NodeId> nodes;
    for (std::size_t i = 1; i <= cluster.setups.size(); ++i) nodes.push_back({std::to_string(i)});
    const auto config = model::load_config(TROUPE_SOURCE_DIR "/portfolio/heavy/config.json").value();
    cluster.placement = policy::entries_of(draw_placement(random, model::expert_shape(config), nodes), "heavy");
  }
  for (NodeSetup& setup : cluster.setups) {
    if (setup.tiers.empty()) setup.tiers = {"none"};
    setup.options = draw_options(random);
  }
  cluster.name = "dev/layouts --layout-seed " + std::to_string(seed) + " --processes 1";
  cluster.layout = describe(cluster);
  return cluster;
}

Result<ChaosSummary> run_processes(const std::vector<std::uint64_t>& layout_seeds) {
  const TemporaryFolder folder;
  Chaos chaos(folder.path(), {.seed = 0, .events_per_cluster = bursts, .clusters = [&](std::uint64_t number) {
                                return draw_processes(layout_seeds[number]);
                              }});
  return chaos.run(bursts * layout_seeds.size());
}

}  // namespace troupe::tests::layouts
