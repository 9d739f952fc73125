#include "policy/expert_selection.hpp"

#include <gtest/gtest.h>

#include <set>

#include "base/random.hpp"

namespace troupe::policy {
namespace {

const ExpertShape shape{.layers = 4, .experts = 70, .sparse = {0, 2, 3}, .expert_bytes = 100};

ExpertSelection selection_of(const std::vector<ExpertId>& ids) {
  ExpertSelection selection;
  for (const ExpertId id : ids) selection.add(id);
  return selection;
}

TEST(ExpertSelection, HasWhatWasAdded) {
  const auto selection = selection_of({{2, 5}, {0, 69}, {2, 5}});
  EXPECT_EQ(selection.count(), 2);
  EXPECT_TRUE(selection.has({2, 5}));
  EXPECT_TRUE(selection.has({0, 69}));
  EXPECT_FALSE(selection.has({2, 4}));
  EXPECT_FALSE(selection.has({2, -1}));
  EXPECT_FALSE(selection.has({-1, 5}));
  EXPECT_FALSE(selection.has({3, 5000}));
  EXPECT_EQ(selection.ids(), (std::vector<ExpertId>{{0, 69}, {2, 5}}));
}

TEST(ExpertSelection, OfAllLeavesDenseLayersOut) {
  const auto all = ExpertSelection::all(shape);
  EXPECT_EQ(all.count(), shape.count());
  EXPECT_FALSE(all.has({1, 0}));
  EXPECT_TRUE(all.has({3, 69}));
  EXPECT_TRUE(check(all, shape));
  EXPECT_EQ(to_string(all), "layers 0,2-3: 0-69");
  EXPECT_EQ(to_string(ExpertSelection{}), "none");
  EXPECT_EQ(to_string(selection_of({{0, 1}, {3, 1}, {2, 0}, {2, 4}, {2, 5}})), "layers 0,3: 1; layer 2: 0,4-5");
}

TEST(ExpertSelection, IsCheckedAgainstTheShape) {
  for (const ExpertId wrong : {ExpertId{1, 0}, ExpertId{4, 0}, ExpertId{0, 70}}) {
    const auto checked = check(selection_of({{0, 0}, wrong}), shape);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, ErrorCode::out_of_range);
    EXPECT_NE(
        checked.error().message.find("expert " + std::to_string(wrong.expert) + " of layer " + std::to_string(wrong.layer)),
        std::string::npos);
    EXPECT_NE(checked.error().message.find("0-69 in layers 0,2-3"), std::string::npos);
  }
  EXPECT_FALSE(check(selection_of({{0, 0}}), {}));
  EXPECT_TRUE(check({}, {}));
}

TEST(ExpertSelection, IsASetLikeAnyOther) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const auto draw = [&](std::set<ExpertId>& ids) {
      for (std::uint64_t i = random.below(20); i > 0; --i) {
        ids.insert({static_cast<std::int32_t>(random.below(3)), static_cast<std::int32_t>(random.below(140))});
      }
      return selection_of({ids.begin(), ids.end()});
    };
    std::set<ExpertId> one;
    std::set<ExpertId> other;
    const auto left = draw(one);
    const auto right = draw(other);
    std::set<ExpertId> either = one;
    either.insert(other.begin(), other.end());
    std::set<ExpertId> both;
    std::set<ExpertId> first;
    for (const ExpertId id : one) (other.contains(id) ? both : first).insert(id);
    const auto as_selection = [](const std::set<ExpertId>& ids) { return selection_of({ids.begin(), ids.end()}); };
    EXPECT_EQ(left | right, as_selection(either));
    EXPECT_EQ(left & right, as_selection(both));
    EXPECT_EQ(left - right, as_selection(first));
    EXPECT_EQ((left - right).empty(), first.empty());
    EXPECT_EQ(left.ids(), std::vector(one.begin(), one.end()));
  }
}

TEST(ExpertSelection, AsWordsIsTheSameSelection) {
  ExpertSelection selection;
  EXPECT_EQ(words_of(selection).words.size(), 0U);
  ASSERT_TRUE(policy::selection_of(words_of(selection)));
  selection.add({2, 0});
  selection.add({5, 64});
  selection.add({5, 127});
  const ExpertWords words = words_of(selection);
  EXPECT_EQ(words.words_per_layer, 2U);
  EXPECT_EQ(words.words.size(), 12U);
  const auto back = policy::selection_of(words);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, selection);
}

TEST(ExpertSelection, OfWordsThatAreNoWholeLayersIsRefused) {
  EXPECT_FALSE(policy::selection_of(ExpertWords{0, {1}}));
  EXPECT_FALSE(policy::selection_of(ExpertWords{2, {1, 2, 3}}));
  EXPECT_FALSE(policy::selection_of(ExpertWords{65, std::vector<std::uint64_t>(65, 1)}));
  EXPECT_FALSE(policy::selection_of(ExpertWords{1, std::vector<std::uint64_t>(4097, 1)}));
  const auto zeros = policy::selection_of(ExpertWords{64, std::vector<std::uint64_t>(64, 0)});
  ASSERT_TRUE(zeros);
  EXPECT_TRUE(zeros->empty());
}

}  // namespace
}  // namespace troupe::policy
