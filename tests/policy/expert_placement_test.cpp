#include "policy/expert_placement.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "base/random.hpp"

namespace troupe::policy {
namespace {

constexpr std::size_t expert_bytes = 1000;

ExpertShape shape_of(std::int32_t layers, std::int32_t experts) {
  ExpertShape shape{.layers = layers, .experts = experts, .sparse = {}, .expert_bytes = expert_bytes};
  for (std::int32_t layer = 0; layer < layers; ++layer) {
    if (layer != 1) shape.sparse.push_back(layer);
  }
  return shape;
}

NodeId node(std::int32_t number) { return {"n" + std::to_string(number)}; }

std::vector<ExpertRoom> rooms(const std::vector<std::size_t>& experts) {
  std::vector<ExpertRoom> nodes;
  for (std::size_t i = 0; i < experts.size(); ++i) {
    nodes.push_back({node(static_cast<std::int32_t>(i)), experts[i] * expert_bytes + expert_bytes / 2});
  }
  return nodes;
}

void expect_refused(const Result<void>& result, ErrorCode code, const std::vector<std::string>& words) {
  ASSERT_FALSE(result);
  EXPECT_EQ(to_string(result.error().code), to_string(code)) << result.error().message;
  for (const auto& word : words) EXPECT_NE(result.error().message.find(word), std::string::npos) << result.error().message;
}

TEST(PlaceExperts, GivesEqualNodesEqualSharesOfEachLayer) {
  const auto shape = shape_of(5, 8);
  for (std::int32_t replicas = 1; replicas <= 3; ++replicas) {
    const auto nodes = rooms({100, 100, 100, 100});
    const auto placement = place_experts(shape, nodes, replicas);
    ASSERT_TRUE(placement) << placement.error().message;
    EXPECT_TRUE(validate(*placement, shape, nodes));
    for (const auto& [id, homes] : placement->holders) EXPECT_EQ(homes.size(), static_cast<std::size_t>(replicas));
    for (std::int32_t i = 0; i < 4; ++i) {
      for (const std::int32_t layer : shape.sparse) {
        std::int32_t held = 0;
        for (const ExpertId id : placement->of(node(i)).ids()) held += id.layer == layer ? 1 : 0;
        EXPECT_EQ(held, 2 * replicas) << node(i).value << ", layer " << layer;
      }
      const auto comes_first =
          std::ranges::count_if(placement->holders, [&](const auto& each) { return each.second[0] == node(i); });
      EXPECT_NEAR(static_cast<double>(comes_first), 8, 2) << node(i).value;
    }
  }
}

TEST(PlaceExperts, FillsSmallNodesAndGivesTheRestToTheOthers) {
  const auto shape = shape_of(3, 6);  // 12 experts
  const auto nodes = rooms({1, 100, 3});
  const auto placement = place_experts(shape, nodes, 1).value();
  EXPECT_EQ(placement.of(node(0)).count(), 1);
  EXPECT_EQ(placement.of(node(2)).count(), 3);
  EXPECT_EQ(placement.of(node(1)).count(), 8);
  EXPECT_TRUE(validate(placement, shape, nodes));
  auto shuffled = nodes;
  std::ranges::reverse(shuffled);
  EXPECT_EQ(place_experts(shape, shuffled, 1).value(), placement) << "the order in which nodes are named means nothing";
}

TEST(PlaceExperts, SaysByHowMuchItDoesNotFit) {
  const auto shape = shape_of(3, 6);
  const auto refused = [&](const std::vector<ExpertRoom>& nodes, std::int32_t replicas) -> Result<void> {
    TROUPE_TRY_DO(place_experts(shape, nodes, replicas));
    return {};
  };
  expect_refused(refused(rooms({5, 6}), 1), ErrorCode::too_large, {"12 experts", "12 places are needed", "2 nodes have 11"});
  expect_refused(refused(rooms({100, 11}), 2), ErrorCode::too_large, {"24 places", "have 23"});
  expect_refused(refused(rooms({100, 100}), 3), ErrorCode::too_large, {"3 replicas", "1 to 2"});
  expect_refused(refused({}, 1), ErrorCode::too_large, {"1 replicas"});
  expect_refused(refused(rooms({100}), 0), ErrorCode::too_large, {"0 replicas"});
  expect_refused(refused({{node(1), 1}, {node(1), 1}}, 1), ErrorCode::invalid_argument, {"\"n1\"", "twice"});
  EXPECT_TRUE(refused(rooms({100, 12}), 2));
}

TEST(PlaceExperts, FitsWheneverThereIsRoom) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const auto shape =
        shape_of(static_cast<std::int32_t>(random.between(1, 6)), static_cast<std::int32_t>(random.between(1, 20)));
    std::vector<std::size_t> experts;
    for (std::int64_t i = random.between(1, 6); i > 0; --i)
      experts.push_back(random.below(static_cast<std::uint64_t>(shape.count()) + 20));
    const auto replicas = static_cast<std::int32_t>(random.between(1, 4));
    std::int64_t room = 0;
    for (const std::size_t each : experts) room += std::min(static_cast<std::int64_t>(each), shape.count());
    const bool fits = static_cast<std::size_t>(replicas) <= experts.size() && room >= shape.count() * replicas;
    const auto nodes = rooms(experts);
    const auto placement = place_experts(shape, nodes, replicas);
    ASSERT_EQ(placement.has_value(), fits);
    if (!fits) continue;
    const auto valid = validate(*placement, shape, nodes);
    EXPECT_TRUE(valid) << valid.error().message;
    for (const auto& [id, homes] : placement->holders) EXPECT_EQ(homes.size(), static_cast<std::size_t>(replicas));
  }
}

