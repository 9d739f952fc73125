#include "bench/story.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "bench/chunks.hpp"

namespace troupe::bench {
namespace {

using End = StoryAnswer::End;

QuestionSet set_of(const std::vector<std::string>& sections) {
  QuestionSet set;
  for (const std::string& section : sections) {
    Question question;
    question.id = "q" + std::to_string(set.questions.size());
    if (!section.empty()) question.sections = {section};
    question.values = {"5 years"};
    question.answer = "It is 5 years.";
    if (section.empty()) {
      question.values.clear();
      question.answer = "The sources do not say.";
    }
    set.questions.push_back(question);
  }
  return set;
}

StoryAnswer answered(const std::string& text, int milliseconds) {
  return {End::answered, text, std::chrono::milliseconds(milliseconds), false};
}

StoryRun run_of(std::vector<StoryAnswer> answers) { return {std::move(answers), {100, 10, 1000}, std::chrono::seconds(60)}; }

TEST(StoryLoad, AsksEveryQuestionOnceInConversationsAboutADocument) {
  const QuestionSet set = set_of({"a#1", "b#1", "a#2", "b#2", "a#3", "b#3", ""});
  const StoryLoad load = story_load(set, 3, 7);
  ASSERT_EQ(load.size(), 3U);
  std::vector<std::size_t> all;
  for (const auto& conversation : load) {
    EXPECT_LE(conversation.size(), 3U);
    all.insert(all.end(), conversation.begin(), conversation.end());
  }
  std::ranges::sort(all);
  EXPECT_EQ(all, (std::vector<std::size_t>{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_TRUE(std::ranges::any_of(load, [&](const auto& conversation) {
    return std::ranges::all_of(conversation, [](std::size_t place) { return place % 2 == 1; });
  })) << "the last conversations are about b alone";
}

TEST(StoryLoad, IsDrawnByItsSeed) {
  const QuestionSet set = set_of(std::vector<std::string>(40, "a#1"));
  EXPECT_EQ(story_load(set, 5, 1), story_load(set, 5, 1));
  EXPECT_NE(story_load(set, 5, 1), story_load(set, 5, 2));
}

TEST(StoryRow, CountsWhatWasAnsweredAndHowFast) {
  const QuestionSet set = set_of({"a#1", "a#2", ""});
  const std::vector<StoryRun> runs = {
      run_of({answered("It is 5 years [2].", 100), answered("7 years", 300), answered("The sources do not say.", 200)}),
      run_of({answered("It is 5 years [1].", 100),
              {End::out_of_memory, "out of memory", {}, true},
              {End::refused, "full", {}, false}})};
  const StoryRow row = sum_up("chain", set, abstentions_of(set), runs);
  EXPECT_EQ(row.asked, 6U);
  EXPECT_EQ(row.answered, 4U);
  EXPECT_EQ(row.out_of_memory, 1U);
  EXPECT_EQ(row.refused, 1U);
  EXPECT_EQ(row.cut, 1U);
  EXPECT_DOUBLE_EQ(row.mean_ms, 175);
  EXPECT_DOUBLE_EQ(row.p50_ms, 100);
  EXPECT_DOUBLE_EQ(row.p95_ms, 300);
  EXPECT_DOUBLE_EQ(row.right, 0.5) << "whatever is cited, and what was not answered is wrong";
  EXPECT_DOUBLE_EQ(row.out_of_memory_hour, 30) << "one in two minutes";
  EXPECT_EQ(row.work, (StoryWork{200, 20, 2000}));
  ASSERT_TRUE(row.consistency);
  EXPECT_DOUBLE_EQ(*row.consistency, 0) << "only the first was answered twice, and cites something else";
}

TEST(StoryRow, IsConsistentIfEveryRunSaysTheSame) {
  const QuestionSet set = set_of({"a#1", "a#2"});
  const StoryRun run = run_of({answered("one", 1), answered("two", 2)});
  const std::vector<StoryRun> same = {run, run, run};
  EXPECT_EQ(sum_up("troupe", set, {}, same).consistency, 1.0);
  EXPECT_EQ(sum_up("troupe", set, {}, std::vector<StoryRun>{run}).consistency, std::nullopt) << "one run shows nothing";
}

TEST(StoryComparison, HoldsIfAllMarksDo) {
  StoryRow chain;
  chain.mean_ms = 430;
  StoryRow troupe;
  troupe.mean_ms = 100;
  troupe.asked = troupe.answered = 10;
  troupe.consistency = 1;
  EXPECT_TRUE(compare(chain, troupe).holds());
  troupe.answered = 9;
  EXPECT_FALSE(compare(chain, troupe).holds());
  troupe.answered = 10;
  troupe.consistency = 0.99;
  EXPECT_FALSE(compare(chain, troupe).holds());
  troupe.consistency = 1;
  troupe.mean_ms = 101;
  EXPECT_FALSE(compare(chain, troupe).holds());
  EXPECT_FALSE(compare(chain, {}).holds()) << "nothing was asked";
}

TEST(Chunks, OverlapAndHaveTheWholeDocument) {
  std::vector<storage::Section> sections;
  for (int i = 1; i <= 9; ++i) {
    const std::string number = std::to_string(i);
    sections.push_back({"rules#" + number, "Rules (2024-02-15) §" + number,
                        "Word" + number + " and some more words of section " + number + ".", "Heading " + number});
  }
  sections.push_back({"notes#last", "Notes: Last", "Short."});
  const auto chunks = overlapping_chunks(sections, {120, 30});
  ASSERT_GT(chunks.size(), 4U);
  EXPECT_EQ(chunks.front().key, "rules~1");
  EXPECT_EQ(chunks.front().name, "Rules (2024-02-15)");
  EXPECT_EQ(chunks.back().key, "notes~1");
  EXPECT_EQ(chunks.back().name, "Notes");
  EXPECT_EQ(chunks.back().text, "Short.");
  for (std::size_t i = 0; i + 2 < chunks.size(); ++i) {
    EXPECT_LT(chunks[i].text.size(), 140U);
    const std::string tail = chunks[i].text.substr(chunks[i].text.size() - 10);
    EXPECT_NE(chunks[i + 1].text.find(tail), std::string::npos) << i;
  }
  for (int i = 1; i <= 9; ++i) {
    const std::string word = "Heading " + std::to_string(i) + ". Word" + std::to_string(i);
    EXPECT_TRUE(std::ranges::any_of(chunks, [&](const auto& chunk) { return chunk.text.find(word) != std::string::npos; }))
        << word;
  }
}

TEST(Chunks, EndWithTextThatHasNoSpaces) {
  const std::vector<storage::Section> one = {{"a#1", "A §1", std::string(1000, 'x')}};
  EXPECT_EQ(overlapping_chunks(one, {100, 20}).size(), 1U);
  EXPECT_TRUE(overlapping_chunks({}, {100, 20}).empty());
}

}  // namespace
}  // namespace troupe::bench
