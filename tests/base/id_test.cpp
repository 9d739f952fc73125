#include "base/id.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <type_traits>
#include <unordered_set>

namespace troupe {
namespace {

using NodeId = Id<struct NodeTag>;
using TurnId = Id<struct TurnTag, std::uint32_t>;
using SlotId = Id<struct SlotTag, std::uint32_t>;

// What the type is for: the compiler tells ids of different kinds apart, and ids from numbers.
static_assert(!std::is_convertible_v<TurnId, SlotId>);
static_assert(!std::is_assignable_v<TurnId&, SlotId>);
static_assert(!std::is_convertible_v<std::uint64_t, NodeId>);
static_assert(!std::is_convertible_v<NodeId, std::uint64_t>);
template <class A, class B>
concept Comparable = requires(A a, B b) { a == b; };
static_assert(Comparable<TurnId, TurnId>);
static_assert(!Comparable<TurnId, SlotId>);
static_assert(sizeof(TurnId) == sizeof(std::uint32_t));
static_assert(std::is_trivially_copyable_v<NodeId>);

TEST(Id, IsZeroUnlessGivenAValue) {
  EXPECT_EQ(NodeId{}.value, 0U);
  EXPECT_EQ(NodeId{}, NodeId{0});
}

TEST(Id, ComparesByValue) {
  EXPECT_EQ(NodeId{3}, NodeId{3});
  EXPECT_NE(NodeId{3}, NodeId{4});
  EXPECT_LT(NodeId{3}, NodeId{4});
  EXPECT_GE(NodeId{4}, NodeId{4});
}

TEST(Id, IsAKeyOfOrderedAndUnorderedContainers) {
  const std::map<NodeId, std::string> names = {{NodeId{2}, "second"}, {NodeId{1}, "first"}};
  EXPECT_EQ(names.begin()->second, "first");
  std::unordered_set<NodeId> seen;
  for (std::uint64_t i = 0; i < 100; ++i) seen.insert(NodeId{i % 10});
  EXPECT_EQ(seen.size(), 10U);
  EXPECT_TRUE(seen.contains(NodeId{9}));
  EXPECT_FALSE(seen.contains(NodeId{10}));
}

TEST(Id, HoldsAnyComparableValue) {
  using DigestId = Id<struct DigestTag, std::array<std::uint8_t, 16>>;
  const DigestId low{{0, 1}};
  const DigestId high{{1, 0}};
  EXPECT_LT(low, high);
  EXPECT_EQ(low, (DigestId{{0, 1}}));
}

}  // namespace
}  // namespace troupe
