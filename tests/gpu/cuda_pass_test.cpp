// Passes over many rows on a GPU: whatever is computed at once, a token gets the bits of a step of decoding, and leaves the
// same keys and values. KV blocks are full of NaN before the first pass, so whatever counts that should not shows.
#include <numeric>
#include <random>

#include "tests/gpu/decode_reference.hpp"
#include "tests/gpu/hopper_test.hpp"
#include "tests/gpu/pass_model.hpp"

namespace troupe::kernels::cuda {
namespace {

/// Of a row's logits, as a share of their length: what the tensor cores multiply has the eight bits of bf16.
constexpr double tolerance = 4e-2;
/// How many rows are computed at once, beside all: of kernels for many rows and for few, and across spans and tiles.
constexpr int chunk_sizes[] = {256, 200, 130, 111, 64, 33, 17, 5, 1};
/// Sequences of more tokens are not computed in chunks that are smaller than this.
constexpr int long_length = 300;
constexpr int long_chunk_min = 17;

struct ModelCase {
  const char* name;
  DecodeShape shape;
  bool query_key_norms;
  int length;  ///< of sequences at most
};

int token_of(const DecodeShape& shape, int sequence, int position) {
  return (sequence * 131 + position * 17 + position * position * 3) % shape.vocabulary;
}

/// How a sequence is computed: a pass adds `chunk` tokens of it, until it has its length.
struct Plan {
  int length = 0;
  int chunk = 0;
};

struct Computed {
  std::vector<std::vector<float>> logits;  ///< by position
  std::vector<bf16> kv;                    ///< the sequence's KV blocks in order
};

std::vector<std::int32_t> block_order(int count, unsigned seed) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  if (seed != 0) std::shuffle(order.begin(), order.end(), std::mt19937(seed));
  return order;
}

class CudaPass : public OnHopper, public testing::WithParamInterface<ModelCase> {
 protected:
  void SetUp() override {
    OnHopper::SetUp();
    if (!IsSkipped()) model_.emplace(GetParam().shape, GetParam().query_key_norms, GetParam().length);
  }
  /// Token by token, alone.
  Computed decode(int sequence, int length) const {
    DecodeBatch batch(*model_, 1, length);
    Computed computed;
    for (int position = 0; position < length; ++position) {
      batch.set({token_of(GetParam().shape, sequence, position)}, {position});
      batch.run(nullptr);
      computed.logits.push_back(batch.logits(0));
    }
    computed.kv = batch.kv().read();
    return computed;
  }
  /// Every pass has a part of each sequence that is not at its end, and begins with another one. Blocks are shuffled by the
  /// seed, or in order if it is zero.
  std::vector<Computed> pass(const std::vector<Plan>& plans, unsigned block_seed) const {
    int rows_max = 0;
    for (const Plan& plan : plans) rows_max += std::min(plan.chunk, plan.length);
    const auto count = static_cast<int>(plans.size());
    PassBatch batch(*model_, rows_max, count, GetParam().length);
    const auto blocks = block_order(count * batch.blocks_each(), block_seed);
    batch.place_blocks(blocks);
    std::vector<Computed> all(plans.size());
    for (int turn = 0;; ++turn) {
      const auto parts = next_parts(plans, all, turn);
      if (parts.empty()) break;
      batch.set(parts);
      batch.run(nullptr);
      batch.run_logits(nullptr);
      int row = 0;
      for (const PassPart& part : parts)
        for (std::size_t i = 0; i < part.tokens.size(); ++i)
          all[static_cast<std::size_t>(part.sequence)].logits.push_back(batch.logits(row++));
    }
    const auto kv = batch.kv().read();
    for (int i = 0; i < count; ++i) all[static_cast<std::size_t>(i)].kv = kv_of(kv, &blocks[first_block(batch, i)], i, plans);
    return all;
  }
  /// The bits of decoding, and no NaN.
  void expect_as_decoded(const Computed& computed, const Computed& decoded, const std::string& how) const {
    ASSERT_EQ(computed.logits.size(), decoded.logits.size()) << how;
    for (std::size_t position = 0; position < decoded.logits.size(); ++position) {
      const auto& logits = computed.logits[position];
      ASSERT_TRUE(same_bits(logits, decoded.logits[position]))
          << differing(logits, decoded.logits[position]) << " of " << logits.size() << " logits differ at position " << position
          << ", " << how;
      ASSERT_FALSE(std::isnan(logits[0])) << "at position " << position << ", " << how;
    }
    ASSERT_TRUE(same_bits(computed.kv, decoded.kv))
        << differing(computed.kv, decoded.kv) << " of " << decoded.kv.size() << " elements of the KV blocks differ, " << how;
  }

  std::optional<DecodeModel> model_;

