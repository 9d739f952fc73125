#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "tests/sim/scenario.hpp"
#include "tests/sim/shadows.hpp"

namespace troupe::sim {
namespace {

std::string all_of(const Outcome& outcome) {
  std::string text;
  for (const std::string& violation : outcome.violations) text += violation + "\n";
  return text;
}

TEST(Simulation, KeepsItsPromisesWhateverHappens) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    const Outcome outcome = run_seed(seed, {});
    EXPECT_TRUE(outcome.violations.empty()) << "seed " << seed << ":\n" << all_of(outcome);
  }
}

/// Every turn is answered once more, and a third of them twice (tests/sim/shadows.hpp): no client's answer, and no number of an
/// event, differs from what it is on a good day without any of that.
TEST(Simulation, ShadowsChangeNoAnswerWhateverHappens) {
  std::size_t compared = 0;
  std::size_t lost_or_dropped = 0;
  for (std::uint64_t seed = 1; seed <= 15; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Outcome outcome = run_seed(seed, {.keep_trace = false, .defect = Defect::none, .shadows = shadow_arms()});
    EXPECT_TRUE(outcome.violations.empty()) << all_of(outcome);
    for (const policy::ShadowRecord& shadow : outcome.shadows) {
      ++(shadow.fate == policy::ShadowFate::compared ? compared : lost_or_dropped);
    }
  }
  EXPECT_GT(compared, 100U);
  EXPECT_GT(lost_or_dropped, 0U) << "nothing has happened to any shadow";
}

TEST(Simulation, ShadowsEveryTurnOnAGoodDayAndChangesNoAnswer) {
  const Scenario scenario = without_faults(draw_scenario(3));
  const Outcome without = run(scenario, {});
  const Outcome with = run(scenario, {.keep_trace = false, .defect = Defect::none, .shadows = shadow_arms()});
  EXPECT_TRUE(with.violations.empty()) << all_of(with);
  EXPECT_EQ(with.answers, without.answers);
  EXPECT_TRUE(without.shadows.empty());
  std::size_t turns = 0;
  std::size_t by_rule = 0;  // without a model, whose answer could be compared
  for (const auto& conversation : with.answers) {
    turns += conversation.size();
    for (const std::string& answer : conversation) by_rule += answer.find(" by rule ") != std::string::npos;
  }
  std::size_t same = 0;
  std::size_t drawn = 0;
  for (const policy::ShadowRecord& shadow : with.shadows) {
    EXPECT_EQ(shadow.fate, policy::ShadowFate::compared) << shadow.why;
    ++(shadow.experiment == "same" ? same : drawn);
    EXPECT_TRUE(shadow.experiment == "same" || policy::is_drawn(shadow_arms()[1].experiment, shadow.turn));
  }
  EXPECT_EQ(same + by_rule, turns);
  EXPECT_GT(drawn, 0U);
  EXPECT_LT(drawn, turns);
}

/// A simulation in which nothing happens finds nothing.
TEST(Simulation, MeetsWhatItIsFor) {
  std::string all;
  policy::BlockTraffic blocks;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const Outcome outcome = run(draw_scenario(seed), {.keep_trace = true, .defect = Defect::none});
    blocks += outcome.blocks;
    for (const std::string& line : outcome.lines) all += line + "\n";
    for (const auto& conversation : outcome.answers) {
      for (const std::string& answer : conversation) all += answer + "\n";
    }
  }
  for (const char* what : {"is killed",
                           "its writes will land late",
                           "1 writes of a former life land",
                           "an actor fails",
                           "are parted",
                           "lost touch",
                           "the disk is full",
                           "the disk is slow",
                           "cannot keep the session",
                           "conversation begins again",
                           "epoch=3",
                           "superseded",
                           "is being drained",
                           "grants the leases",
                           "moved away",
                           "joins again",
                           "goes away",
                           "cancels turn",
                           "failed cancelled",
                           "failed deadline_exceeded",
                           "contract broken",
                           "late: no reply after",
                           "had not answered after",
                           "could no longer reach 0.5",
                           "could not be asked within",
                           "the corpus was not searched within",
                           "without a source",
                           "summary 2",
                           "kind follow_up",
                           "by rule out of scope",
                           "unpins case K",
                           "and pins 3 at event"}) {
    EXPECT_NE(all.find(what), std::string::npos) << what;
  }
  EXPECT_GT(blocks.fetched_blocks, 0U);
  EXPECT_GT(blocks.restored_blocks, 0U);
  EXPECT_GT(blocks.wrong_blocks, 0U);
}

