#include "storage/bm25.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "storage/markdown.hpp"

namespace troupe::storage {
namespace {

std::vector<nlohmann::json> lines_of(const std::string& path) {
  std::ifstream file(TROUPE_SOURCE_DIR "/" + path);
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

TEST(Bm25, ScoresAsItsFormulaSays) {
  const std::vector<Section> sections = {{"a", "A", "door door key"}, {"b", "B", "door"}, {"c", "C", "lamp"}};
  const Bm25 index(sections);
  const auto hits = index.search("Doors, door and keys", 5);
  const double mean = (4 + 2 + 2) / 3.0;
  const auto weight = [mean](double count, double length) {
    return count * 2.2 / (count + 1.2 * (0.25 + 0.75 * length / mean));
  };
  const double door = std::log(1 + (3 - 2 + 0.5) / (2 + 0.5));
  const double key = std::log(1 + (3 - 1 + 0.5) / (1 + 0.5));
  ASSERT_EQ(hits.size(), 2U);
  EXPECT_EQ(hits[0].section, 0U);
  EXPECT_NEAR(hits[0].score, door * weight(2, 4) + key * weight(1, 4), 1e-6);
  EXPECT_EQ(hits[1].section, 1U);
  EXPECT_NEAR(hits[1].score, door * weight(1, 2), 1e-6);
}

TEST(Bm25, FindsNothingWhereNothingIsShared) {
  const std::vector<Section> sections = {{"a", "A", "door"}};
  const Bm25 index(sections);
  EXPECT_TRUE(index.search("lamp", 5).empty());
  EXPECT_TRUE(index.search("", 5).empty());
  EXPECT_TRUE(index.search("door", 0).empty());
  EXPECT_EQ(index.search("door", 1000000).size(), 1U);
  EXPECT_TRUE(Bm25(std::vector<Section>()).search("door", 5).empty());
  const std::vector<Section> wordless = {{"a", "", "§"}};
  EXPECT_TRUE(Bm25(wordless).search("door", 5).empty());
}

TEST(Bm25, KnowsHowRareATermIsAndSearchesHeadingsToo) {
  const std::vector<Section> sections = {{"a", "A", "door", "Way out"}, {"b", "B", "door"}};
  const Bm25 index(sections);
  EXPECT_NEAR(index.rarity("door"), std::log(1 + 0.5 / 2.5), 1e-6);
  EXPECT_NEAR(index.rarity("lamp"), std::log(1 + 2.5 / 0.5), 1e-6) << "as a term that no section has";
  EXPECT_TRUE(index.has("way"));
  EXPECT_FALSE(index.has("lamp"));
  ASSERT_EQ(index.search("the way", 5).size(), 1U);
  EXPECT_EQ(index.search("the way", 5)[0].section, 0U);
}

TEST(Bm25, PutsTheEarlierOfEqualSectionsFirst) {
  std::vector<Section> sections;
  for (int i = 0; i < 20; ++i) sections.push_back({std::to_string(i), "N", i % 2 == 0 ? "door key" : "lamp key"});
  const Bm25 index(sections);
  const auto hits = index.search("lamp door", 20);
  ASSERT_EQ(hits.size(), 20U);
  for (std::size_t i = 0; i < hits.size(); ++i) EXPECT_EQ(hits[i].section, i);
  EXPECT_EQ(index.search("lamp door", 3), (std::vector<Bm25::Hit>(hits.begin(), hits.begin() + 3)));
}

TEST(Bm25, FindsForEveryHandbookQuestionWhatTheReferenceFinds) {
  auto sections = read_markdown(TROUPE_SOURCE_DIR "/portfolio/handbook");
  ASSERT_TRUE(sections) << sections.error().message;
  for (Section& section : *sections) section.heading.clear();  // the reference has none
  const Bm25 index(*sections);
  const auto questions = lines_of("portfolio/handbook/questions.jsonl");
  const auto expected = lines_of("tests/fixtures/retrieval.jsonl");
  ASSERT_EQ(questions.size(), 115U);
  ASSERT_EQ(expected.size(), questions.size());
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const auto hits = index.search(questions[i]["question"].get<std::string>(), 5);
    std::vector<std::string> found;
    for (const auto& hit : hits) found.push_back((*sections)[hit.section].key);
    EXPECT_EQ(expected[i]["id"], questions[i]["id"]);
    EXPECT_EQ(found, expected[i]["found"].get<std::vector<std::string>>()) << questions[i]["question"];
    ASSERT_FALSE(hits.empty());
    EXPECT_NEAR(hits[0].score, expected[i]["best"].get<double>(), 1e-4);
  }
}

}  // namespace
}  // namespace troupe::storage
