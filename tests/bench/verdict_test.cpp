#include "bench/verdict.hpp"

#include <gtest/gtest.h>

namespace troupe::bench {
namespace {

using policy::Passage;

/// A committed turn whose only attempt had these passages.
policy::Turn turn_of(const std::string& answer, const std::vector<std::string>& sections) {
  policy::Turn turn;
  turn.attempts.emplace_back();
  for (const std::string& section : sections) turn.attempts[0].plan.passages.push_back({section, "Name of " + section});
  turn.outcome.emplace();
  turn.outcome->committed = true;
  turn.outcome->answer = answer;
  return turn;
}

Question about_a_corpus() {
  Question question;
  question.id = "q";
  question.answer = "Logs are kept for a year, files for ever.";
  question.values = {"a year", "Ever"};
  question.sections = {"a#1", "b#2"};
  return question;
}

Question with_sources() {
  Question question;
  question.id = "q";
  question.answer = "Logs are kept for a year [2].";
  question.values = {"a year"};
  question.sections = {"q#2"};
  question.sources = {{"q#1", "Rules §1", "Doors are closed."}, {"q#2", "Code §1", "Logs are kept for a year."}};
  return question;
}

Question unanswerable() {
  Question question;
  question.id = "q";
  question.answer = "The sources do not say.";
  question.values = {"The sources do not say."};
  return question;
}

Abstentions abstentions() { return abstentions_of({{about_a_corpus(), unanswerable()}, false}); }

Verdict verdict_of(const Question& question, const std::string& answer, const std::vector<std::string>& sections) {
  return judge(question, abstentions(), turn_of(answer, sections));
}

TEST(Verdicts, AcceptTheAnswerWhereverItsCitationsStand) {
  const Question question = about_a_corpus();
  for (const char* answer :
       {"Logs are kept for a year, files for ever. [1] [3]", "Logs are kept for a year [3], files for ever [1].\n",
        "Logs are kept for a year [3][3], files for ever[1]."}) {
    const Verdict verdict = verdict_of(question, answer, {"b#2", "c#3", "a#1"});
    EXPECT_EQ(verdict, (Verdict{true, true, true, false, 2, 2, true})) << answer;
  }
}

TEST(Verdicts, RefuseOtherWordsButNoteTheValues) {
  const Verdict verdict = verdict_of(about_a_corpus(), "Logs: A YEAR [1]. Files: forever [2].", {"a#1", "b#2"});
  EXPECT_FALSE(verdict.right);
  EXPECT_TRUE(verdict.values);
  EXPECT_FALSE(verdict_of(about_a_corpus(), "Logs: a month [1]. Files: for ever [2].", {"a#1", "b#2"}).values);
}

TEST(Verdicts, RefuseCitationsThatAreMissingOrOfSomethingElse) {
  const std::string plain = "Logs are kept for a year, files for ever.";
  const auto of = [&](const std::string& citations) {
    return verdict_of(about_a_corpus(), plain + citations, {"a#1", "b#2", "c#3"});
  };
  EXPECT_EQ(of(""), (Verdict{true, false, false, false, 0, 0, true}));
  EXPECT_EQ(of(" [1]"), (Verdict{true, false, false, false, 1, 1, true}));
  EXPECT_EQ(of(" [1] [2] [3]"), (Verdict{true, false, false, false, 3, 2, true}));
  EXPECT_EQ(of(" [1] [2] [9]"), (Verdict{true, false, false, false, 3, 2, true}));
  EXPECT_TRUE(of(" [2] [1]").right);
}

TEST(Verdicts, CompareCitationsInTheirPlacesWhereTheSetHasThem) {
  const Question question = with_sources();
  EXPECT_TRUE(verdict_of(question, "Logs are kept for a year [2].", {"q#1", "q#2"}).right);
  EXPECT_FALSE(verdict_of(question, "Logs are kept [2] for a year.", {"q#1", "q#2"}).right);
  EXPECT_TRUE(verdict_of(question, "Logs are kept [2] for a year.", {"q#1", "q#2"}).values);
  EXPECT_FALSE(verdict_of(question, "Logs are kept for a year [1].", {"q#1", "q#2"}).right);
}

TEST(Verdicts, ReadNumbersAsTheSectionsThatTheyStandFor) {
  EXPECT_TRUE(verdict_of(with_sources(), "Logs are kept for a year [1].", {"q#2", "q#1"}).right);
  EXPECT_FALSE(verdict_of(with_sources(), "Logs are kept for a year [2].", {"q#2", "q#1"}).right);
}

TEST(Verdicts, SeeThatNothingWasFound) {
  EXPECT_FALSE(verdict_of(about_a_corpus(), "", {"a#1"}).found);
  EXPECT_TRUE(verdict_of(unanswerable(), "", {}).found);
}

TEST(Verdicts, KnowAnAbstentionByTheWordsOfTheSet) {
  EXPECT_EQ(verdict_of(unanswerable(), " The sources do not say.", {"a#1"}), (Verdict{true, true, true, true, 0, 0, true}));
  EXPECT_TRUE(verdict_of(about_a_corpus(), "The sources do not say.", {"a#1"}).abstained);
  EXPECT_FALSE(verdict_of(about_a_corpus(), "The sources do not say.", {"a#1"}).right);
  EXPECT_FALSE(verdict_of(unanswerable(), "The sources do not say. [1]", {"a#1"}).abstained);
  EXPECT_FALSE(verdict_of(unanswerable(), "I do not know.", {"a#1"}).abstained);
}

TEST(Verdicts, LookAtTheAttemptThatAnswered) {
  policy::Turn turn = turn_of("Logs are kept for a year, files for ever. [1] [2]", {"c#3", "d#4"});
  turn.attempts.push_back(turn.attempts[0]);
  turn.attempts[1].plan.attempt = 1;
  turn.attempts[1].plan.passages = {{"a#1", "A"}, {"b#2", "B"}};
  turn.outcome->attempt = 1;
  EXPECT_TRUE(judge(about_a_corpus(), abstentions(), turn).right);
  turn.outcome->attempt = 0;
  EXPECT_FALSE(judge(about_a_corpus(), abstentions(), turn).right);
}

TEST(Values, AreSaidWhateverIsCited) {
  EXPECT_TRUE(says_the_values(about_a_corpus(), abstentions(), "For a year, files FOR EVER [9]."));
  EXPECT_FALSE(says_the_values(about_a_corpus(), abstentions(), "For a year."));
  EXPECT_TRUE(says_the_values(unanswerable(), abstentions(), "The sources do not say. [1]"));
  EXPECT_FALSE(says_the_values(unanswerable(), abstentions(), "For a year."));
  Question bare = about_a_corpus();
  bare.values.clear();
  EXPECT_TRUE(says_the_values(bare, abstentions(), "Logs are kept for a year [1], files for ever [2]."));
  EXPECT_FALSE(says_the_values(bare, abstentions(), "Logs are kept."));
}

TEST(Verdicts, AreAgainstWhatWasNotAnswered) {
  policy::Turn turn = turn_of("The sources do not say.", {});
  turn.outcome->committed = false;
  EXPECT_EQ(judge(unanswerable(), abstentions(), turn), Verdict{});
  turn.outcome.reset();
  EXPECT_EQ(judge(unanswerable(), abstentions(), turn), Verdict{});
}

}  // namespace
}  // namespace troupe::bench