TEST(Simulation, AnswersEveryQuestionOnAGoodDay) {
  const Scenario scenario = without_faults(draw_scenario(3));
  const Outcome outcome = run(scenario, {});
  EXPECT_TRUE(outcome.violations.empty()) << all_of(outcome);
  ASSERT_EQ(outcome.answers.size(), scenario.conversations.size());
  for (std::size_t c = 0; c < outcome.answers.size(); ++c) {
    EXPECT_EQ(outcome.answers[c].size(), scenario.conversations[c].questions.size());
  }
}

TEST(Simulation, DoesTheSameTwiceForOneSeed) {
  for (const std::uint64_t seed : {2, 5, 9}) {
    const Scenario scenario = draw_scenario(seed);
    const Outcome once = run(scenario, {.keep_trace = true, .defect = Defect::none});
    const Outcome twice = run(scenario, {.keep_trace = true, .defect = Defect::none});
    EXPECT_EQ(once.trace_hash, twice.trace_hash) << "seed " << seed;
    EXPECT_EQ(once.lines, twice.lines) << "seed " << seed;
    EXPECT_NE(once.trace_hash, run(draw_scenario(seed + 1), {}).trace_hash) << "another seed is another run";
  }
}

/// What is out of scope is answered by the policy, and what a crash leaves of that is the same answer, or the same work again.
TEST(Simulation, AnswersWhatIsOutOfScopeOnceWhateverCrashes) {
  Scenario scenario;
  scenario.seed = 4;
  scenario.plain = true;
  Conversation conversation;
  for (int number = 0; number < 24; ++number) {
    Question question;
    question.ask.idempotency_key = std::to_string(number);
    question.ask.question = "who wrote play number " + std::to_string(number) + "?";
    question.ask.keep_if_unread = true;
    question.ask.deadline_ms = 3'600'000;
    question.ask.seed = 5;
    question.ask.tokens_max = 8;
    conversation.questions.push_back(question);
  }
  scenario.conversations = {conversation};
  const Outcome calm = run(scenario, {});
  EXPECT_TRUE(calm.violations.empty()) << all_of(calm);
  ASSERT_EQ(calm.answers.size(), 1U);
  const auto out_of_scope = [](const std::string& answer) { return answer.find("by rule out of scope") != std::string::npos; };
  const auto count = std::count_if(calm.answers[0].begin(), calm.answers[0].end(), out_of_scope);
  ASSERT_GT(count, 0);
  ASSERT_LT(count, 24) << "the others are answered by models, some of them with such an answer in their context";
  for (const std::size_t node : {0, 1, 2}) {
    Scenario stormy = scenario;
    for (int i = 1; i <= 6; ++i) {
      Fault crash;
      crash.at = std::chrono::milliseconds(700 * i);
      crash.lasts = std::chrono::milliseconds(300);
      crash.node = node;
      stormy.faults.push_back(crash);
    }
    const Outcome outcome = run(stormy, {});
    EXPECT_TRUE(outcome.violations.empty()) << all_of(outcome);
    EXPECT_EQ(outcome.answers, calm.answers) << "with crashes of node " << node;
  }
}