 private:
  static std::size_t first_block(const PassBatch& batch, int sequence) {
    return static_cast<std::size_t>(sequence) * static_cast<std::size_t>(batch.blocks_each());
  }
  std::vector<PassPart> next_parts(const std::vector<Plan>& plans, const std::vector<Computed>& computed, int turn) const {
    std::vector<PassPart> parts;
    for (std::size_t i = 0; i < plans.size(); ++i) {
      const std::size_t sequence = (i + static_cast<std::size_t>(turn)) % plans.size();
      const auto begin = static_cast<int>(computed[sequence].logits.size());
      const int end = std::min(begin + plans[sequence].chunk, plans[sequence].length);
      PassPart part{static_cast<int>(sequence), begin, {}};
      for (int position = begin; position < end; ++position)
        part.tokens.push_back(token_of(GetParam().shape, part.sequence, position));
      if (!part.tokens.empty()) parts.push_back(std::move(part));
    }
    return parts;
  }
  std::vector<bf16> kv_of(const std::vector<bf16>& pool, const std::int32_t* blocks, int sequence,
                          const std::vector<Plan>& plans) const {
    const auto elements = static_cast<std::ptrdiff_t>(model_->step().kv.block_elements());
    std::vector<bf16> kv;
    for (int i = 0; i < divided_up(plans[static_cast<std::size_t>(sequence)].length, kv_block_positions); ++i) {
      const auto block = pool.begin() + blocks[i] * elements;
      kv.insert(kv.end(), block, block + elements);
    }
    return kv;
  }
};

TEST_P(CudaPass, HasTheBitsOfDecodingInChunksOfAnySize) {
  const int length = GetParam().length;
  const Computed decoded = decode(0, length);
  expect_as_decoded(pass({{length, length}}, 0)[0], decoded, "in one pass");
  for (const int chunk : chunk_sizes) {
    if (chunk >= length || (length > long_length && chunk < long_chunk_min) || HasFatalFailure()) continue;
    expect_as_decoded(pass({{length, chunk}}, 0)[0], decoded, "in chunks of " + std::to_string(chunk));
  }
}

TEST_P(CudaPass, HasTheBitsOfDecodingBesideOtherSequencesAndWhereverItsKvBlocksLie) {
  const int length = GetParam().length;
  const std::vector<std::vector<Plan>> batches = {
      {{length, length}, {length / 2 + 1, length}, {129, length}, {1, length}},  // one pass
      {{length, 64}, {129, 1}, {length / 2 + 1, 130}, {16, 3}, {length, 37}},    // some are in the middle when others begin
      {{17, 17}, {length, 200}, {128, 127}},
  };
  for (std::size_t i = 0; i < batches.size(); ++i) {
    const auto seed = static_cast<unsigned>(i + 1);
    const auto computed = pass(batches[i], seed);
    for (std::size_t sequence = 0; sequence < computed.size() && !HasFatalFailure(); ++sequence) {
      const Plan plan = batches[i][sequence];
      expect_as_decoded(computed[sequence], decode(static_cast<int>(sequence), plan.length),
                        "batch " + std::to_string(i) + ", sequence " + std::to_string(sequence) + " in chunks of " +
                            std::to_string(plan.chunk) + ", blocks shuffled by " + std::to_string(seed));
    }
  }
}

class CudaPassReference : public CudaPass {};

TEST_P(CudaPassReference, AgreesWithAModelInDouble) {
  const int length = GetParam().length;
  for (const int chunk : {length, 47}) {
    const Computed computed = pass({{length, chunk}}, 0)[0];
    DecodeReference reference(*model_);
    for (int position = 0; position < length; ++position) {
      const auto wanted = reference.next(token_of(GetParam().shape, 0, position));
      RelativeError error;
      for (std::size_t i = 0; i < wanted.size(); ++i)
        error.add(wanted[i], computed.logits[static_cast<std::size_t>(position)][i]);
      ASSERT_LT(error.value(), tolerance) << "at position " << position << ", in chunks of " << chunk;
    }
  }
}

// Heads of both widths, with 1, 3, 4 and 8 query heads to a KV head.
const ModelCase models[] = {
    {"Heads64", {2, 256, 512, 8, 2, 64, 512}, false, 300},
    {"Heads128", {2, 512, 1024, 16, 2, 128, 512}, true, 300},
    {"OneKvHead", {2, 192, 512, 3, 1, 64, 512}, false, 700},
    {"OddWidths", {2, 320, 160, 6, 2, 64, 200}, true, 150},
    {"Wide", {2, 2048, 1024, 8, 2, 128, 512}, true, 270},
    {"Heads64InEights", {2, 256, 512, 8, 1, 64, 512}, true, 400},
    {"Heads64Alone", {2, 256, 384, 4, 4, 64, 300}, true, 290},
    {"Heads128Alone", {2, 256, 384, 2, 2, 128, 300}, false, 520},
    {"Heads128InThrees", {2, 384, 512, 6, 2, 128, 512}, false, 260},
    // Of which decoding uses buffers in turn, and of the second one with all blocks.
    {"ManyLayers", {11, 256, 512, 8, 2, 64, 512}, false, 150},
    {"WideAndDeep", {7, 2048, 4096, 16, 4, 128, 512}, true, 150},
};
std::string name_of(const testing::TestParamInfo<ModelCase>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Models, CudaPass, testing::ValuesIn(models), name_of);
INSTANTIATE_TEST_SUITE_P(Models, CudaPassReference, testing::Values(models[0]), name_of);

}  // namespace
}  // namespace troupe::kernels::cuda
