#include "actors/node_experts.hpp"

#include <gtest/gtest.h>

#include <future>

#include "base/check.hpp"
#include "cluster/local_fabric.hpp"
#include "kernels/cpu_device.hpp"
#include "kernels/numeric_class.hpp"

namespace troupe::actors {
namespace {

namespace fs = std::filesystem;
using policy::ExpertSelection;

ExpertSelection experts(std::int32_t first, std::int32_t last) {
  ExpertSelection selection;
  for (std::int32_t layer = 0; layer < 8; ++layer) {
    for (std::int32_t expert = first; expert <= last; ++expert) selection.add({layer, expert});
  }
  return selection;
}

/// The bundled heavy model: "here" holds experts 0 to 3 of each layer, "there" the others.
const ExpertModel& heavy() {
  static const ExpertModel model = [] {
    ExpertModel made;
    made.name = "heavy";
    made.folder = fs::path(TROUPE_SOURCE_DIR) / "portfolio" / "heavy";
    const auto config = model::load_config(made.folder / "config.json");
    const auto fingerprint = model::fingerprint_folder(made.folder);
    TROUPE_CHECK(config && fingerprint, "the bundled model is there");
    made.shape = model::expert_shape(*config);
    made.model = {to_hex(*fingerprint), std::string(kernels::numeric_class(kernels::DeviceKind::cpu))};
    for (const auto& id : experts(0, 3).ids()) made.placement.holders[id] = {{"here"}};
    for (const auto& id : experts(4, 7).ids()) made.placement.holders[id] = {{"there"}};
    return made;
  }();
  return model;
}

class ExpertsOfANode : public testing::Test {
 protected:
  Result<std::shared_ptr<NodeExperts>> make(std::size_t room) {
    auto fabric = hub_.join({"here"});
    TROUPE_CHECK(fabric.has_value(), "the name is free");
    NodeExpertsOptions options;
    options.self = {"here"};
    options.fabric = *std::move(fabric);
    options.clock = std::make_shared<SystemClock>();
    options.links = std::make_shared<cluster::FabricLinks>(
        options.self, std::vector<cluster::FabricOffer>{{options.fabric, "test"}}, options.clock, Log());
    options.models = {heavy()};
    options.bytes_max = room * heavy().shape.expert_bytes;
    options.open_device = []() -> Result<std::unique_ptr<kernels::Device>> {
      TROUPE_TRY(auto device, kernels::CpuDevice::create({.threads = 1}));
      return std::unique_ptr<kernels::Device>(std::move(device));
    };
    return NodeExperts::create(std::move(options));
  }
  static std::shared_ptr<NodeExperts> made(Result<std::shared_ptr<NodeExperts>> result) {
    TROUPE_CHECK(result.has_value(), "experts have a device");
    return *std::move(result);
  }
  static Result<void> load(NodeExperts& node, const policy::ModelClass& model, const ExpertSelection& selection) {
    std::promise<Result<void>> loaded;
    node.load(model, selection, [&](Result<void> result) { loaded.set_value(std::move(result)); });
    return loaded.get_future().get();
  }
  static ExpertSelection held(const NodeExperts& node) { return node.views().front().experts; }

  cluster::LocalHub hub_;
};

TEST_F(ExpertsOfANode, AreThoseThatWereLoaded) {
  const auto node = made(make(64));
  EXPECT_TRUE(held(*node).empty());
  EXPECT_EQ(node->placed(heavy()), experts(0, 3));
  EXPECT_EQ(node->find(heavy().folder / ".." / "heavy"), node->find(heavy().model));
  ASSERT_TRUE(load(*node, heavy().model, experts(0, 3)));
  EXPECT_EQ(held(*node), experts(0, 3));
  EXPECT_EQ(node->bytes_free(), 32 * heavy().shape.expert_bytes);
  const policy::ExpertsView view = node->views().front();
  EXPECT_EQ(view.model_name, "heavy");
  EXPECT_EQ(view.experts_total, 64);
  EXPECT_EQ(view.expert_bytes, heavy().shape.expert_bytes);

  // Only what is missing takes room.
  ASSERT_TRUE(load(*node, heavy().model, experts(2, 5)));
  EXPECT_EQ(held(*node), experts(0, 5));
  EXPECT_EQ(node->bytes_free(), 16 * heavy().shape.expert_bytes);
}

TEST_F(ExpertsOfANode, AreRefusedWithoutRoomAndOfModelsThatAreNotPlaced) {
  const auto node = made(make(40));
  ASSERT_TRUE(load(*node, heavy().model, experts(0, 3)));
  const auto large = load(*node, heavy().model, experts(4, 5));
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ErrorCode::too_large) << large.error().message;
  const auto foreign = load(*node, {"another", "cpu-f32-v1"}, experts(0, 0));
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code, ErrorCode::not_found) << foreign.error().message;
  ExpertSelection none;
  none.add({0, 8});
  const auto beyond = load(*node, heavy().model, none);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code, ErrorCode::out_of_range) << beyond.error().message;
  EXPECT_EQ(held(*node), experts(0, 3));
}

TEST_F(ExpertsOfANode, PlacedThereNeedRoom) {
  const auto refused = make(31);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::too_large);
}

TEST_F(ExpertsOfANode, MayBeGivenUp) {
  const auto node = made(make(64));
  ASSERT_TRUE(load(*node, heavy().model, experts(0, 3)));
  ASSERT_TRUE(load(*node, heavy().model, experts(6, 7)));
  std::vector<ExpertSelection> asked;
  const auto give_up = [&](bool may_go) {
    node->withdraw_extra([&](const ExpertModel&, const ExpertSelection& extra) {
      asked.push_back(extra);
      return may_go;
    });
  };
  give_up(false);
  EXPECT_EQ(asked, std::vector<ExpertSelection>{experts(6, 7)});
  EXPECT_EQ(held(*node), experts(0, 3) | experts(6, 7));
  give_up(true);
  EXPECT_EQ(held(*node), experts(0, 3));
  EXPECT_EQ(node->bytes_free(), 32 * heavy().shape.expert_bytes);
  node->withdraw_all();
  EXPECT_TRUE(held(*node).empty());
  EXPECT_EQ(node->bytes_free(), 64 * heavy().shape.expert_bytes);
  ASSERT_TRUE(load(*node, heavy().model, experts(0, 3)));
  EXPECT_EQ(held(*node), experts(0, 3));
}

TEST_F(ExpertsOfANode, OfAnEngineAnswerForOthersAndStayWithIt) {
  const auto device = kernels::CpuDevice::create({.threads = 1});
  ASSERT_TRUE(device);
  const auto node = made(make(64));
  auto loaded = model::Model::load(heavy().folder, node->placed(heavy()), **device);
  ASSERT_TRUE(loaded) << loaded.error().message;
  const auto model = std::make_shared<const model::Model>(*std::move(loaded));
  ASSERT_TRUE(node->dispatch(*model, **device, 16));
  ASSERT_TRUE(node->add_engine(model));
  EXPECT_EQ(held(*node), experts(0, 3));
  EXPECT_EQ(node->bytes_free(), 32 * heavy().shape.expert_bytes);
  node->withdraw_all();
  EXPECT_TRUE(held(*node).empty());
  EXPECT_EQ(node->bytes_free(), 32 * heavy().shape.expert_bytes) << "the engine still has them";
  ASSERT_TRUE(load(*node, heavy().model, experts(0, 3)));  // nothing is read again
  EXPECT_EQ(held(*node), experts(0, 3));
  EXPECT_EQ(node->bytes_free(), 32 * heavy().shape.expert_bytes);
}

}  // namespace
}  // namespace troupe::actors