/// What is pinned is in every prompt from then on, until it is no longer pinned, though each node dies and two are emptied
/// meanwhile: the same prompts, to the token, as on a good day.
TEST(Simulation, KeepsPinsWhoeverDiesAndWhereverTheirConversationGoes) {
  using Kind = policy::PinChange::Kind;
  Scenario scenario;
  scenario.seed = 6;
  scenario.plain = true;
  Conversation conversation;
  for (int number = 0; number < 12; ++number) {
    Question question;
    question.ask.idempotency_key = std::to_string(number);
    question.ask.question = "who decides about leave " + std::to_string(number) + "?";
    question.ask.grounding = policy::Grounding::never;
    question.ask.keep_if_unread = true;
    question.ask.deadline_ms = 3'600'000;
    question.ask.seed = 5;
    question.ask.tokens_max = 8;
    question.pins = {{Kind::add, "case K" + std::to_string(number)}};
    if (number > 1) question.pins.push_back({Kind::remove, "case K" + std::to_string(number - 2)});
    conversation.questions.push_back(question);
  }
  scenario.conversations = {conversation, conversation};
  const Outcome calm = run(scenario, {});
  EXPECT_TRUE(calm.violations.empty()) << all_of(calm);
  ASSERT_EQ(calm.answers.size(), 2U);
  ASSERT_EQ(calm.answers[0].size(), 12U);
  EXPECT_NE(calm.answers[0].front().find("and pins 1 at event"), std::string::npos) << calm.answers[0].front();
  EXPECT_NE(calm.answers[0].back().find("and pins 22 at event"), std::string::npos) << calm.answers[0].back();

  Scenario stormy = scenario;
  for (std::size_t i = 0; i < 18; ++i) {
    Fault fault;
    fault.kind = i % 3 == 2 ? Fault::Kind::drain : Fault::Kind::crash;
    fault.at = std::chrono::milliseconds(600 * static_cast<int>(i + 1));
    fault.lasts = std::chrono::milliseconds(fault.kind == Fault::Kind::drain ? 1500 : 300);
    fault.node = fault.kind == Fault::Kind::drain ? 1 + i / 3 % 2 : i % 3;
    fault.zombie = i % 4 == 0;
    fault.detail = 2 * i;
    stormy.faults.push_back(fault);
  }
  std::string traces;
  for (const std::uint64_t seed : {6, 7, 8, 9, 10}) {
    stormy.seed = seed;
    const Outcome outcome = run(stormy, {.keep_trace = true, .defect = Defect::none});
    EXPECT_TRUE(outcome.violations.empty()) << "seed " << seed << ":\n" << all_of(outcome);
    EXPECT_EQ(outcome.answers, calm.answers) << "seed " << seed;
    for (const std::string& line : outcome.lines) traces += line + "\n";
  }
  for (const char* what : {"is killed", "moved away", "epoch=3"}) EXPECT_NE(traces.find(what), std::string::npos) << what;
}

/// A request to pin that was given up arrived when its client had pinned elsewhere and removed the pin again, and brought it
/// back.
TEST(Simulation, BringsNoPinBackThatWasRemoved) {
  for (const std::uint64_t seed : {19, 46, 264, 277, 290, 328, 393}) {
    const Outcome outcome = run_seed(seed, {});
    EXPECT_TRUE(outcome.violations.empty()) << "seed " << seed << ":\n" << all_of(outcome);
  }
}

/// A node that knew where a conversation was forgot it only if a request had time left to ask again, so that whoever was in a
/// hurry was refused for good.
TEST(Simulation, FindsAHomeThatBeganAgainForAskersInAHurry) {
  for (const std::size_t home : {0, 1, 2}) {
    Scenario scenario;
    scenario.seed = 1;
    Conversation conversation;
    for (int number = 0; number < 16; ++number) {
      Question question;
      question.ask.idempotency_key = std::to_string(number);
      question.ask.question = "who decides about leave?";
      question.ask.keep_if_unread = true;
      if (number == 6) question.pause = std::chrono::seconds(20);
      if (number >= 6) question.ask.deadline_ms = 150;
      conversation.questions.push_back(question);
    }
    scenario.conversations.push_back(conversation);
    Fault crash;
    crash.at = std::chrono::seconds(14);
    crash.lasts = std::chrono::seconds(1);
    crash.node = home;
    scenario.faults.push_back(crash);
    const Outcome outcome = run(scenario, {.keep_trace = true, .defect = Defect::none});
    EXPECT_TRUE(outcome.violations.empty()) << all_of(outcome);
    const auto is_refusal = [](const std::string& line) {
      return line.find("the request is for epoch 1") != std::string::npos;
    };
    EXPECT_LE(std::count_if(outcome.lines.begin(), outcome.lines.end(), is_refusal), 3) << "each node looks again after one";
  }
}

/// Conversations that are answered while "b", where one of them is at home, is drained for good.
Scenario drained_in_mid_turn() {
  Scenario scenario;
  scenario.plain = true;
  Conversation conversation;
  for (int number = 0; number < 3; ++number) {
    Question question;
    question.ask.idempotency_key = std::to_string(number);
    question.ask.question = "who decides about leave?";
    question.ask.assurance = policy::Assurance::draft;
    question.ask.grounding = policy::Grounding::never;
    question.ask.deadline_ms = 3'600'000;
    question.ask.keep_if_unread = true;
    question.ask.seed = 5;
    question.ask.tokens_max = 32;
    conversation.questions.push_back(question);
  }
  scenario.conversations = {conversation, conversation, conversation};
  Fault drain;
  drain.kind = Fault::Kind::drain;
  drain.at = std::chrono::milliseconds(700);
  drain.lasts = std::chrono::hours(1000);
  drain.node = 1;
  scenario.faults.push_back(drain);
  return scenario;
}

