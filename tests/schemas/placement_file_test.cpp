#include "schemas/placement_file.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/random.hpp"

namespace troupe::schemas {
namespace {

using policy::ExpertEntry;

const std::string one = "[[experts]]\nmodel = \"heavy\"\nnode = \"b\"\n";

void expect_refused(const std::string& text, const std::vector<std::string>& words) {
  const auto result = parse_placement(text, "p.toml");
  ASSERT_FALSE(result) << text;
  EXPECT_EQ(result.error().code, ErrorCode::invalid_argument) << result.error().message;
  for (const auto& word : words) EXPECT_NE(result.error().message.find(word), std::string::npos) << result.error().message;
}

TEST(PlacementFile, InDeployGivesEveryExpertOfHeavyAHome) {
  std::ifstream file(TROUPE_SOURCE_DIR "/deploy/placement.toml");
  std::stringstream text;
  text << file.rdbuf();
  const auto entries = parse_placement(text.str(), "deploy/placement.toml");
  ASSERT_TRUE(entries) << entries.error().message;
  const policy::ExpertShape heavy{.layers = 8, .experts = 8, .sparse = {0, 1, 2, 3, 4, 5, 6, 7}, .expert_bytes = 1};
  const auto placement = policy::placement_of(*entries, "heavy", heavy);
  ASSERT_TRUE(placement) << placement.error().message;
  const std::vector<policy::ExpertRoom> nodes{{{"a"}, 32}, {{"b"}, 32}, {{"c"}, 16}};
  const auto valid = policy::validate(*placement, heavy, nodes);
  EXPECT_TRUE(valid) << valid.error().message;
}

TEST(PlacementFile, ReadsEntriesWithTheirLines) {
  const auto entries = parse_placement(one + one + "layers = \"0-3\"\nexperts = \"0-15,20\"\n", "p.toml");
  ASSERT_TRUE(entries) << entries.error().message;
  ASSERT_EQ(entries->size(), 2U);
  EXPECT_EQ((*entries)[0], (ExpertEntry{"heavy", {"b"}, {}, {}, {}}));
  EXPECT_EQ((*entries)[1], (ExpertEntry{"heavy", {"b"}, {{0, 3}}, {{0, 15}, {20, 20}}, {}}));
  EXPECT_EQ((*entries)[0].where, "p.toml:1");
  EXPECT_EQ((*entries)[1].where, "p.toml:4");
  EXPECT_TRUE(parse_placement("", "p.toml")->empty());
}

TEST(PlacementFile, NamesTheLineTheKeyWhatWasSeenAndWhatIsExpected) {
  expect_refused(one + "layers = 3\n", {"p.toml:4:", "experts[1].layers is 3", "0-3,7"});
  expect_refused(one + "experts = \"7-4\"\n", {"p.toml:4:", "experts[1].experts is \"7-4\"", "ascending"});
  expect_refused(one + "expert = \"1\"\n", {"p.toml:4:", "experts[1].expert is not known", "model, node, layers, experts"});
  expect_refused("[[experts]]\nmodel = \"heavy\"\n", {"p.toml:1:", "experts[1].node is missing"});
  expect_refused("[[experts]]\nnode = \"\"\nmodel = \"heavy\"\n", {"p.toml:2:", "experts[1].node is \"\"", "1 to 1024 bytes"});
  expect_refused("experts = 1\n", {"p.toml:1:", "experts is 1", "[[experts]]"});
  expect_refused("[[expert]]\nnode = \"b\"\n", {"expert is not known"});
  expect_refused("[[experts]\n", {"p.toml:1:", "not TOML"});
  const auto large = parse_placement(std::string(placement_file_bytes_max + 1, '#'), "p.toml");
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ErrorCode::too_large);
}

TEST(PlacementFile, IsPrintedSoThatItReadsTheSame) {
  const std::vector<ExpertEntry> entries{{"heavy", {"odd ]] \"node\"\n\\"}, {}, {{1, 1}, {3, 9}}, {}},
                                         {"other", {"b"}, {{0, 4095}}, {}, {}},
                                         {"other", {"c"}, {}, {}, {}}};
  const auto again = parse_placement(to_toml(entries), "printed");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, entries);
}

TEST(PlacementFile, SurvivesDamage) {
  const std::string whole = one + "layers = \"0-3\"\n" + one + "experts = \"0-15,20\"\n";
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    std::string text = whole.substr(0, random.below(whole.size() + 1));
    for (std::uint64_t i = random.below(4); i > 0 && !text.empty(); --i) {
      text[random.below(text.size())] = static_cast<char>(random.below(256));
    }
    const auto parsed = parse_placement(text, "damaged");
    if (!parsed) {
      EXPECT_EQ(parsed.error().message.rfind("damaged", 0), 0U) << parsed.error().message;
    }
  }
}

}  // namespace
}  // namespace troupe::schemas
