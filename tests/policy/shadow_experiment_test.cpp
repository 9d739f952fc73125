#include "policy/shadow_experiment.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/random.hpp"

namespace troupe::policy {
namespace {

ShadowExperiment experiment_of(const std::string& name, double share) {
  ShadowExperiment experiment;
  experiment.name = name;
  experiment.share = share;
  experiment.tier = Tier::heavy;
  return experiment;
}

std::vector<TurnId> turns_of(std::uint64_t seed, std::size_t conversations, std::uint32_t each) {
  Random random(seed);
  std::vector<TurnId> turns;
  for (std::size_t i = 0; i < conversations; ++i) {
    ConversationId conversation;
    for (auto& byte : conversation.bytes) byte = static_cast<std::uint8_t>(random.next());
    for (std::uint32_t number = 1; number <= each; ++number) turns.push_back({conversation, number});
  }
  return turns;
}

TEST(ShadowExperiment, DrawsItsShare) {
  const auto turns = turns_of(1, 2000, 10);
  for (const double share : {0.01, 0.1, 0.5, 0.9}) {
    std::size_t drawn = 0;
    for (const TurnId& turn : turns) drawn += is_drawn(experiment_of("a", share), turn) ? 1 : 0;
    const double expected = share * static_cast<double>(turns.size());
    // Five standard deviations.
    EXPECT_NEAR(static_cast<double>(drawn), expected, 5 * std::sqrt(expected * (1 - share))) << share;
  }
  for (const TurnId& turn : turns) {
    EXPECT_FALSE(is_drawn(experiment_of("a", 0), turn));
    EXPECT_TRUE(is_drawn(experiment_of("a", 1), turn));
  }
}

/// Turns of one conversation are drawn one by one, not the conversation as a whole.
TEST(ShadowExperiment, DrawsTurnsOfOneConversationIndependently) {
  std::size_t both = 0;
  std::size_t first = 0;
  for (const TurnId& turn : turns_of(2, 10000, 1)) {
    const ShadowExperiment half = experiment_of("a", 0.5);
    first += is_drawn(half, turn) ? 1 : 0;
    both += is_drawn(half, turn) && is_drawn(half, {turn.conversation, 2}) ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(first), 5000, 250);
  EXPECT_NEAR(static_cast<double>(both), 2500, 217);
}

TEST(ShadowExperiment, DrawsIndependentlyOfOthers) {
  std::size_t both = 0;
  for (const TurnId& turn : turns_of(3, 10000, 1)) {
    both += is_drawn(experiment_of("a", 0.5), turn) && is_drawn(experiment_of("b", 0.5), turn) ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(both), 2500, 217);
}

/// Every node, every life of it and every build draws the same: these were drawn once, and stay so.
TEST(ShadowExperiment, DrawsTheSameAlways) {
  const ConversationId conversation{.bytes = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
  std::string drawn;
  for (std::uint32_t number = 1; number <= 40; ++number) {
    drawn += is_drawn(experiment_of("stable", 0.3), {conversation, number}) ? '1' : '0';
  }
  EXPECT_EQ(drawn, "1000110111001000001100001100111100010000");
}

TEST(ShadowExperiment, DrawsMoreAtAGreaterShareAndKeepsWhatItDrew) {
  for (const TurnId& turn : turns_of(5, 500, 2)) {
    if (is_drawn(experiment_of("a", 0.1), turn)) {
      EXPECT_TRUE(is_drawn(experiment_of("a", 0.2), turn));
    }
  }
}

TEST(ShadowExperiment, IsAboutWhatItsConditionsSay) {
  ShadowExperiment experiment = experiment_of("a", 1);
  Ask ask;
  ask.tenant = "press";
  EXPECT_TRUE(is_about(experiment, ask));
  experiment.tenant = {"archive", "press"};
  EXPECT_TRUE(is_about(experiment, ask));
  experiment.assurance = {Assurance::draft};
  EXPECT_FALSE(is_about(experiment, ask));
  ask.assurance = Assurance::draft;
  EXPECT_TRUE(is_about(experiment, ask));
  ask.tenant = "";
  EXPECT_FALSE(is_about(experiment, ask));
}

TEST(ShadowExperiment, SaysWhatItDoes) {
  ShadowExperiment experiment = experiment_of("a", 0.05);
  EXPECT_EQ(sentence_of(experiment), "0.05 of the turns: heavy, alone");
  experiment.tier.reset();
  experiment.policy = "other.toml";
  experiment.assurance = {Assurance::draft, Assurance::standard};
  experiment.tenant = {"press"};
  experiment.share = 1;
  EXPECT_EQ(sentence_of(experiment), "1 of the turns of assurance draft or standard of tenant press: under other.toml");
}

void expect_fault(const std::vector<ShadowExperiment>& experiments, const std::string& words) {
  const auto faults = faults_of(experiments);
  ASSERT_EQ(faults.size(), 1U) << words;
  EXPECT_NE(faults[0].find(words), std::string::npos) << faults[0];
}

TEST(ShadowExperiment, IsRefusedWithWhatIsWrong) {
  EXPECT_TRUE(faults_of({experiment_of("a", 0), experiment_of("b", 1)}).empty());
  expect_fault({experiment_of("", 1)}, "a name of 0 bytes, expected 1 to 64");
  expect_fault({experiment_of(std::string(65, 'n'), 1)}, "a name of 65 bytes");
  expect_fault({experiment_of("a", 1.5)}, "a share of 1.5, expected 0 to 1");
  expect_fault({experiment_of("a", -0.5)}, "a share of -0.5");
  expect_fault({experiment_of("a", std::nan(""))}, "a share of");
  expect_fault({experiment_of("a", 1), experiment_of("a", 1)}, "\"a\" is there twice");
  ShadowExperiment neither = experiment_of("a", 1);
  neither.tier.reset();
  expect_fault({neither}, "neither a tier nor a policy");
  ShadowExperiment both = experiment_of("a", 1);
  both.policy = "other.toml";
  expect_fault({both}, "both a tier and a policy");
  ShadowExperiment nobody = experiment_of("a", 1);
  nobody.tenant = {""};
  expect_fault({nobody}, "a tenant of 0 bytes");
  nobody.tenant.assign(17, "x");
  expect_fault({nobody}, "17 tenants, expected at most 16");
  expect_fault(
      {experiment_of("a", 1), experiment_of("b", 1), experiment_of("c", 1), experiment_of("d", 1), experiment_of("e", 1)},
      "5 shadows, expected at most 4");
}

}  // namespace
}  // namespace troupe::policy
