// A node that answers for experts: rightly, or with a clear refusal, and within its bounds.
#include "cluster/expert_server.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "cluster/local_fabric.hpp"
#include "kernels/cpu_device.hpp"
#include "model/experts.hpp"
#include "schemas/expert_frame.hpp"
#include "tests/cluster/expert_cluster.hpp"
#include "tests/support/kernel_cases.hpp"
#include "tests/support/plain_device.hpp"
#include "tests/support/tiny_models.hpp"

namespace troupe::tests {
namespace {

using cluster::ExpertServer;
using cluster::Payload;
using policy::ExpertSelection;
using schemas::ExpertRowSlot;

class ExpertServerTest : public ::testing::Test {
 protected:
  ExpertServerTest()
      : hub_({.schedule = loop_.schedule(), .clock = &loop_.clock(), .faults = {}}), fabric_(hub_.join({"server"}).value()) {}

  ExpertServer& make(const cluster::ExpertServerLimits& limits = {}) {
    server_ = ExpertServer::create(*fabric_, loop_.clock(), loop_.schedule(),
                                   kernels::CpuDevice::create({.threads = 1}).value(), limits)
                  .value();
    return *server_;
  }
  std::shared_ptr<const model::ExpertSlices> slices(const ExpertSelection& experts, std::uint64_t seed = 1) {
    return std::make_shared<const model::ExpertSlices>(model::ExpertSlices::random(config_, seed, experts, *device_).value());
  }
  static cluster::ExpertSource source(std::shared_ptr<const model::ExpertSlices> of) {
    return cluster::source_of(std::move(of), kernels::DeviceKind::cpu);
  }
  ExpertSelection all() const { return ExpertSelection::all(model::expert_shape(config_)); }
  schemas::ExpertWorkHead head(std::uint64_t seed = 1) const {
    return {.number = 7,
            .model = {model::to_hex(model::fingerprint_random(config_, seed)), "cpu-f32-v1"},
            .layer = 2,
            .hidden = config_.hidden};
  }
  /// Three rows for a few experts.
  schemas::ExpertFrame work(const schemas::ExpertWorkHead& head,
                            const std::vector<ExpertRowSlot>& slots = {{0, 1}, {0, 5}, {2, 0}, {1, 7}}) {
    auto frame = schemas::encode_expert_work(head, 3, slots).value();
    Random random(9);
    const auto values = random_floats(random, frame.values.size(), 2);
    std::ranges::copy(values, frame.values.begin());
    return frame;
  }
  /// What the server answers to some bytes, once the loop stands still.
  std::optional<schemas::ExpertResultsFrame> ask(std::span<const std::byte> bytes) {
    int answers = 0;
    server_->submit(cluster::payload_of(bytes), [&](Payload payload) {
      ++answers;
      held_ = std::move(payload);
    });
    while (loop_.run_next()) {
    }
    EXPECT_LE(answers, 1);
    if (answers == 0) return std::nullopt;
    auto results = schemas::decode_expert_results(held_.bytes);
    EXPECT_TRUE(results) << results.error().message;
    return *results;
  }
  void expect_refused(std::span<const std::byte> bytes, ErrorCode code, const std::vector<std::string>& words) {
    const auto refusal = ask(bytes);
    ASSERT_TRUE(refusal && refusal->error);
    EXPECT_EQ(refusal->number, 7U);
    EXPECT_EQ(to_string(refusal->error->code), to_string(code)) << refusal->error->message;
    for (const auto& word : words) EXPECT_NE(refusal->error->message.find(word), std::string::npos) << refusal->error->message;
  }
  void expect_right(const schemas::ExpertFrame& asked, std::uint64_t seed = 1) {
    const auto results = ask(asked.bytes);
    ASSERT_TRUE(results);
    ASSERT_FALSE(results->error) << results->error->message;
    const auto whole = slices(all(), seed);
    const auto local = model::LocalExperts::create(config_, whole->weights, *device_, 8).value();
    const auto decoded = schemas::decode_expert_work(asked.bytes).value();
    std::vector<model::ExpertSlot> slots;
    for (const ExpertRowSlot& slot : decoded.slots) {
      slots.push_back({static_cast<std::int32_t>(slot.expert), static_cast<std::int32_t>(slot.row),
                       static_cast<std::int32_t>(slots.size())});
    }
    std::vector<float> expected(slots.size() * static_cast<std::size_t>(config_.hidden));
    local->compute({decoded.head.layer, decoded.rows.data(), expected.data(), slots});
    EXPECT_TRUE(same_bits(results->values, expected));
  }

