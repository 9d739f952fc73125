// Steps of decoding in long sequences: how many blocks have spans of a KV head, and how many spans, changes who folds them how,
// and must not change a bit.
#include "tests/gpu/hopper_test.hpp"
#include "tests/gpu/pass_model.hpp"

namespace troupe::kernels::cuda {
namespace {

constexpr int length = 34'000;
/// Of a few spans, of as many as are folded at once, and of more; 10, 11, 20 and 21 spans are folded in different ways.
constexpr int places[] = {33'999, 130,    2'047, 2'048, 16'383, 16'384, 16'511, 2'300, 1'279, 2'560,
                          767,    20'000, 5'000, 128,   2'175,  1'023,  33'000, 9'999, 1'280, 2'559};

struct ModelCase {
  const char* name;
  DecodeShape shape;
};

int token_of(const DecodeShape& shape, int position) { return (position * 17 + position / 97 * 31) % shape.vocabulary; }

class CudaDecodeContext : public OnHopper, public testing::WithParamInterface<ModelCase> {};

TEST_P(CudaDecodeContext, HasTheBitsOfPassesHoweverManySpansAreFolded) {
  const DecodeShape& shape = GetParam().shape;
  const DecodeModel model(shape, false, length);
  PassBatch pass(model, length, 1, length);
  PassPart part{0, 0, {}};
  for (int position = 0; position < length; ++position) part.tokens.push_back(token_of(shape, position));
  pass.set({part});
  pass.run(nullptr);
  pass.run_logits(nullptr);
  const std::vector<bf16> kv = pass.kv().read();

  for (const int rows : {1, 2, 3, 5, 9, 16, 20, 40}) {
    // All rows are the same sequence, at different positions: each writes to the blocks what is there already.
    DecodeBatch batch(model, rows, length);
    batch.kv().write(kv);
    std::vector<std::int32_t> blocks;
    for (int i = 0; i < rows * batch.blocks_each(); ++i) blocks.push_back(i % batch.blocks_each());
    batch.place_blocks(blocks);
    for (int first = 0; first < static_cast<int>(std::size(places)); first += rows) {
      std::vector<std::int32_t> tokens;
      std::vector<std::int32_t> positions;
      for (int row = 0; row < rows; ++row) {
        positions.push_back(places[(first + row) % static_cast<int>(std::size(places))]);
        tokens.push_back(token_of(shape, positions.back()));
      }
      batch.set(tokens, positions);
      batch.run(nullptr);
      for (int row = 0; row < rows; ++row) {
        const auto wanted = pass.logits(positions[static_cast<std::size_t>(row)]);
        const auto got = batch.logits(row);
        ASSERT_TRUE(same_bits(got, wanted)) << differing(got, wanted) << " of " << shape.vocabulary
                                            << " logits differ at position " << positions[static_cast<std::size_t>(row)]
                                            << ", row " << row << " of " << rows << ", the first one of place " << first;
      }
    }
  }
}

// Wide enough that all processors have spans.
INSTANTIATE_TEST_SUITE_P(Models, CudaDecodeContext,
                         testing::Values(ModelCase{"Heads128InFours", {2, 1024, 3072, 8, 2, 128, 512}},
                                         ModelCase{"Heads64InEights", {2, 1024, 3072, 16, 2, 64, 512}},
                                         ModelCase{"Heads128InSixteens", {1, 1024, 3072, 16, 1, 128, 512}},
                                         ModelCase{"Heads64Alone", {1, 1024, 3072, 8, 8, 64, 512}}),
                         [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace troupe::kernels::cuda