/// The moments of the first and the last line that contain a text, in milliseconds; nothing if there is none.
std::optional<std::pair<std::int64_t, std::int64_t>> moments_of(const Outcome& outcome, const std::string& what) {
  std::optional<std::pair<std::int64_t, std::int64_t>> moments;
  for (const std::string& line : outcome.lines) {
    if (line.find(what) == std::string::npos) continue;
    const auto at = static_cast<std::int64_t>(std::stod(line) * 1000);
    moments = {moments ? moments->first : at, at};
  }
  return moments;
}

/// Each node in turn dies in each millisecond of a move: while records are written down, sent, and kept, the lease moves, and
/// what is left is removed.
TEST(Simulation, MovesConversationsWholeWhoeverDiesMeanwhile) {
  Scenario quiet = drained_in_mid_turn();
  Outcome good;
  for (quiet.seed = 1; quiet.seed < 30 && !moments_of(good, "moved away"); ++quiet.seed) {
    good = run(quiet, {.keep_trace = true, .defect = Defect::none});
  }
  --quiet.seed;  // the first in which a client comes to "b"
  ASSERT_TRUE(good.violations.empty()) << all_of(good);
  const auto begun = moments_of(good, "moves away");
  const auto moved = moments_of(good, "moved away");
  ASSERT_TRUE(begun && moved);
  std::size_t void_moves = 0;
  std::size_t late_removals = 0;
  for (std::int64_t at = begun->first - 1; at <= moved->second + 10; ++at) {
    for (std::size_t node = 0; node < 3; ++node) {
      Scenario scenario = quiet;
      Fault crash;
      crash.at = std::chrono::milliseconds(at);
      crash.lasts = std::chrono::milliseconds(700);
      crash.node = node;
      crash.detail = 2 * static_cast<std::uint64_t>(at);  // at once
      scenario.faults.push_back(crash);
      const Outcome outcome = run(scenario, {.keep_trace = true, .defect = Defect::none});
      EXPECT_TRUE(outcome.violations.empty()) << "node " << node << " dies at " << at << " ms:\n" << all_of(outcome);
      EXPECT_EQ(outcome.answers, good.answers) << "node " << node << " dies at " << at << " ms";
      void_moves += moments_of(outcome, "moves away")->second > moved->second + 100 ? 1 : 0;
      late_removals += moments_of(outcome, "a copy is removed") ? 1 : 0;
    }
  }
  EXPECT_GT(void_moves, 0U) << "no crash came before the lease had moved";
  EXPECT_GT(late_removals, 0U) << "no crash came between the lease and the removal";
}

/// The first seed in which a defect is noticed; 0 if it is in none.
std::uint64_t found_at(Defect defect, std::uint64_t seeds) {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    if (!run(draw_scenario(seed), {.keep_trace = false, .defect = defect}).violations.empty()) return seed;
  }
  return 0;
}

TEST(Simulation, NoticesAForgottenFsync) { EXPECT_NE(found_at(Defect::missing_fsync, 40), 0U); }
TEST(Simulation, NoticesAnEpochThatIsNotChecked) { EXPECT_NE(found_at(Defect::epoch_not_checked, 80), 0U); }
TEST(Simulation, NoticesAPlanThatIsWrittenAfterItsFirstToken) { EXPECT_NE(found_at(Defect::plan_after_token, 20), 0U); }
TEST(Simulation, NoticesALostNotification) { EXPECT_NE(found_at(Defect::lost_notification, 20), 0U); }
TEST(Simulation, NoticesALeaseThatMovesBeforeTheRecordsAreDurable) { EXPECT_NE(found_at(Defect::late_copy, 20), 0U); }
TEST(Simulation, NoticesPinsThatAreToldOfBeforeTheyAreDurable) { EXPECT_NE(found_at(Defect::late_pins, 20), 0U); }
TEST(Simulation, NoticesALeakedBlock) { EXPECT_NE(found_at(Defect::leaked_block, 40), 0U); }

}  // namespace
}  // namespace troupe::sim