TEST(ExpertPlacement, IsCheckedAgainstTheModelAndTheNodes) {
  const auto shape = shape_of(3, 4);
  const auto nodes = rooms({8, 8});
  const auto good = place_experts(shape, nodes, 2).value();
  ASSERT_TRUE(validate(good, shape, nodes));
  auto unknown = good;
  unknown.holders[{2, 1}].push_back({"nobody"});
  expect_refused(validate(unknown, shape, nodes), ErrorCode::not_found, {"expert 1 of layer 2", "\"nobody\"", "n0, n1"});
  auto homeless = good;
  homeless.holders.erase({2, 3});
  expect_refused(validate(homeless, shape, nodes), ErrorCode::invalid_argument, {"expert 3 of layer 2", "no home"});
  homeless.holders[{2, 3}] = {};
  expect_refused(validate(homeless, shape, nodes), ErrorCode::invalid_argument, {"expert 3 of layer 2", "no home"});
  auto twice = good;
  twice.holders[{0, 0}] = {node(1), node(1)};
  expect_refused(validate(twice, shape, nodes), ErrorCode::invalid_argument, {"expert 0 of layer 0", "\"n1\"", "twice"});
  for (const ExpertId id : {ExpertId{1, 0}, ExpertId{3, 0}, ExpertId{0, 4}, ExpertId{-1, 0}, ExpertId{0, -1}}) {
    auto beyond = good;
    beyond.holders[id] = {node(0)};
    expect_refused(validate(beyond, shape, nodes), ErrorCode::out_of_range,
                   {"expert " + std::to_string(id.expert) + " of layer " + std::to_string(id.layer)});
  }
  expect_refused(validate(good, shape, rooms({8, 7})), ErrorCode::too_large, {"\"n1\"", "7500 bytes", "8 experts of 1000"});
}

ExpertHolder holder(const char* name, const std::vector<std::int32_t>& experts, std::int64_t load = 0) {
  ExpertHolder made{{name}, {}, load};
  for (const std::int32_t expert : experts) made.experts.add({2, expert});
  return made;
}

TEST(ChooseHolders, KeepsWhatIsHereAndAsksFewNodes) {
  ExpertSelection here;
  here.add({2, 1});
  here.add({0, 3});  // of another layer
  const std::vector<std::int32_t> wanted{0, 1, 2, 3, 100};
  using Places = std::vector<std::int32_t>;
  EXPECT_EQ(choose_holders(2, wanted, here, {}), (Places{-2, -1, -2, -2, -2}));
  const std::vector<ExpertHolder> all{holder("a", {0, 1}), holder("b", {2, 3, 100}), holder("c", {0, 1, 2, 3, 100}, 50)};
  EXPECT_EQ(choose_holders(2, wanted, here, all), (Places{2, -1, 2, 2, 2})) << "one node, though it is loaded";
  EXPECT_EQ(choose_holders(2, wanted, here, std::span(all).first(2)), (Places{0, -1, 1, 1, 1}));
  EXPECT_EQ(choose_holders(0, wanted, here, all), (Places{-2, -2, -2, -1, -2}));
  EXPECT_EQ(choose_holders(2, {}, here, all), Places{});
}

