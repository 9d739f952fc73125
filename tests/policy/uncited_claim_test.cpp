#include "policy/uncited_claim.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.hpp"

namespace troupe::policy {
namespace {

const std::vector<PassageText> passages = {
    {"Records Policy §4.1", "Payroll records are class D files."},
    {"Records Policy §5.1", "The retention period is 5 years for class D files."},
    {"Continuity Standard §2.5", "The time clock: 90 minutes. The oxygen plant: 12 hours."},
};
const std::string asked = "How long are payroll records kept?";

std::string claim(const std::string& answer, const std::string& conversation = {}) {
  return uncited_claim(answer, asked, passages, conversation).value_or("");
}

TEST(UncitedClaim, IsAnAnswerWithoutACitation) {
  EXPECT_EQ(claim("Payroll records are kept."), "cites nothing for \"Payroll records are kept.\"");
  EXPECT_EQ(claim("Yes."), "cites nothing for \"Yes.\"");
  EXPECT_EQ(claim("Payroll records are kept for 5 years."), "says \"5\" without a source that does")
      << "that a passage says so is not enough: it must be cited";
  EXPECT_NE(claim("Payroll records are kept for as long as the law of the country asks for, and then some more."), "");
}

TEST(UncitedClaim, IsNotWhatTheCitationsStandBehind) {
  EXPECT_EQ(claim("As for all class D files, payroll records are kept for 5 years [1][2]."), "");
  EXPECT_EQ(claim("Payroll records are class D files [1]. "), "");
  EXPECT_EQ(claim(""), "");
}

TEST(UncitedClaim, IsNotAnAbstention) {
  EXPECT_EQ(claim("The sources do not say."), "");
  EXPECT_EQ(claim("I do not know. The sources don't mention it."), "");
  EXPECT_EQ(claim("Payroll records are class D files [1]. The sources do not say how long."), "");
}

TEST(UncitedClaim, MayHideBehindAnAbstention) {
  EXPECT_NE(claim("The sources do not say, but payroll records are kept forever."), "");
  EXPECT_EQ(claim("The sources do not say. They are kept for 7 years."), "says \"7\" without a source that does");
  EXPECT_EQ(claim("No source says that it is 7 years."), "says \"7\" without a source that does");
}

TEST(UncitedClaim, MayFollowOnACitation) {
  EXPECT_EQ(claim("Payroll records are class D files [1]. The fee is EUR 99."), "says \"EUR\" without a source that does");
  EXPECT_EQ(claim("Payroll records are class D files [1]. Whales sing."), "cites nothing for \"Whales sing.\"");
}

TEST(UncitedClaim, IsNotAConclusionFromWhatIsCited) {
  EXPECT_EQ(claim("The time clock 90 minutes, the oxygen plant 12 hours [3] (highest 12 hours): the time clock comes first."),
            "");
  EXPECT_EQ(claim("The retention period is 5 years for class D files [2]. So payroll records are kept for 5 years."), "");
}

TEST(UncitedClaim, IsNotWhatTheConversationHasSaid) {
  EXPECT_EQ(claim("Your badge number is 4417.", "My badge number is 4417.\nNoted."), "");
  EXPECT_NE(claim("Your badge number is 4418.", "My badge number is 4417.\nNoted."), "");
  EXPECT_NE(claim("Payroll records are kept."), "") << "the question alone is no source";
}

TEST(UnheardValue, IsOneThatNobodyHasSaid) {
  EXPECT_FALSE(unheard_value("Noted: your badge is 4417.", "My badge is 4417."));
  EXPECT_FALSE(unheard_value("I can only help with questions about the handbook.", "Hello"));
  EXPECT_FALSE(unheard_value("You are welcome. Is there anything else?", "Thanks"));
  EXPECT_EQ(unheard_value("The budget is CHF 3,000.", "Tell me about the budget of 2031."),
            "says \"CHF\", which nobody has said in this conversation");
  EXPECT_EQ(unheard_value("Noted: 42 %; Confidential.", "The answer is 42."),
            "says \"Confidential\", which nobody has said in this conversation");
  EXPECT_FALSE(unheard_value("", ""));
}

TEST(UncitedClaim, EndsWithAnyText) {
  const std::string alphabet = "[]12.=aB -:;×\n";
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    std::string answer;
    for (std::uint64_t i = random.below(40); i > 0; --i) answer += alphabet[random.below(alphabet.size())];
    const auto failed = uncited_claim(answer, "a?", passages, "B 1");
    EXPECT_TRUE(!failed || !failed->empty());
    const auto unheard = unheard_value(answer, "B 1");
    EXPECT_TRUE(!unheard || !unheard->empty());
  }
}

}  // namespace
}  // namespace troupe::policy