  EventLoop loop_;
  const model::ModelConfig config_ = config_of(tiny_model("qwen3_moe"));
  std::unique_ptr<kernels::CpuDevice> device_ = kernels::CpuDevice::create({.threads = 1}).value();
  cluster::LocalHub hub_;
  std::unique_ptr<cluster::Fabric> fabric_;
  std::unique_ptr<ExpertServer> server_;
  Payload held_;
};

TEST_F(ExpertServerTest, AnswersFromAllThatItServes) {
  ExpertServer& server = make();
  ExpertSelection even;
  for (const auto id : all().ids()) {
    if (id.expert % 2 == 0) even.add(id);
  }
  ASSERT_TRUE(server.serve(source(slices(even))));
  ASSERT_TRUE(server.serve(source(slices(all() - even))));
  ASSERT_TRUE(server.serve(source(slices(all(), 2))));
  EXPECT_EQ(server.served(head().model), all());
  expect_right(work(head()));
  expect_right(work(head(2)), 2);
  EXPECT_EQ(server.counters().works, 2U);
  EXPECT_EQ(server.counters().slots, 8U);
  EXPECT_EQ(server.load(), 0);
}

TEST_F(ExpertServerTest, ServesTheExpertsOfAModelThatRunsSequences) {
  ExpertServer& server = make();
  const auto model = std::make_shared<const model::Model>(model::Model::random(config_, 1, all(), *device_).value());
  ASSERT_TRUE(server.serve(cluster::source_of(model, kernels::DeviceKind::cpu)));
  expect_right(work(head()));
}

TEST_F(ExpertServerTest, RefusesWhatIsNotForIt) {
  ExpertServer& server = make();
  ExpertSelection some = all();
  ExpertSelection fifth;
  fifth.add({2, 5});
  ASSERT_TRUE(server.serve(source(slices(some - fifth))));
  auto other = head();
  other.protocol = 2;
  expect_refused(work(other).bytes, ErrorCode::unsupported, {"protocol 2", "speaks 1"});
  other = head();
  other.model.fingerprint[0] = 'x';
  expect_refused(work(other).bytes, ErrorCode::unsupported, {"no experts of model x"});
  other = head();
  other.model.numeric_class = "cuda-sm90-v1";
  expect_refused(work(other).bytes, ErrorCode::unsupported, {"cuda-sm90-v1"});
  expect_refused(work(head()).bytes, ErrorCode::not_found, {"expert 5 of layer 2"});
  for (const std::int32_t layer : {-1, 1, 3, 1 << 30}) {
    other = head();
    other.layer = layer;
    expect_refused(work(other).bytes, ErrorCode::not_found, {"expert 1 of layer " + std::to_string(layer)});
  }
  expect_refused(work(head(), {{0, 8}}).bytes, ErrorCode::not_found, {"expert 8 of layer 2"});
  other = head();
  other.hidden = 16;
  expect_refused(work(other).bytes, ErrorCode::not_found, {"16 numbers a row"});
  expect_refused(work(head(), {{3, 1}}).bytes, ErrorCode::corrupt, {"row 3", "3 rows"});
  EXPECT_EQ(server.counters().works, 0U);
  EXPECT_EQ(server.counters().refused, 11U);
}

TEST_F(ExpertServerTest, SurvivesAnyBytes) {
  ExpertServer& server = make();
  ASSERT_TRUE(server.serve(source(slices(all()))));
  const auto frame = work(head());
  for (std::size_t length = 0; length < frame.bytes.size(); length += 8) EXPECT_FALSE(ask(frame.bytes.first(length)));
  EXPECT_EQ(server.counters().unreadable, frame.bytes.size() / 8);
  Random random(3);
  for (int round = 0; round < 500; ++round) {
    std::vector<std::byte> bytes(frame.bytes.begin(), frame.bytes.end());
    for (std::uint64_t flips = 1 + random.below(3); flips > 0; --flips)
      bytes[random.below(200)] ^= std::byte{1} << random.below(8);
    ask(bytes);
  }
  expect_right(frame);
  EXPECT_EQ(server.load(), 0);
}

TEST_F(ExpertServerTest, RefusesMoreThanItHasRoomFor) {
  const auto frame = work(head());
  const auto count = [&](const cluster::ExpertServerLimits& limits) {
    ExpertServer& server = make(limits);
    EXPECT_TRUE(server.serve(source(slices(all()))));
    std::vector<Payload> answers;
    for (int i = 0; i < 10; ++i) {
      server.submit(cluster::payload_of(frame.bytes), [&](Payload answer) { answers.push_back(std::move(answer)); });
    }
    while (loop_.run_next()) {
    }
    EXPECT_EQ(answers.size(), 10U);
    int refused = 0;
    for (const Payload& answer : answers) {
      const auto results = schemas::decode_expert_results(answer.bytes).value();
      refused += results.error ? 1 : 0;
      EXPECT_TRUE(!results.error || results.error->code == ErrorCode::overloaded);
    }
    answers.clear();
    expect_right(frame);
    return refused;
  };
  EXPECT_EQ(count({}), 0);
  EXPECT_EQ(count({.works_max = 4}), 6);
  const std::size_t answer_bytes = schemas::encode_expert_results(7, config_.hidden, 4).bytes.size();
  EXPECT_GE(count({.bytes_max = 4 * frame.bytes.size() + answer_bytes}), 6) << "works that wait count";
  EXPECT_EQ(count({.bytes_max = 10 * (frame.bytes.size() + answer_bytes)}), 0);
}

TEST_F(ExpertServerTest, CountsResultsAsLongAsSomebodyHoldsThem) {
  const auto frame = work(head());
  const std::size_t answer_bytes = schemas::encode_expert_results(7, config_.hidden, 4).bytes.size();
  ExpertServer& server = make({.bytes_max = frame.bytes.size() + 3 * answer_bytes});
  ASSERT_TRUE(server.serve(source(slices(all()))));
  std::vector<Payload> answers;
  const auto ask_one = [&] {
    server.submit(cluster::payload_of(frame.bytes), [&](Payload answer) { answers.push_back(std::move(answer)); });
    while (loop_.run_next()) {
    }
    return !schemas::decode_expert_results(answers.back().bytes)->error;
  };
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(ask_one()) << i;
  EXPECT_FALSE(ask_one());
  answers.clear();
  EXPECT_TRUE(ask_one());
}

TEST_F(ExpertServerTest, StopsAnsweringForWhatIsWithdrawn) {
  ExpertServer& server = make();
  const auto mine = slices(all());
  ASSERT_TRUE(server.serve(source(mine)));
  expect_right(work(head()));
  server.withdraw(mine);
  EXPECT_EQ(mine.use_count(), 1);
  expect_refused(work(head()).bytes, ErrorCode::unsupported, {"no experts of model"});
  EXPECT_TRUE(server.served(head().model).empty());
}

TEST_F(ExpertServerTest, IsRefusedADeviceThatTheHostCannotReach) {
  auto far = std::make_unique<testing::PlainDevice>(1 << 20, testing::far_device);
  const auto refused = ExpertServer::create(*fabric_, loop_.clock(), loop_.schedule(), std::move(far));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::unsupported);
}

}  // namespace
}  // namespace troupe::tests
