// Steps of decoding on a GPU: right, and with the same bits whatever else is in the batch and wherever a sequence's keys and
// values lie. KV blocks are full of NaN before the first step, so whatever counts that should not shows.
#include <cmath>
#include <numeric>
#include <random>

#include "tests/gpu/decode_reference.hpp"
#include "tests/gpu/hopper_test.hpp"

namespace troupe::kernels::cuda {
namespace {

/// Of a step's logits, as a share of their length: what the tensor cores multiply has the eight bits of bf16. Errors of layers
/// add up like a random walk.
double tolerance(int layers) { return 4e-2 * std::sqrt(layers / 2.0); }
/// By how much the other sequences of a batch are shorter than the one that is looked at.
constexpr int lags[] = {0, 1, 15, 16, 100, 127, 128, 129, 255, 256, 300, 3};

struct ModelCase {
  const char* name;
  DecodeShape shape;
  bool query_key_norms;
  int steps;
};

std::ostream& operator<<(std::ostream& stream, const ModelCase& model) { return stream << model.name; }

int token_of(const DecodeShape& shape, int sequence, int position) {
  return (sequence * 131 + position * 17 + sequence * position) % shape.vocabulary;
}

/// Sequence 0 of a batch, and what is around it.
struct Surroundings {
  int rows = 1;
  int place = 0;              ///< of sequence 0
  unsigned block_order = 0;   ///< which KV blocks are whose: zero is in order, else shuffled by this seed
  bool unused_is_nan = true;  ///< else zero
};

std::vector<std::int32_t> block_order(int count, unsigned seed) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  if (seed != 0) std::shuffle(order.begin(), order.end(), std::mt19937(seed));
  return order;
}

using Logits = std::vector<std::vector<float>>;  ///< of sequence 0, by position

class CudaDecode : public OnHopper, public testing::WithParamInterface<ModelCase> {
 protected:
  void SetUp() override {
    OnHopper::SetUp();
    if (!IsSkipped()) model_.emplace(GetParam().shape, GetParam().query_key_norms, GetParam().steps);
  }
  Logits decode(const Surroundings& around) {
    DecodeBatch batch(*model_, around.rows, GetParam().steps);
    if (!around.unused_is_nan) batch.kv().fill_bytes(0);
    batch.place_blocks(block_order(around.rows * batch.blocks_each(), around.block_order));
    Logits logits;
    for (int step = 0; step < GetParam().steps; ++step) {
      std::vector<std::int32_t> tokens;
      std::vector<std::int32_t> positions;
      for (int row = 0; row < around.rows; ++row) {
        const bool watched = row == around.place;
        positions.push_back(watched ? step : std::max(0, step - lags[static_cast<std::size_t>(row) % std::size(lags)]));
        tokens.push_back(token_of(GetParam().shape, watched ? 0 : row + 1, positions.back()));
      }
      batch.set(tokens, positions);
      batch.run(nullptr);
      logits.push_back(batch.logits(around.place));
    }
    return logits;
  }
  const Logits& alone() {
    if (alone_.empty()) alone_ = decode({});
    return alone_;
  }
  /// The bits of sequence 0 alone, and no NaN.
  void expect_as_alone(const Surroundings& around) {
    const Logits logits = decode(around);
    for (std::size_t step = 0; step < logits.size(); ++step) {
      ASSERT_TRUE(same_bits(logits[step], alone()[step]))
          << differing(logits[step], alone()[step]) << " of " << logits[step].size() << " logits differ at position " << step
          << ", in a batch of " << around.rows << " at place " << around.place << ", block order " << around.block_order;
      ASSERT_FALSE(has_nan(logits[step])) << "at position " << step;
    }
  }

  std::optional<DecodeModel> model_;

 private:
  Logits alone_;
};

TEST_P(CudaDecode, AgreesWithAModelInDouble) {
  DecodeReference reference(*model_);
  for (int step = 0; step < GetParam().steps; ++step) {
    const auto wanted = reference.next(token_of(GetParam().shape, 0, step));
    RelativeError error;
    for (std::size_t i = 0; i < wanted.size(); ++i) error.add(wanted[i], alone()[static_cast<std::size_t>(step)][i]);
    ASSERT_LT(error.value(), tolerance(GetParam().shape.layers)) << "at position " << step;
  }
}

TEST_P(CudaDecode, HasTheSameBitsTwice) { expect_as_alone({}); }

TEST_P(CudaDecode, HasTheSameBitsInEveryBatchSize) {
  for (int rows = 2; rows <= decode_rows_max && !HasFatalFailure(); ++rows) {
    const bool quick = GetParam().steps <= 40;
    if (quick || rows % 8 <= 1 || rows == 5 || rows == 30) expect_as_alone({rows, rows / 2});
  }
}

TEST_P(CudaDecode, HasTheSameBitsAtEveryPlaceOfABatch) {
  constexpr int rows = 12;
  for (int place = 0; place < rows && !HasFatalFailure(); ++place) expect_as_alone({rows, place});
  if (!HasFatalFailure()) expect_as_alone({decode_rows_max, decode_rows_max - 1});
}

TEST_P(CudaDecode, HasTheSameBitsWhereverItsKvBlocksLie) {
  for (unsigned order = 1; order <= 4 && !HasFatalFailure(); ++order) {
    expect_as_alone({1, 0, order});
    if (!HasFatalFailure()) expect_as_alone({9, 4, order});
  }
}

TEST_P(CudaDecode, DoesNotReadTheUnusedPartsOfKvBlocks) {
  expect_as_alone({1, 0, 0, false});
  expect_as_alone({5, 2, 0, false});
}

INSTANTIATE_TEST_SUITE_P(Models, CudaDecode,
                         testing::Values(ModelCase{"Heads64", {2, 256, 512, 8, 2, 64, 512}, false, 40},
                                         // Panels of padding are there at once, before attention of more stages than the ring
                                         // has is over: rows came into stages that were still to be read.
                                         ModelCase{"OneKvHead", {2, 192, 512, 3, 1, 64, 512}, false, 300},
                                         ModelCase{"OddWidths", {2, 320, 160, 6, 2, 64, 200}, true, 140},
                                         ModelCase{"Heads128", {2, 512, 1024, 16, 2, 128, 512}, true, 290},
                                         // Buffers serve several layers in turn.
                                         ModelCase{"ManyLayers", {11, 256, 512, 8, 2, 64, 512}, false, 135}),
                         [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace troupe::kernels::cuda
