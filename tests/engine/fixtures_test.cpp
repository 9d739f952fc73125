// The bundled models against another implementation: logits and greedy continuations that transformers computed in float32
// (tests/fixtures/README.md).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "engine/engine.hpp"
#include "kernels/open_device.hpp"
#include "model/forward.hpp"
#include "model/model.hpp"
#include "model/safetensors.hpp"

namespace troupe {
namespace {

// Two float32 implementations that add in different orders. One sum of K products is off by about sqrt(K) u of the products'
// size (u = 2^-24; K up to 512 here: 1.3e-6). Such an error enters the residual stream twice a layer and is carried along, not
// amplified, by the norms: sqrt(2 * 8 layers) of them reach the logits, whose size is up to 30: 30 * 4 * 1.3e-6 = 1.6e-4.
// Their largest over 4096 x 48 values is a few times the typical one, hence:
constexpr float cpu_tolerance = 5e-4F;

// A GPU rounds what goes into a product to bfloat16 (u = 2^-9), each element by itself: a sum of K products whose inputs are
// off by u is off by about u of its size whatever K is, since the errors cancel as the products do. By the same count, 30 * 4 *
// 2^-9 = 0.23, and more for the largest of all.
constexpr float gpu_tolerance = 0.6F;

/// The device that this program's tests are about: built with TROUPE_TEST_ON_GPU, a GPU.
Result<std::unique_ptr<kernels::Device>> open_device() {
#ifdef TROUPE_TEST_ON_GPU
  constexpr auto wish = kernels::DeviceWish::cuda;
#else
  constexpr auto wish = kernels::DeviceWish::cpu;
#endif
  TROUPE_TRY(kernels::OpenedDevice opened, kernels::open_device({.wish = wish, .gpu = 0, .cpu = {}}));
  return std::move(opened.device);
}

/// Where the bundled models and the fixtures are: the folder that this was built from, or the one that the variable names.
std::string source_folder() {
  const char* const elsewhere = std::getenv("TROUPE_SOURCE_DIR");
  return elsewhere != nullptr ? elsewhere : TROUPE_SOURCE_DIR;
}

template <class T>
std::vector<T> values(const model::SafetensorsFile& file, const std::string& name) {
  const auto tensor = file.find(name);
  if (!tensor) throw std::runtime_error(tensor.error().message);
  std::vector<T> found(tensor->bytes.size() / sizeof(T));
  std::memcpy(found.data(), tensor->bytes.data(), tensor->bytes.size());
  return found;
}

/// Collects an answer's tokens.
class Collector final : public engine::Listener {
 public:
  void on_tokens(const engine::TokensEvent& event) override {
    for (const auto& token : event.tokens) tokens.push_back(token.token);
  }
  void on_finished(const engine::FinishedEvent& event) override { reason = event.reason; }

  std::vector<model::TokenId> tokens;
  std::optional<engine::FinishReason> reason;
};

class Fixtures : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto opened = open_device();
    if (!opened) GTEST_SKIP() << "NOTHING WAS CHECKED: " << opened.error().message;
    device_ = *std::move(opened);
    tolerance_ = device_->kind() == kernels::DeviceKind::cuda ? gpu_tolerance : cpu_tolerance;
    model_ = std::make_unique<model::Model>(model::Model::load(source_folder() + "/portfolio/" + GetParam(), *device_).value());
    file_.emplace(model::SafetensorsFile::open(source_folder() + "/tests/fixtures/" + GetParam() + ".safetensors").value());
  }

  static constexpr int prompts = 8;
  static constexpr std::int32_t tokens_max = 1536;
  static constexpr std::size_t block_count = tokens_max / kernels::kv_block_positions;
  std::unique_ptr<kernels::Device> device_;
  float tolerance_ = 0;
  std::unique_ptr<model::Model> model_;
  std::optional<model::SafetensorsFile> file_;
};

