#include "base/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

namespace troupe {
namespace {

using Counter = std::array<std::uint32_t, 4>;

// The known-answer vectors that Random123, the authors' own library, ships for philox4x32-10.
TEST(Philox, GivesTheKnownAnswers) {
  constexpr std::uint32_t ones = 0xFFFFFFFF;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Counter{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8}));
  EXPECT_EQ(philox({ones, ones, ones, ones}, {ones, ones}), (Counter{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD}));
  EXPECT_EQ(philox({0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}, {0xA4093822, 0x299F31D0}),
            (Counter{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1}));
}

TEST(Philox, ChangesHalfOfTheBitsWithAnyBitOfItsInput) {
  const Counter before = philox({1, 2, 3, 4}, {5, 6});
  for (unsigned bit = 0; bit < 192; ++bit) {
    Counter counter = {1, 2, 3, 4};
    std::array<std::uint32_t, 2> key = {5, 6};
    (bit < 128 ? counter[bit / 32] : key[bit / 32 - 4]) ^= std::uint32_t{1} << bit % 32;
    const Counter after = philox(counter, key);
    int changed = 0;
    for (std::size_t word = 0; word < 4; ++word) changed += __builtin_popcount(before[word] ^ after[word]);
    EXPECT_GT(changed, 36) << "bit " << bit;  // 64 expected, the standard deviation is 5.7
    EXPECT_LT(changed, 92) << "bit " << bit;
  }
}

TEST(Random, RepeatsItselfFromTheSameSeedAndStream) {
  Random first(7, 3);
  Random second(7, 3);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(first.next(), second.next());
}

TEST(Random, GivesOtherWordsForOtherSeedsAndStreams) {
  std::set<std::vector<std::uint32_t>> sequences;
  const std::uint64_t high = std::uint64_t{1} << 32;  // both halves count
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, high}) {
    for (const std::uint64_t stream : {std::uint64_t{0}, std::uint64_t{1}, high}) {
      Random random(seed, stream);
      sequences.insert({random.next(), random.next(), random.next(), random.next(), random.next()});
    }
  }
  EXPECT_EQ(sequences.size(), 9U);
}

TEST(Random, UsesEveryWordOfABlockOnce) {
  Random random(11, 0);
  std::multiset<std::uint32_t> expected;
  std::multiset<std::uint32_t> seen;
  for (std::uint32_t block = 0; block < 3; ++block) {
    for (const std::uint32_t word : philox({block, 0, 0, 0}, {11, 0})) expected.insert(word);
    for (int i = 0; i < 4; ++i) seen.insert(random.next());
  }
  EXPECT_EQ(seen, expected);
}

TEST(Random, StaysBelowItsBoundAndReachesEveryValue) {
  Random random(1);
  for (const std::uint64_t bound : {1U, 2U, 3U, 7U, 64U}) {
    std::set<std::uint64_t> seen;
    for (int i = 0; i < 2000; ++i) {
      const std::uint64_t value = random.below(bound);
      ASSERT_LT(value, bound);
      seen.insert(value);
    }
    EXPECT_EQ(seen.size(), bound);
  }
  const std::uint64_t huge = ~std::uint64_t{0};
  std::uint64_t greatest = 0;
  for (int i = 0; i < 100; ++i) greatest = std::max(greatest, random.below(huge));
  EXPECT_GT(greatest, huge / 2);
}

TEST(Random, IsEvenBelowABoundThatDividesNothing) {
  constexpr int values = 37;
  constexpr int draws = 370000;
  Random random(2);
  std::vector<int> counts(values, 0);
  for (int i = 0; i < draws; ++i) ++counts[random.below(values)];
  double chi_square = 0;
  for (const int count : counts) chi_square += std::pow(count - draws / values, 2) / (draws / values);
  EXPECT_LT(chi_square, 90) << "36 degrees of freedom: exceeded once in a million fair draws";
  EXPECT_GT(chi_square, 9) << "36 degrees of freedom: too even to be random";
}

TEST(Random, IncludesBothEndsBetween) {
  Random random(3);
  std::set<std::int64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(random.between(-2, 2));
  EXPECT_EQ(seen, (std::set<std::int64_t>{-2, -1, 0, 1, 2}));
  EXPECT_EQ(random.between(5, 5), 5);
}

TEST(Random, IsUniformInTheUnitIntervalWithoutItsEnd) {
  Random random(4);
  constexpr int draws = 100000;
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < draws; ++i) {
    const float value = random.uniform();
    ASSERT_GE(value, 0.0F);
    ASSERT_LT(value, 1.0F);
    ASSERT_EQ(value * 0x1p24F, std::floor(value * 0x1p24F)) << "a multiple of 2^-24";
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  EXPECT_NEAR(sum / draws, 1.0 / 2, 0.005);
  EXPECT_NEAR(squares / draws, 1.0 / 3, 0.005);
}

TEST(Random, TakesItsChancesAsOftenAsAsked) {
  Random random(5);
  int hits = 0;
  for (int i = 0; i < 100000; ++i) {
    hits += random.chance(0.3F) ? 1 : 0;
    ASSERT_FALSE(random.chance(0));
    ASSERT_TRUE(random.chance(1));
  }
  EXPECT_NEAR(hits / 100000.0, 0.3, 0.01);
}

}  // namespace
}  // namespace troupe
