#include "policy/batch.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/random.hpp"

namespace troupe::policy {
namespace {

using Plan = std::vector<BatchEntry>;

RunnableSequence prompt(std::uint64_t id, std::int32_t tokens, Priority priority = Priority::standard) {
  return {.id = id, .priority = priority, .arrival = id, .tokens_left = tokens, .decoding = false};
}

RunnableSequence decoding(std::uint64_t id, Priority priority = Priority::standard) {
  return {.id = id, .priority = priority, .arrival = id, .tokens_left = 1, .decoding = true};
}

TEST(Batching, GivesEveryDecodingSequenceItsTokenAndTheRestToPrompts) {
  const std::vector sequences{prompt(1, 100), decoding(2), decoding(3)};
  EXPECT_EQ(plan_batch(sequences, {}), (Plan{{2, 1}, {3, 1}, {1, 100}}));
}

TEST(Batching, CutsPromptsIntoChunksAndSharesTheBudget) {
  const std::vector sequences{prompt(1, 100), prompt(2, 100), prompt(3, 100)};
  EXPECT_EQ(plan_batch(sequences, {.tokens_max = 100, .sequences_max = 8, .chunk_tokens_max = 48}),
            (Plan{{1, 48}, {2, 48}, {3, 4}}));
}

TEST(Batching, PrefersUrgentPromptsAndThenEarlierOnes) {
  const std::vector sequences{prompt(1, 10, Priority::batch), prompt(2, 10), prompt(4, 10, Priority::interactive),
                              prompt(3, 10, Priority::interactive)};
  EXPECT_EQ(plan_batch(sequences, {}), (Plan{{3, 10}, {4, 10}, {2, 10}, {1, 10}}));
}

TEST(Batching, KeepsUrgentSequencesWhenPlacesAreScarce) {
  const std::vector sequences{decoding(1, Priority::batch), decoding(2), prompt(3, 5, Priority::interactive)};
  EXPECT_EQ(plan_batch(sequences, {.tokens_max = 512, .sequences_max = 2, .chunk_tokens_max = 512}), (Plan{{2, 1}, {1, 1}}))
      << "decoding comes before any prompt";
}

TEST(Batching, OfNothingIsEmpty) { EXPECT_TRUE(plan_batch({}, {}).empty()); }

TEST(Batching, LetsNothingThroughLimitsBelowOne) {
  const std::vector sequences{prompt(1, 10), decoding(2)};
  EXPECT_TRUE(plan_batch(sequences, {.tokens_max = 0}).empty());
  EXPECT_TRUE(plan_batch(sequences, {.tokens_max = -3}).empty());
  EXPECT_TRUE(plan_batch(sequences, {.sequences_max = 0}).empty());
  EXPECT_EQ(plan_batch(sequences, {.chunk_tokens_max = 0}), (Plan{{2, 1}})) << "decoding is no chunk of a prompt";
}

TEST(Batching, SkipsPromptsWithNothingLeftAndNamesAnIdOnce) {
  const std::vector sequences{prompt(1, 0), prompt(2, -7), prompt(3, 20), prompt(3, 30), decoding(3)};
  EXPECT_EQ(plan_batch(sequences, {}), (Plan{{3, 1}}));
}

TEST(Batching, TakesHugePromptsWithoutOverflow) {
  constexpr auto huge = std::numeric_limits<std::int32_t>::max();
  const std::vector sequences{prompt(1, huge), prompt(2, huge)};
  EXPECT_EQ(plan_batch(sequences, {.tokens_max = huge, .sequences_max = huge, .chunk_tokens_max = huge}), (Plan{{1, huge}}));
}

struct RandomCase {
  std::vector<RunnableSequence> sequences;
  BatchLimits limits;
};

RandomCase random_case(Random& random) {
  RandomCase made;
  const auto count = random.between(0, 80);
  for (std::int64_t i = 0; i < count; ++i) {
    const bool decodes = random.chance(0.5F);
    made.sequences.push_back({.id = static_cast<std::uint64_t>(i),
                              .priority = static_cast<Priority>(random.below(3)),
                              .arrival = random.below(50),
                              .tokens_left = decodes ? 1 : static_cast<std::int32_t>(random.between(-1, 300)),
                              .decoding = decodes});
  }
  made.limits = {.tokens_max = static_cast<std::int32_t>(random.between(1, 400)),
                 .sequences_max = static_cast<std::int32_t>(random.between(1, 70)),
                 .chunk_tokens_max = static_cast<std::int32_t>(random.between(1, 200))};
  return made;
}

/// What must hold for every plan, whatever the case.
void check_plan(const RandomCase& given, const Plan& plan) {
  std::map<std::uint64_t, const RunnableSequence*> by_id;
  for (const auto& sequence : given.sequences) by_id[sequence.id] = &sequence;

  std::int64_t tokens = 0;
  std::set<std::uint64_t> named;
  for (const auto& entry : plan) {
    ASSERT_TRUE(by_id.contains(entry.id));
    const auto& sequence = *by_id[entry.id];
    EXPECT_TRUE(named.insert(entry.id).second) << "sequence " << entry.id << " takes part twice";
    EXPECT_GE(entry.tokens, 1);
    EXPECT_LE(entry.tokens, sequence.tokens_left);
    if (!sequence.decoding) {
      EXPECT_LE(entry.tokens, given.limits.chunk_tokens_max);
    }
    tokens += entry.tokens;
  }
  EXPECT_LE(tokens, given.limits.tokens_max);
  EXPECT_LE(plan.size(), static_cast<std::size_t>(given.limits.sequences_max));

  const bool could_take_more =
      tokens < given.limits.tokens_max && plan.size() < static_cast<std::size_t>(given.limits.sequences_max);
  for (const auto& sequence : given.sequences) {
    if (named.contains(sequence.id) || sequence.tokens_left < 1) continue;
    EXPECT_FALSE(could_take_more) << "sequence " << sequence.id << " stands still though there is room";
    for (const auto& entry : plan) {
      const auto& taken = *by_id[entry.id];
      EXPECT_FALSE(sequence.decoding && !taken.decoding) << "decoding " << sequence.id << " waits for prompt " << taken.id;
      if (sequence.decoding == taken.decoding) {
        EXPECT_LE(taken.priority, sequence.priority) << taken.id << " overtook the more urgent " << sequence.id;
      }
    }
  }
}

TEST(Batching, HoldsItsPromisesInThousandsOfRandomCases) {
  for (std::uint64_t seed = 0; seed < 5000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    auto given = random_case(random);
    const auto plan = plan_batch(given.sequences, given.limits);
    check_plan(given, plan);
    // The order in which the sequences are listed is not part of the question.
    for (std::size_t i = given.sequences.size(); i > 1; --i)
      std::swap(given.sequences[i - 1], given.sequences[random.below(i)]);
    EXPECT_EQ(plan_batch(given.sequences, given.limits), plan);
    if (HasFailure()) return;
  }
}

TEST(Batching, StepsUntilEveryPromptIsComputedAndNoStreamEverStalls) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const BatchLimits limits{
        .tokens_max = static_cast<std::int32_t>(random.between(17, 100)), .sequences_max = 16, .chunk_tokens_max = 32};
    std::vector<RunnableSequence> running;
    for (std::uint64_t id = 0; id < 16; ++id) running.push_back(prompt(id, static_cast<std::int32_t>(random.between(1, 400))));
    int steps = 0;
    while (std::any_of(running.begin(), running.end(), [](const auto& sequence) { return !sequence.decoding; })) {
      ASSERT_LT(++steps, 16 * 400) << "a step with prompts left computes at least one of their tokens";
      const auto plan = plan_batch(running, limits);
      for (auto& sequence : running) {
        const auto entry = std::find_if(plan.begin(), plan.end(), [&](const BatchEntry& e) { return e.id == sequence.id; });
        if (sequence.decoding) {
          ASSERT_NE(entry, plan.end()) << sequence.id << " decodes and got no token in step " << steps;
        } else if (entry != plan.end() && (sequence.tokens_left -= entry->tokens) == 0) {
          sequence = decoding(sequence.id);
        }
      }
    }
  }
}

}  // namespace
}  // namespace troupe::policy
