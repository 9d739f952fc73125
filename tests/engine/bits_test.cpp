// Placement never changes the answer: the property of tests/support/bits.hpp in a few hundred cases. dev/bits runs thousands.
#include "tests/support/bits.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "kernels/numeric_class.hpp"
#include "tests/support/broken_kernels.hpp"

namespace troupe::tests::bits {
namespace {

constexpr std::uint64_t seed = 1;

TEST(Bits, EveryAnswerHasTheBitsThatItHasAlone) {
  Property property(seed);
  Summary summary;
  for (std::uint64_t number = 0; number < 200; ++number) summary.add(property.run(number));
  for (const std::string& difference : summary.differences) ADD_FAILURE() << "seed " << seed << ", " << difference;
  EXPECT_GT(summary.sequences, 1000U);

  // The property says something only if its cases go where bits are lost.
  for (const std::string_view feature : {"greedy",
                                         "sampled",
                                         "prompt in chunks",
                                         "attention over several spans",
                                         "attention over three spans or more",
                                         "several threads",
                                         "plain",
                                         "25 sequences or more",
                                         "taken up after some tokens",
                                         "stopped as unsure",
                                         "stopped as unsure, taken up after some tokens",
                                         "cancelled",
                                         "deadline missed",
                                         "blocks evicted",
                                         "prefix reused",
                                         "cache cleared",
                                         "two engines",
                                         "blocks imported",
                                         "damaged blocks refused",
                                         "late experts",
                                         "late experts, several works",
                                         "several passes under way",
                                         "llama",
                                         "qwen3",
                                         "qwen3_moe"}) {
    EXPECT_GT(summary.features[feature], 0U) << feature;
  }
}

/// A defect is found if some case differs from references that were computed with the same defect.
class BitsOf : public testing::TestWithParam<Defect> {};

TEST_P(BitsOf, BrokenKernelsDiffer) {
  if (GetParam().name == "matmul_unfused" && kernels::best_instruction_set() == kernels::InstructionSet::plain) {
    GTEST_SKIP() << "this processor has one instruction set, so none is unlike the others";
  }
  Property property(seed, GetParam().name);
  for (std::uint64_t number = 0; number < 200; ++number) {
    if (!property.run(number).differences.empty()) return;
  }
  ADD_FAILURE() << "200 cases of seed " << seed << " did not notice that " << GetParam().what;
}

INSTANTIATE_TEST_SUITE_P(Defects, BitsOf, testing::ValuesIn(defects().begin(), defects().end()),
                         [](const auto& defect) { return std::string(defect.param.name); });

TEST(Bits, ACaseIsAFunctionOfItsSeedAndNumber) {
  Property one(seed);
  Property other(seed);
  other.run(0);
  EXPECT_EQ(one.describe(7), other.describe(7));
  EXPECT_NE(one.describe(7), one.describe(8));
  EXPECT_NE(one.describe(7), Property(seed + 1).describe(7));
}

/// The same on every processor and with every compiler. What changes one of these hashes without changing the tiny models or
/// their requests has made another numeric class, and must give it another name.
TEST(Bits, AreThoseOfTheNumericClass) {
  EXPECT_EQ(kernels::numeric_class(kernels::DeviceKind::cpu), "cpu-f32-v1");
  const std::map<std::string_view, std::uint64_t> expected{
      {"llama", 0x2d3c8eda37923002}, {"qwen3", 0xc272bf5a8b055d21}, {"qwen3_moe", 0xe01c77366d8a98eb}};
  for (const TinyModel& tiny : tiny_models()) {
    Universe universe(tiny, seed, {});
    WordHash together;
    for (std::size_t index = 0; index < Universe::specs; index += 7) {
      const std::uint64_t hash = universe.reference(index).hash();
      together.add(static_cast<std::uint32_t>(hash));
      together.add(static_cast<std::uint32_t>(hash >> 32));
    }
    EXPECT_EQ(together.value(), expected.at(tiny.name)) << tiny.name << ", " << std::hex << together.value();
  }
}

TEST(Bits, AnswersOfTinyModelsAreLively) {
  for (const TinyModel& tiny : tiny_models()) {
    Universe universe(tiny, seed, {});
    std::set<TokenId> tokens;
    std::set<std::uint64_t> hashes;
    for (std::size_t index = 0; index < 40; ++index) {
      for (const HashedToken& token : universe.reference(index).tokens) tokens.insert(token.token);
      hashes.insert(universe.reference(index).hash());
    }
    EXPECT_GT(tokens.size(), 40U) << tiny.name;
    EXPECT_EQ(hashes.size(), 40U) << tiny.name;
  }
}

}  // namespace
}  // namespace troupe::tests::bits
