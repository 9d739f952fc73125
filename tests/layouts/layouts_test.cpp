// Some random layouts; dev/layouts runs as many as one likes.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/layouts/processes.hpp"
#include "tests/layouts/summary.hpp"

namespace troupe::tests::layouts {
namespace {

constexpr std::uint64_t seed = 1;

Prompts& prompts() {
  static Prompts made;
  return made;
}

Summary run(std::uint64_t layouts, Defect defect, bool tells) {
  Summary summary;
  for (std::uint64_t i = 0; i < layouts; ++i) {
    const Layout layout = draw_layout(layout_seed(seed, i), prompts());
    const Outcome outcome = run_layout(layout, prompts(), defect);
    summary.add(layout, outcome);
    for (const std::string& complaint : outcome.complaints) {
      if (tells) ADD_FAILURE() << complaint << "\n" << describe(layout, prompts());
    }
  }
  return summary;
}

TEST(Layouts, AnswerWithTheSameBitsWhateverHappens) {
  const Summary summary = run(40, Defect::none, true);
  EXPECT_EQ(summary.differing, 0U);
  EXPECT_GT(summary.streams, 200U);
  for (const auto& [what, times] : summary.happened) EXPECT_GT(times, 0U) << what;
}

TEST(Layouts, AreAFunctionOfTheirSeed) {
  for (std::uint64_t i = 0; i < 5; ++i) {
    const Layout layout = draw_layout(layout_seed(seed, i), prompts());
    EXPECT_EQ(describe(layout, prompts()), describe(draw_layout(layout_seed(seed, i), prompts()), prompts()));
    EXPECT_EQ(run_layout(layout, prompts()).happened, run_layout(layout, prompts()).happened);
  }
  EXPECT_NE(layout_seed(seed, 0), layout_seed(seed, 1));
  EXPECT_NE(layout_seed(seed, 0), layout_seed(seed + 1, 0));
}

TEST(Layouts, FindResultsThatAreAddedInTheOrderOfArrival) { EXPECT_GT(run(12, Defect::arrival_order, false).differing, 0U); }

TEST(Layouts, FindACacheThatTakesWhateverComes) { EXPECT_GT(run(24, Defect::unverified_block, false).differing, 0U); }

TEST(Layouts, OfProcessesHaveEveryTier) {
  std::set<std::size_t> sizes;
  for (std::uint64_t i = 0; i < 30; ++i) {
    const ChaosCluster cluster = draw_processes(layout_seed(seed, i));
    EXPECT_EQ(cluster.layout, draw_processes(layout_seed(seed, i)).layout);
    std::set<std::string> tiers;
    for (const NodeSetup& setup : cluster.setups) tiers.insert(setup.tiers.begin(), setup.tiers.end());
    tiers.erase("none");
    EXPECT_EQ(tiers, (std::set<std::string>{"mini", "medium", "heavy"})) << cluster.layout;
    sizes.insert(cluster.setups.size());
  }
  EXPECT_EQ(sizes, (std::set<std::size_t>{1, 2, 3, 4}));
}

}  // namespace
}  // namespace troupe::tests::layouts
