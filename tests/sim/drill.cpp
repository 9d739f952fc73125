#include "tests/sim/drill.hpp"

#include <gtest/gtest.h>

#include <memory>

#include "storage/conversations.hpp"
#include "tests/sim/invariants.hpp"

namespace troupe::sim {

using policy::Stage;
using policy::StageEntry;
using policy::Trouble;
using policy::Turn;

namespace {

Conversation script_of(const Asked& asked) {
  Conversation script;
  script.start = std::chrono::seconds(5);  // all nodes know each other by then
  script.patience = std::chrono::seconds(60);
  for (std::size_t i = 0; i < asked.questions; ++i) {
    Question question;
    question.ask.idempotency_key = std::to_string(i);
    question.ask.question = "who decides about leave and travel " + std::to_string(i) + "?";
    question.ask.assurance = asked.assurance;
    question.ask.grounding = asked.grounding;
    question.ask.priority = asked.priority;
    question.ask.seed = i;
    question.ask.tokens_max = asked.tokens_max;
    question.ask.deadline_ms = asked.deadline_ms;
    question.ask.keep_if_unread = true;
    question.credit = 100;
    script.questions.push_back(question);
  }
  return script;
}

}  // namespace

std::string DrillResult::story() const {
  std::string text;
  for (const Turn& turn : turns) {
    text += "turn " + std::to_string(turn.id.number) + " after " + std::to_string(turn.ended_ms - turn.accepted_ms) + " ms: ";
    text += turn.outcome ? turn.outcome->answer + turn.outcome->message : std::string("has not ended");
    for (const StageEntry& entry : turn.stages) text += "\n  " + std::string(to_string(entry.stage)) + " " + sentence_of(entry);
    text += "\n";
  }
  for (const std::string& violation : violations) text += violation + "\n";
  return text;
}

std::size_t DrillResult::count(Stage stage, Trouble trouble) const {
  std::size_t found = 0;
  for (const Turn& turn : turns) {
    for (const StageEntry& entry : turn.stages) found += entry.stage == stage && entry.trouble == trouble ? 1 : 0;
  }
  return found;
}

DrillResult run_drill(const Drill& drill, const Asked& asked, std::uint64_t seed) {
  World world(seed, false, Defect::none);
  SimCluster cluster(world, {}, &drill);
  Witness witness(cluster);
  for (const auto& node : cluster.nodes()) cluster.start(*node);
  if (asked.meanwhile) asked.meanwhile(world, cluster);
  const auto client = std::make_shared<Client>(witness, script_of(asked), "client");
  client->start();
  world.run_until([&] { return client->done(); }, std::chrono::seconds(60) * asked.questions);
  DrillResult run;
  if (!client->done()) run.violations.emplace_back("the client is not done");
  world.run_for(std::chrono::seconds(20));
  AloneAnswers alone;
  check_at_rest(witness, alone);
  for (const auto& [id, known] : witness.turns()) {
    const storage::Store* store = cluster.store_of(id.conversation);
    const auto stored = store != nullptr ? storage::read_turn(*store, id) : Result<std::optional<Turn>>(std::nullopt);
    if (stored && *stored) run.turns.push_back(**stored);
  }
  for (const auto& node : cluster.nodes()) {
    const auto counts = node->life->context->contracts.load();
    for (const Stage stage : policy::stages) {
      auto& sum = run.counted[policy::place_of(stage)];
      const auto& more = counts[policy::place_of(stage)];
      for (const Trouble trouble : policy::troubles) sum.of(trouble) += more.of(trouble);
      sum.held += more.held;
    }
  }
  for (const std::string& violation : world.trace().violations()) run.violations.push_back(violation);
  return run;
}

Drill drill_of(const std::vector<policy::Tier>& tiers, const policy::Fault& fault, const std::string& when_unsure) {
  Drill drill;
  for (const policy::Tier tier : tiers) drill.faults.push_back({tier, fault});
  drill.when_unsure = when_unsure;
  return drill;
}

void expect_turns_ended(const DrillResult& run, const Asked& asked) {
  EXPECT_TRUE(run.violations.empty()) << run.story();
  ASSERT_EQ(run.turns.size(), asked.questions) << run.story();
  for (const Turn& turn : run.turns) {
    ASSERT_TRUE(turn.outcome) << run.story();
    EXPECT_LT(turn.ended_ms - turn.accepted_ms, asked.deadline_ms) << run.story();
    EXPECT_FALSE(turn.stages.empty()) << run.story();
  }
}

void expect_contracts_held(const DrillResult& run, const Asked& asked) {
  expect_turns_ended(run, asked);
  for (const Stage stage : policy::stages) {
    for (const Trouble trouble : policy::troubles) {
      EXPECT_EQ(run.counted[policy::place_of(stage)].of(trouble), run.count(stage, trouble))
          << to_string(stage) << " " << to_string(trouble) << "\n"
          << run.story();
    }
  }
}

}  // namespace troupe::sim
