// Thousands of steps of decoding one after another, of batches that have nothing in common but the workspace: a word that one
// block takes for another one's, or a wait that never ends, may take that many to show.
#include <algorithm>
#include <numeric>
#include <random>

#include "tests/gpu/hopper_test.hpp"
#include "tests/gpu/pass_model.hpp"
#include "tests/gpu/timing.hpp"

namespace troupe::kernels::cuda {
namespace {

constexpr int steps = 2000;
constexpr int repeats = 3;  ///< of each step, without the host between them
constexpr int sequences = decode_rows_max;
constexpr int positions = 560;  ///< five spans
constexpr int row_limits[] = {1, 1, 4, 8, 16, 32, 64};
constexpr unsigned seed = 20261128;

struct ModelCase {
  const char* name;
  DecodeShape shape;
  bool query_key_norms;
};

int token_of(const DecodeShape& shape, int sequence, int position) {
  return (sequence * 131 + position * 17 + sequence * position) % shape.vocabulary;
}

class CudaDecodeSoak : public OnHopper, public testing::WithParamInterface<ModelCase> {
 protected:
  /// Of each sequence and position, by passes of many rows.
  static std::vector<std::vector<float>> passed_logits(const DecodeModel& model) {
    PassBatch batch(model, positions, 1, positions);
    std::vector<std::vector<float>> logits;
    for (int sequence = 0; sequence < sequences; ++sequence) {
      PassPart part{0, 0, {}};
      for (int position = 0; position < positions; ++position)
        part.tokens.push_back(token_of(model.shape(), sequence, position));
      batch.set({part});
      batch.run(nullptr);
      batch.run_logits(nullptr);
      for (int position = 0; position < positions; ++position) logits.push_back(batch.logits(position));
    }
    return logits;
  }
};

TEST_P(CudaDecodeSoak, HasTheBitsOfPassesWhateverBatchesCameBefore) {
  const DecodeModel model(GetParam().shape, GetParam().query_key_norms, positions);
  const auto wanted = passed_logits(model);
  const auto vocabulary = static_cast<std::ptrdiff_t>(GetParam().shape.vocabulary);
  DecodeBatch batch(model, sequences, positions);
  const Stream stream;
  std::mt19937 random(seed);
  std::vector<int> order(sequences);
  std::iota(order.begin(), order.end(), 0);
  std::vector<std::int32_t> lengths(sequences, 0);  // a sequence that has all its positions begins again
  for (int step = 0; step < steps; ++step) {
    std::shuffle(order.begin(), order.end(), random);
    const int rows_max = row_limits[random() % std::size(row_limits)];
    const std::vector<int> chosen(order.begin(),
                                  order.begin() + 1 + static_cast<int>(random() % static_cast<unsigned>(rows_max)));
    std::vector<std::int32_t> tokens;
    std::vector<std::int32_t> places;
    for (const int sequence : chosen) {
      std::int32_t& length = lengths[static_cast<std::size_t>(sequence)];
      places.push_back(length);
      tokens.push_back(token_of(GetParam().shape, sequence, length));
      length = (length + 1) % positions;
    }
    batch.set(chosen, tokens, places);
    for (int i = 0; i < repeats; ++i) batch.run(stream.get());
    const std::vector<float> logits = batch.logits();
    for (std::size_t row = 0; row < chosen.size(); ++row) {
      const auto first = logits.begin() + static_cast<std::ptrdiff_t>(row) * vocabulary;
      const std::vector<float> got(first, first + vocabulary);
      const auto& expected = wanted[static_cast<std::size_t>(chosen[row] * positions + places[row])];
      ASSERT_TRUE(same_bits(got, expected))
          << differing(got, expected) << " of " << vocabulary << " logits differ: step " << step << ", row " << row << " of "
          << chosen.size() << ", sequence " << chosen[row] << " at position " << places[row] << ", seed " << seed;
    }
  }
}

// Shapes of real models, of fewer layers, and few logits.
INSTANTIATE_TEST_SUITE_P(Models, CudaDecodeSoak,
                         testing::Values(ModelCase{"Qwen06B", {6, 1024, 3072, 16, 8, 128, 512}, true},
                                         ModelCase{"Llama1B", {5, 2048, 8192, 32, 8, 64, 512}, false},
                                         ModelCase{"Narrow", {9, 256, 512, 8, 2, 64, 512}, false}),
                         [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace troupe::kernels::cuda