TEST(ChooseHolders, PrefersTheLeastLoadedOfEquals) {
  const std::vector<ExpertHolder> holders{holder("a", {0, 1}, 3), holder("b", {0, 1}, 2), holder("c", {0, 1}, 2),
                                          holder("d", {1}, 0)};
  EXPECT_EQ(choose_holders(2, std::vector{0, 1}, {}, holders), (std::vector<std::int32_t>{1, 1}));
  EXPECT_EQ(choose_holders(2, std::vector{1}, {}, holders), (std::vector<std::int32_t>{3}));
}

TEST(ChooseHolders, LeavesOutOnlyWhatNobodyHas) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    std::vector<ExpertHolder> holders(random.below(5));
    ExpertSelection here;
    const auto draw = [&](ExpertSelection& selection) {
      for (std::uint64_t i = random.below(40); i > 0; --i) selection.add({2, static_cast<std::int32_t>(random.below(200))});
    };
    draw(here);
    for (ExpertHolder& each : holders) draw(each.experts);
    std::set<std::int32_t> drawn;
    for (int i = 0; i < 30; ++i) drawn.insert(static_cast<std::int32_t>(random.below(200)));
    const std::vector wanted(drawn.begin(), drawn.end());
    const auto places = choose_holders(2, wanted, here, holders);
    ASSERT_EQ(places.size(), wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const ExpertId id{2, wanted[i]};
      const bool held = std::ranges::any_of(holders, [&](const ExpertHolder& each) { return each.experts.has(id); });
      if (here.has(id)) {
        EXPECT_EQ(places[i], expert_is_here);
      } else if (!held) {
        EXPECT_EQ(places[i], expert_is_missing);
      } else {
        ASSERT_GE(places[i], 0);
        EXPECT_TRUE(holders.at(static_cast<std::size_t>(places[i])).experts.has(id));
      }
    }
  }
}

TEST(Rescue, SpreadsWhatIsMissingOverThoseWithRoomAndTheModel) {
  const auto missing = ExpertSelection::all(shape_of(1, 6));
  const auto plan =
      rescue(missing, expert_bytes,
             {{node(3), 9 * expert_bytes, false}, {node(2), 3 * expert_bytes, true}, {node(1), 3 * expert_bytes, true}});
  EXPECT_EQ(plan.loads.size(), 2U);
  EXPECT_EQ(plan.loads.at(node(1)).count(), 3);
  EXPECT_EQ(plan.loads.at(node(2)).count(), 3);
  EXPECT_EQ(plan.loads.at(node(1)) | plan.loads.at(node(2)), missing);
  EXPECT_TRUE(plan.left.empty());
}

TEST(Rescue, NamesWhatNobodyHasRoomFor) {
  const auto missing = ExpertSelection::all(shape_of(1, 6));
  const auto plan = rescue(missing, expert_bytes, {{node(1), 2 * expert_bytes + 999, true}});
  EXPECT_EQ(plan.loads.at(node(1)).count(), 2);
  EXPECT_EQ(plan.left.count(), 4);
  EXPECT_EQ(rescue(missing, expert_bytes, {}).left, missing);
  EXPECT_TRUE(rescue({}, expert_bytes, {{node(1), 0, true}}).loads.empty());
}

TEST(ExpertPlacement, NamesTheHomesOfASelection) {
  ExpertPlacement placement;
  placement.holders[{0, 0}] = {{"b"}, {"a"}};
  placement.holders[{0, 1}] = {{"a"}};
  placement.holders[{1, 0}] = {{"c"}};
  ExpertSelection selection;
  EXPECT_TRUE(placement.homes_of(selection).empty());
  selection.add({0, 0});
  selection.add({0, 1});
  selection.add({7, 7});
  EXPECT_EQ(placement.homes_of(selection), (std::vector<NodeId>{{"a"}, {"b"}}));
}

}  // namespace
}  // namespace troupe::policy
