#include "kernels/rope_append.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "tests/reference/rms_norm.hpp"
#include "tests/reference/rope.hpp"
#include "tests/support/kernel_cases.hpp"

namespace troupe {
namespace {

/// Two sequences that begin at different positions of two different chains of blocks.
struct Case {
  static constexpr std::int32_t positions = 80;
  static constexpr int pool_blocks = 12;
  static constexpr float epsilon = 1e-6F;

  kernels::KvLayout layout;
  std::int32_t heads;
  bool with_norms;
  std::vector<float> qkv, query_norm, key_norm, cosine, sine;
  std::vector<std::int32_t> first_blocks = {7, 3, 9, 0, 5};
  std::vector<std::int32_t> second_blocks = {1, 8};
  std::vector<kernels::SequenceRows> sequences;

  Case(std::int32_t head_dim, bool norms)
      : layout{.layers = 3, .kv_heads = 2, .head_dim = head_dim}, heads(6), with_norms(norms) {
    Random random(static_cast<std::uint64_t>(head_dim));
    sequences = {{.first_row = 0, .rows = 35, .first_position = 14, .blocks = first_blocks.data()},
                 {.first_row = 35, .rows = 2, .first_position = 15, .blocks = second_blocks.data()}};
    qkv = tests::random_floats(random, 37 * width(), 3);
    query_norm = tests::random_floats(random, dim(), 2);
    key_norm = tests::random_floats(random, dim(), 2);
    for (std::int32_t i = 0; i < positions * head_dim / 2; ++i) {
      cosine.push_back(std::cos(0.1F * static_cast<float>(i)));
      sine.push_back(std::sin(0.1F * static_cast<float>(i)));
    }
  }

  std::size_t dim() const { return static_cast<std::size_t>(layout.head_dim); }
  std::size_t width() const { return static_cast<std::size_t>(heads + 2 * layout.kv_heads) * dim(); }

  struct Result {
    std::vector<float> qkv, pool;
  };
  Result fresh() const { return {qkv, std::vector<float>(pool_blocks * layout.block_elements())}; }

