#include "storage/retrieval.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/random.hpp"
#include "storage/markdown.hpp"

namespace troupe::storage {
namespace {

using Keys = std::vector<std::string>;

/// A corpus in small.
const std::vector<Section> sections = {
    {"records#1", "Records Policy §1", "These rules hold for all records.", "Scope"},
    {"records#2", "Records Policy §2", "Audit logs are kept for 7 years.", "Audit logs"},
    {"records#3", "Records Policy §3", "Payroll records are class D files. Maintenance logs are class H files.", "Categories"},
    {"records#4", "Records Policy §4", "The retention period is 5 years for class D files and 30 days for class H files.", ""},
    {"access#1", "Access Rules §1", "Class D rooms need a badge.", "Entry"},
    {"access#2", "Access Rules §2", "The archive is opened by two people.", "Archive"},
    {"fees#1", "Fees §1", "Parking permits cost EUR 20.", "Parking"},
};

Keys keys_of(const std::vector<Section>& all, const Retrieved& found) {
  Keys keys;
  for (const FoundSection& each : found.sections) keys.push_back(all[each.section].key);
  return keys;
}

Keys search(const std::string& question, std::size_t limit = 3) {
  return keys_of(sections, Retrieval(sections).search(question, limit));
}

TEST(Retrieval, FindsWhatSharesContentWithTheQuestion) {
  EXPECT_EQ(search("What do parking permits cost?", 1), Keys{"fees#1"});
  EXPECT_EQ(search("What of parking?", 1), Keys{"fees#1"}) << "headings are searched as well";
  EXPECT_EQ(search("Where are whales?"), Keys{}) << "that rules are for anything does not make them right for it";
  EXPECT_EQ(search("whales"), Keys{});
  EXPECT_EQ(search(""), Keys{});
  EXPECT_EQ(search("parking", 0), Keys{});
}

TEST(Retrieval, GoesOnFromWhatItFound) {
  const auto found = Retrieval(sections).search("How long must I hold on to payroll records?", 8);
  const auto at =
      std::find_if(found.sections.begin(), found.sections.end(), [](const FoundSection& each) { return each.section == 3; });
  ASSERT_NE(at, found.sections.end()) << "it shares no word with the question";
  EXPECT_EQ(at->via, 2U);
  EXPECT_LT(at - found.sections.begin(), 4);
}

TEST(Retrieval, PrefersTheSameDocumentWhenItGoesOn) {
  const auto keys = search("How long must I hold on to payroll records?", 8);
  const auto place = [&](const std::string& key) { return std::find(keys.begin(), keys.end(), key) - keys.begin(); };
  EXPECT_LT(place("records#4"), place("access#1")) << "class D is in both";
}

TEST(Retrieval, GivesEachOfSeveralQuestionsItsBest) {
  const auto keys = search("How long are audit logs kept? And what do parking permits cost?", 2);
  EXPECT_EQ((std::unordered_set<std::string>(keys.begin(), keys.end())),
            (std::unordered_set<std::string>{"records#2", "fees#1"}));
}

TEST(Retrieval, FindsOneOfCopies) {
  const std::vector<Section> versions = {{"p-2022-01-01#1", "P (2022-01-01) §1", "Doors are closed."},
                                         {"p-2023-01-01#1", "P (2023-01-01) §1", "Doors are closed."},
                                         {"q#1", "Q §1", "Lamps are off."}};
  const Retrieval retrieval(versions);
  EXPECT_EQ(keys_of(versions, retrieval.search("Are doors closed?", 5)), Keys{"p-2023-01-01#1"});
  EXPECT_EQ(keys_of(versions, retrieval.search("Were doors closed on 2022-06-01?", 5)), Keys{"p-2022-01-01#1"});
}

TEST(Retrieval, SaysWhatSpeaksForIt) {
  const Retrieval retrieval(sections);
  const auto sure = retrieval.search("What do parking permits cost?", 5).evidence;
  EXPECT_EQ(sure.covered, 1);
  EXPECT_EQ(sure.best_covers, 1);
  EXPECT_EQ(sure.unknown, 0);
  EXPECT_EQ(sure.pairs, 1);
  const auto unsure = retrieval.search("What do blue whales cost?", 5).evidence;
  EXPECT_LT(unsure.covered, 0.5);
  EXPECT_GT(unsure.unknown, 0.5);
  EXPECT_EQ(unsure.pairs, 0);
  EXPECT_EQ(retrieval.search("", 5).evidence, policy::RetrievalEvidence{});
  EXPECT_GT(policy::retrieval_confidence(sure), policy::retrieval_confidence(unsure));
}

TEST(Retrieval, OfNothingFindsNothing) {
  EXPECT_TRUE(Retrieval({}).search("doors", 5).sections.empty());
  const std::vector<Section> wordless = {{"a", "", "§"}};
  EXPECT_TRUE(Retrieval(wordless).search("doors", 5).sections.empty());
}

TEST(Retrieval, HoldsItsPropertiesForAnyText) {
  const std::vector<std::string> words = {"class", "D",     "files?", "payroll", "records.", "the",
                                          "7",     "years", "?",      "whales",  "\xff",     ";"};
  const Retrieval retrieval(sections);
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    std::string question;
    for (std::uint64_t i = random.below(12); i > 0; --i) question += words[random.below(words.size())] + " ";
    const std::size_t limit = random.below(10);
    const auto found = retrieval.search(question, limit);
    EXPECT_LE(found.sections.size(), limit);
    std::unordered_set<std::size_t> once;
    for (const FoundSection& each : found.sections)
      EXPECT_TRUE(each.section < sections.size() && once.insert(each.section).second);
    for (const double share : {found.evidence.covered, found.evidence.best_covers, found.evidence.unknown, found.evidence.pairs,
                               found.evidence.lead, found.evidence.bridge}) {
      EXPECT_TRUE(share >= 0 && share <= 1 + 1e-9) << share;
    }
    const double confidence = policy::retrieval_confidence(found.evidence);
    EXPECT_TRUE(confidence >= 0 && confidence <= 1) << confidence;
  }
}

TEST(Retrieval, FindsWhatNearlyEveryHandbookQuestionNeedsAmongEight) {
  const auto handbook = read_markdown(TROUPE_SOURCE_DIR "/portfolio/handbook");
  ASSERT_TRUE(handbook) << handbook.error().message;
  const Retrieval retrieval(*handbook);
  std::ifstream file(TROUPE_SOURCE_DIR "/portfolio/handbook/questions.jsonl");
  int questions = 0;
  int found = 0;
  int two_hop = 0;
  int two_hop_found = 0;
  for (std::string line; std::getline(file, line);) {
    const auto row = nlohmann::json::parse(line);
    const auto keys = keys_of(*handbook, retrieval.search(row["question"].get<std::string>(), 8));
    const bool all = std::all_of(row["sections"].begin(), row["sections"].end(), [&](const nlohmann::json& key) {
      return std::find(keys.begin(), keys.end(), key.get<std::string>()) != keys.end();
    });
    ++questions;
    found += all ? 1 : 0;
    if (row["difficulty"] != "two_hop") continue;
    ++two_hop;
    two_hop_found += all ? 1 : 0;
  }
  EXPECT_EQ(questions, 115);
  EXPECT_GE(found, 110) << "95 %; with a keyword search that stops at five it is 91";
  EXPECT_EQ(two_hop_found, two_hop);
}

}  // namespace
}  // namespace troupe::storage
