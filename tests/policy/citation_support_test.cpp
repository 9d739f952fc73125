#include "policy/citation_support.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.hpp"

namespace troupe::policy {
namespace {

const std::vector<PassageText> passages = {
    {"Records Policy (2024-02-15) §4.1", "Payroll records are class D files. We treat maintenance logs as class H files."},
    {"Records Policy (2024-02-15) §5.1", "The retention period is 5 years for class D files; 30 days for class H files."},
    {"Stores Manual §2.1", "For locker keys, a fee of EUR 45 each is charged. Ask Marta Hansson on extension 3277."},
    {"Stores Manual §9.9", ""},
};
const std::string asked = "How long are payroll records kept?";

std::string failure(const std::string& answer, const std::string& question = asked) {
  return failed_citation(answer, question, passages).value_or(FailedCitation()).what;
}

TEST(CitationSupport, IsThereIfTheSourcesSayIt) {
  EXPECT_EQ(failure("As for all class D files, payroll records are kept for 5 years [1][2]."), "");
  EXPECT_EQ(failure("Since 2024-02-15, maintenance logs are class H files [1]."), "");
  EXPECT_EQ(failure("Locker keys cost EUR 45 [3]. Payroll records are class D files [1]."), "");
  EXPECT_EQ(failure("Call Marta Hansson on extension 3277 [3]."), "");
}

TEST(CitationSupport, IsNotAskedOfAnAnswerThatCitesNothing) {
  EXPECT_EQ(failure("The sources do not say."), "");
  EXPECT_EQ(failure(""), "");
  EXPECT_EQ(failure("Unclosed [1 and [x] and [] and [1.5]"), "");
}

TEST(CitationSupport, IsMissingForAPassageThatWasNotGiven) {
  EXPECT_EQ(failure("Payroll records are class D files [7]."), "cites [7], and had 4 passages");
  EXPECT_EQ(failure("Payroll records are class D files [1][0]."), "cites [0], and had 4 passages");
  EXPECT_NE(failure("Payroll [99999999999999999999]."), "");
}

TEST(CitationSupport, IsMissingForAPassageThatIsGone) {
  EXPECT_EQ(failure("Payroll records are kept for 5 years [2][4]."), "cites [4], which is no longer in the corpus");
}

TEST(CitationSupport, IsMissingForAValueThatTheCitedPassageDoesNotHave) {
  EXPECT_EQ(failure("As for all class D files, payroll records are kept for 7 years [1][2]."),
            "says \"7\", which [1][2] does not");
  EXPECT_EQ(failure("Payroll records are kept for 5 years [1]."), "says \"5\", which [1] does not");
  EXPECT_EQ(failure("Locker keys cost EUR 45; ask Marta Jones [3]."), "says \"Jones\", which [3] does not");
  EXPECT_EQ(failure("The retention period of class D files is 30-5 days [2]."), "says \"30-5\", which [2] does not");
}

TEST(CitationSupport, TakesValuesOfTheQuestionAndComputedOnes) {
  EXPECT_EQ(failure("The total is 3 × EUR 45 = EUR 135 [3].", "I need 3 locker keys. What is the fee?"), "");
  EXPECT_EQ(failure("The total is 4 × EUR 45 = EUR 180 [3].", "I need 3 locker keys. What is the fee?"),
            "says \"4\", which [3] does not");
}

TEST(CitationSupport, IsNotTheQuestionsOwnNumber) {
  EXPECT_EQ(failure("Payroll records are kept for 70 years [1].", "Say that payroll records are kept for 70 years."),
            "says \"70\", which only the question does, and [1] does not");
  EXPECT_EQ(failure("A fee of EUR 90 is asked of Marta Hansson [3].", "Whom do I ask about a fee of EUR 90?"), "")
      << "the answer is a name";
  EXPECT_EQ(failure("Class D files are kept for 5 years [2].", "Are class D files kept for 5 years?"), "");
}

TEST(CitationSupport, IsMissingForAVersionThatALaterOneReplaces) {
  const std::vector<PassageText> versions = {
      {"Access Rules (2021-06-15) §2.2", "Badges expire after 36 months."},
      {"Access Rules (2023-06-15) §2.2", "Badges expire after 24 months."},
      {"Access Rules (2023-06-15) §2.3", "Keys expire after 12 months."},
      {"Access Rules (2024-06-15) §2.3", "Lockers are painted every year."},
  };
  const auto of = [&](const std::string& answer, const std::string& question) {
    return failed_citation(answer, question, versions).value_or(FailedCitation()).what;
  };
  EXPECT_EQ(of("Badges expire after 36 months [1].", "When do badges expire?"), "cites [1], of which [2] is a later version");
  EXPECT_EQ(of("Since 2023-06-15, badges expire after 24 months [2].", "When do badges expire?"), "");
  EXPECT_EQ(of("Badges expire after 24 months [2], before that after 36 months [1].", "When did badges expire in 2021?"), "");
  EXPECT_EQ(of("Since 2021-06-15, badges expire after 36 months [1].", "When did badges expire on 2022-03-01?"), "");
  EXPECT_EQ(of("Since 2021-06-15, badges expire after 36 months [1].", "When did badges expire on 2023-07-01?"),
            "cites [1], of which [2] is a later version");
  EXPECT_EQ(of("Badges expire after 36 and now 24 months [1][2].", "When do badges expire?"), "");
  for (const char* dates : {"2022-12-31 and on 2025-01-01", "2025-01-01 and on 2022-12-31"}) {
    EXPECT_EQ(of("Badges expired after 36 months [1]. They now expire after 24 months [2].",
                 std::string("When did badges expire on ") + dates + "?"),
              "")
        << dates;
  }
  EXPECT_EQ(of("Keys expire after 12 months [3].", "When do keys expire?"), "") << "the later section is about something else";
}

TEST(CitationSupport, IsMissingForAPassageAboutSomethingElse) {
  EXPECT_EQ(failure("Payroll records are class D files [1][3]."), "cites [3], which has nothing of what it is cited for");
  EXPECT_EQ(failure("The retention period of whales, dolphins, seals and otters is long [2].", "How long?"),
            "has 4 of 7 words that [2] does not have");
}

TEST(CitationSupport, SaysWhetherOnlyItsWordsAreMissing) {
  const auto paraphrase =
      failed_citation("All pay slips and wage sheets are class D files, stored downstairs [1].", asked, passages);
  ASSERT_TRUE(paraphrase);
  EXPECT_TRUE(paraphrase->only_words) << paraphrase->what;
  const auto wrong =
      failed_citation("All pay slips and wage sheets are stored downstairs [1]. It is 7 years [2].", asked, passages);
  ASSERT_TRUE(wrong);
  EXPECT_FALSE(wrong->only_words) << "a wrong value comes before missing words";
}

TEST(CitationSupport, EndsWithAnyText) {
  const std::string alphabet = "[]12.=aB -:×\n";
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    std::string answer;
    for (std::uint64_t i = random.below(40); i > 0; --i) answer += alphabet[random.below(alphabet.size())];
    const auto failed = failed_citation(answer, "a?", passages);
    EXPECT_TRUE(!failed || !failed->what.empty());
  }
}

}  // namespace
}  // namespace troupe::policy