  void append(kernels::CpuDevice& device, std::span<const kernels::SequenceRows> rows, Result& result) const {
    kernels::rope_append(device.stream(), {.qkv = result.qkv.data(),
                                           .query_norm = with_norms ? query_norm.data() : nullptr,
                                           .key_norm = with_norms ? key_norm.data() : nullptr,
                                           .cosine = cosine.data(),
                                           .sine = sine.data(),
                                           .pool = result.pool.data(),
                                           .layout = layout,
                                           .sequences = rows,
                                           .layer = 1,
                                           .heads = heads,
                                           .epsilon = epsilon});
  }
  Result run(kernels::CpuDevice& device) const {
    Result result = fresh();
    append(device, sequences, result);
    return result;
  }
};

/// The queries of all rows: what is left of qkv that anyone may read.
std::vector<float> queries(const Case& c, const Case::Result& result) {
  std::vector<float> all;
  for (std::size_t row = 0; row < 37; ++row) {
    const float* start = result.qkv.data() + row * c.width();
    all.insert(all.end(), start, start + static_cast<std::size_t>(c.heads) * c.dim());
  }
  return all;
}

void expect_head(const Case& c, const float* before, const std::vector<float>& norm, std::int32_t position,
                 const float* after) {
  std::vector<double> head(before, before + c.dim());
  if (c.with_norms) head = reference::rms_norm(std::span(before, c.dim()), norm, Case::epsilon);
  const std::size_t half = c.dim() / 2;
  const std::size_t angles = static_cast<std::size_t>(position) * half;
  const std::vector<double> truth =
      reference::rope(head, std::span(c.cosine).subspan(angles, half), std::span(c.sine).subspan(angles, half));
  for (std::size_t d = 0; d < c.dim(); ++d) {
    const double size = std::fabs(head[d % half]) + std::fabs(head[d % half + half]);
    // Rotation rounds twice; a norm head_dim / 32 + 8 times before.
    const double roundings = 2 + (c.with_norms ? static_cast<double>(c.dim()) / 32 + 8 : 0);
    ASSERT_NEAR(after[d], truth[d], size * roundings * tests::unit_roundoff) << "element " << d << " at " << position;
  }
}

TEST(RopeAppend, RotatesQueriesAndWritesKeysAndValuesWhereTheirPositionsSay) {
  const auto device = tests::cpu_device(kernels::best_instruction_set(), 1);
  for (const std::int32_t head_dim : {16, 48, 64, 128, 256}) {
    for (const bool norms : {false, true}) {
      const Case c(head_dim, norms);
      const Case::Result result = c.run(*device);
      for (const kernels::SequenceRows& sequence : c.sequences) {
        for (std::int32_t i = 0; i < sequence.rows; ++i) {
          const std::int32_t position = sequence.first_position + i;
          const std::size_t row = static_cast<std::size_t>(sequence.first_row + i) * c.width();
          for (std::size_t head = 0; head < static_cast<std::size_t>(c.heads); ++head) {
            const std::size_t at = row + head * c.dim();
            expect_head(c, c.qkv.data() + at, c.query_norm, position, result.qkv.data() + at);
          }
          const float* block =
              result.pool.data() + static_cast<std::size_t>(sequence.blocks[position / 16]) * c.layout.block_elements();
          for (int head = 0; head < c.layout.kv_heads; ++head) {
            const std::size_t slot = static_cast<std::size_t>(position % 16) * c.dim();
            const float* key = block + c.layout.offset(1, kernels::KeyOrValue::key, head) + slot;
            const float* value = block + c.layout.offset(1, kernels::KeyOrValue::value, head) + slot;
            const std::size_t at = row + static_cast<std::size_t>(c.heads + head) * c.dim();
            expect_head(c, c.qkv.data() + at, c.key_norm, position, key);
            const float* given = c.qkv.data() + at + static_cast<std::size_t>(c.layout.kv_heads) * c.dim();
            ASSERT_TRUE(tests::same_bits(std::span(value, c.dim()), std::span(given, c.dim())));
          }
        }
      }
    }
  }
}

TEST(RopeAppend, WritesNothingElse) {
  const auto device = tests::cpu_device(kernels::best_instruction_set(), 2);
  const Case c(64, true);
  const Case::Result result = c.run(*device);
  std::size_t written = 0;
  for (const float value : result.pool) written += value != 0 ? 1U : 0U;
  EXPECT_EQ(written, std::size_t{37} * 2 * 2 * 64) << "rows, keys and values, KV heads, elements";
}

TEST(RopeAppend, GivesTheSameBitsRowByRowAndOnAnyNumberOfThreads) {
  const auto one = tests::cpu_device(kernels::best_instruction_set(), 1);
  const auto four = tests::cpu_device(kernels::best_instruction_set(), 4);
  const Case c(128, true);
  const Case::Result all = c.run(*one);
  const Case::Result threaded = c.run(*four);
  EXPECT_TRUE(tests::same_bits(queries(c, threaded), queries(c, all)));
  EXPECT_TRUE(tests::same_bits(threaded.pool, all.pool));
  Case::Result alone = c.fresh();
  for (const kernels::SequenceRows& sequence : c.sequences) {
    for (std::int32_t i = 0; i < sequence.rows; ++i) {
      const kernels::SequenceRows row{sequence.first_row + i, 1, sequence.first_position + i, sequence.blocks};
      c.append(*one, std::span(&row, 1), alone);
    }
  }
  EXPECT_TRUE(tests::same_bits(queries(c, alone), queries(c, all)));
  EXPECT_TRUE(tests::same_bits(alone.pool, all.pool));
}

class RopeAppendBits : public tests::AcrossInstructionSets {};

TEST_P(RopeAppendBits, AreThoseOfPlainLanes) {
  const auto plain = tests::cpu_device(kernels::InstructionSet::plain, 1);
  const auto device = tests::cpu_device(GetParam(), 2);
  for (const std::int32_t head_dim : {16, 32, 48, 64, 80, 112, 128, 256}) {
    for (const bool norms : {false, true}) {
      const Case c(head_dim, norms);
      const Case::Result expected = c.run(*plain);
      const Case::Result actual = c.run(*device);
      EXPECT_TRUE(tests::same_bits(queries(c, actual), queries(c, expected))) << head_dim;
      EXPECT_TRUE(tests::same_bits(actual.pool, expected.pool)) << head_dim;
    }
  }
}

TROUPE_ACROSS_INSTRUCTION_SETS(RopeAppendBits);

}  // namespace
}  // namespace troupe