TEST_P(Fixtures, LogitsAreTheReferencesWithinRounding) {
  const auto rope = model::RopeTable::create(model_->config, tokens_max, *device_).value();
  const auto passes = model::create_passes(model_->config, model_->weights, rope, *device_, {tokens_max, 6}, 1).value();
  model::ForwardPass& pass = *passes.front();
  const auto experts = model::LocalExperts::create(model_->config, model_->weights, *device_, tokens_max).value();
  const auto layout = model_->config.kv_layout(device_->kind());
  const auto pool = device_->allocate(block_count * layout.block_bytes()).value();
  std::vector<std::int32_t> blocks(block_count);
  std::iota(blocks.rbegin(), blocks.rend(), 0);

  float worst = 0;
  int rows_in_all = 0;
  int rows_beyond = 0;
  for (int p = 0; p < prompts; ++p) {
    const std::string prompt = "p" + std::to_string(p) + ".";
    const auto ids = values<std::int32_t>(*file_, prompt + "ids");
    const auto positions = values<std::int32_t>(*file_, prompt + "positions");
    const auto expected = values<float>(*file_, prompt + "logits");
    ASSERT_LE(ids.size(), static_cast<std::size_t>(tokens_max));
    std::vector<std::int32_t> rows = positions;  // short prompts repeat the last one
    rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
    const kernels::SequenceRows sequence{0, static_cast<std::int32_t>(ids.size()), 0, blocks.data()};
    const std::vector<model::TokenChoice> choices(rows.size());
    pass.start({ids, {&sequence, 1}, rows, choices, /*shows_logits=*/true, pool.as<std::byte>()}, {});
    ASSERT_EQ(pass.advance(*experts).value(), model::ForwardPass::State::done);
    const auto vocabulary = static_cast<std::size_t>(model_->config.vocabulary);
    for (std::size_t row = 0; row < rows.size(); ++row) {
      float worst_of_row = 0;
      for (std::size_t token = 0; token < vocabulary; ++token) {
        const float difference = std::abs(pass.logits(row)[token] - expected[row * vocabulary + token]);
        worst_of_row = std::max(worst_of_row, std::isnan(difference) ? INFINITY : difference);
      }
      ++rows_in_all;
      rows_beyond += worst_of_row < tolerance_ ? 0 : 1;
      worst = std::max(worst, worst_of_row);
    }
  }
  std::printf("%s: largest difference of a logit %.2g, tolerance %.2g, beyond it in %d of %d rows\n", GetParam().c_str(),
              static_cast<double>(worst), static_cast<double>(tolerance_), rows_beyond, rows_in_all);
  // Rounding to bfloat16 may tip the balance between two experts whose gates are nearly equal, in any of the layers and of the
  // tokens before: then the row is another one.
  const bool may_tip = device_->kind() == kernels::DeviceKind::cuda && model_->config.moe;
  EXPECT_LE(rows_beyond, may_tip ? rows_in_all / 6 : 0);
  EXPECT_LT(worst, (may_tip ? 10 : 1) * tolerance_);
}

TEST_P(Fixtures, GreedyContinuationsAreTheReferences) {
  const SystemClock clock;
  engine::EngineOptions options;
  options.kv_bytes = std::size_t{64} << 20;
  const auto engine = engine::Engine::create(*model_, *device_, clock, options).value();
  std::vector<Collector> collectors(prompts);
  for (int p = 0; p < prompts; ++p) {
    engine::GenerateRequest request;
    request.prompt = values<std::int32_t>(*file_, "p" + std::to_string(p) + ".ids");
    request.tokens_max = 64;
    request.stop_at_end_tokens = false;
    ASSERT_TRUE(engine->submit(std::move(request), collectors[static_cast<std::size_t>(p)]));
  }
  while (!engine->idle()) engine->step();
  for (int p = 0; p < prompts; ++p) {
    const auto expected = values<std::int32_t>(*file_, "p" + std::to_string(p) + ".greedy");
    const auto margin = values<float>(*file_, "p" + std::to_string(p) + ".margin");
    const auto& tokens = collectors[static_cast<std::size_t>(p)].tokens;
    ASSERT_EQ(tokens.size(), expected.size());
    const auto [ours, theirs] = std::ranges::mismatch(tokens, expected);
    if (ours == tokens.end()) continue;
    const auto at = static_cast<std::size_t>(ours - tokens.begin());
    std::printf("%s: p%d parts at token %zu: %d, reference %d, margin %g\n", GetParam().c_str(), p, at, *ours, *theirs,
                static_cast<double>(margin[at]));
    EXPECT_LT(margin[at], tolerance_) << "not a near-tie";
  }
}

INSTANTIATE_TEST_SUITE_P(Portfolio, Fixtures, testing::Values("mini", "medium", "heavy"),
                         [](const auto& tier) { return tier.param; });

}  // namespace
}  // namespace troupe
