#include "kernels/attention.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "tests/reference/attention.hpp"
#include "tests/support/kernel_cases.hpp"

namespace troupe {
namespace {

struct Shape {
  std::int32_t kv_heads = 1;
  std::int32_t group = 3;
  std::int32_t head_dim = 64;
};

/// Where a sequence's rows begin, and how many they are.
struct Stretch {
  std::int32_t first_position;
  std::int32_t rows;
};

/// A pool in which the sequences' blocks lie in random order. What no query may see is NaN: later positions, other layers.
class Case {
 public:
  Case(const Shape& shape, const std::vector<Stretch>& stretches, std::uint64_t seed, float scale = 1)
      : layout_{.layers = 2, .kv_heads = shape.kv_heads, .head_dim = shape.head_dim}, heads_(shape.kv_heads * shape.group) {
    Random random(seed);
    std::size_t blocks = 0;
    for (const Stretch& stretch : stretches) {
      rows_ += stretch.rows;
      blocks += blocks_of(stretch);
    }
    query_ = tests::random_floats(random, static_cast<std::size_t>(rows_) * stride(), scale);
    pool_.assign(blocks * layout_.block_elements(), std::numeric_limits<float>::quiet_NaN());
    std::vector<std::int32_t> order(blocks);
    std::iota(order.begin(), order.end(), 0);
    for (std::size_t i = blocks; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    blocks_ = std::move(order);
    std::size_t used = 0;
    std::int32_t row = 0;
    for (const Stretch& stretch : stretches) {
      sequences_.push_back({row, stretch.rows, stretch.first_position, blocks_.data() + used});
      for (std::int32_t p = 0; p < stretch.first_position + stretch.rows; ++p) fill_position(random, sequences_.back(), p);
      used += blocks_of(stretch);
      row += stretch.rows;
    }
  }
  Case(const Case&) = delete;
  Case& operator=(const Case&) = delete;

  std::vector<float> run(kernels::CpuDevice& device) const { return run(device, sequences_); }

  /// Only the given rows; the others' outputs stay zero.
  std::vector<float> run(kernels::CpuDevice& device, std::span<const kernels::SequenceRows> sequences) const {
    std::vector<float> output(static_cast<std::size_t>(rows_) * width());
    run_into(device, sequences, output);
    return output;
  }
  void run_into(kernels::CpuDevice& device, std::span<const kernels::SequenceRows> sequences,
                std::vector<float>& output) const {
    kernels::attention(device.stream(), {.query = query_.data(),
                                         .output = output.data(),
                                         .pool = pool_.data(),
                                         .layout = layout_,
                                         .sequences = sequences,
                                         .query_stride = static_cast<std::int32_t>(stride()),
                                         .layer = 1,
                                         .heads = heads_,
                                         .scale = scale()});
  }

  const std::vector<kernels::SequenceRows>& sequences() const { return sequences_; }

  void expect_close_to_truth(std::span<const float> output) const {
    for (const kernels::SequenceRows& sequence : sequences_) {
      for (std::int32_t i = 0; i < sequence.rows; ++i) {
        for (std::int32_t head = 0; head < heads_; ++head) expect_head_close(sequence, i, head, output);
      }
    }
  }

 private:
  std::size_t dim() const { return static_cast<std::size_t>(layout_.head_dim); }
  std::size_t width() const { return static_cast<std::size_t>(heads_) * dim(); }
  /// Queries lie among keys and values, as the QKV product leaves them.
  std::size_t stride() const { return width() + 2 * static_cast<std::size_t>(layout_.kv_heads) * dim(); }
  float scale() const { return 1 / std::sqrt(static_cast<float>(layout_.head_dim)); }
  static std::size_t blocks_of(const Stretch& stretch) {
    return static_cast<std::size_t>(stretch.first_position + stretch.rows + 15) / 16;
  }

  std::size_t at(const kernels::SequenceRows& sequence, kernels::KeyOrValue which, int kv_head, std::int32_t position) const {
    return static_cast<std::size_t>(sequence.blocks[position / 16]) * layout_.block_elements() +
           layout_.offset(1, which, kv_head) + static_cast<std::size_t>(position % 16) * dim();
  }

  void fill_position(Random& random, const kernels::SequenceRows& sequence, std::int32_t position) {
    for (int kv_head = 0; kv_head < layout_.kv_heads; ++kv_head) {
      for (const auto which : {kernels::KeyOrValue::key, kernels::KeyOrValue::value}) {
        const std::vector<float> values = tests::random_floats(random, dim(), 3);
        std::copy(values.begin(), values.end(),
                  pool_.begin() + static_cast<std::ptrdiff_t>(at(sequence, which, kv_head, position)));
      }
    }
  }

  void expect_head_close(const kernels::SequenceRows& sequence, std::int32_t i, std::int32_t head,
                         std::span<const float> output) const {
    const int kv_head = head * layout_.kv_heads / heads_;
    const auto row = static_cast<std::size_t>(sequence.first_row + i);
    const std::span<const float> query(query_.data() + row * stride() + static_cast<std::size_t>(head) * dim(), dim());
    const std::int32_t keys = sequence.first_position + i + 1;
    std::vector<const float*> key(static_cast<std::size_t>(keys));
    std::vector<const float*> value(key.size());
    double product_max = 0;
    for (std::int32_t p = 0; p < keys; ++p) {
      const auto j = static_cast<std::size_t>(p);
      key[j] = pool_.data() + at(sequence, kernels::KeyOrValue::key, kv_head, p);
      value[j] = pool_.data() + at(sequence, kernels::KeyOrValue::value, kv_head, p);
      double product = 0;
      for (std::size_t d = 0; d < dim(); ++d) product += std::fabs(double{query[d]} * key[j][d]);
      product_max = std::max(product_max, product * scale());
    }
    const std::vector<double> truth = reference::attention(query, key, value, scale());
    // A score is off by its dot product's roundings, dim / 16 + 4, by the scale's and by that of its distance from the maximum;
    // exp makes that relative in a weight, and it counts once in the sum and once in the output. Then exp itself, up to 256
    // sums in a span, 16 + 4 in its weights' sum, four roundings a merge, and the division. Values are below 3.
    const double score = (static_cast<double>(dim()) / 16 + 4 + 1 + 2) * product_max;
    const double roundings = 2 * score + 2 + 256 + 20 + 4 * (keys / 256.0) + 1;
    for (std::size_t d = 0; d < dim(); ++d) {
      ASSERT_NEAR(output[(row * static_cast<std::size_t>(heads_) + static_cast<std::size_t>(head)) * dim() + d], truth[d],
                  3 * roundings * tests::unit_roundoff)
          << "row " << i << " head " << head << " element " << d << " with " << keys << " keys";
    }
  }

  kernels::KvLayout layout_;
  std::int32_t heads_;
  std::int32_t rows_ = 0;
  std::vector<float> query_;
  std::vector<float> pool_;
  std::vector<std::int32_t> blocks_;
  std::vector<kernels::SequenceRows> sequences_;
};

/// Every edge of a block, a chunk of blocks and a span, in prefill and decode.
const std::vector<Stretch> edges = {{0, 1},   {0, 18},  {15, 1},  {15, 3},  {16, 1},  {17, 1}, {60, 9},
                                    {254, 4}, {255, 1}, {256, 1}, {257, 1}, {510, 5}, {700, 1}};

TEST(Attention, IsCloseToTheTruthInDouble) {
  const auto device = tests::cpu_device(kernels::best_instruction_set(), 2);
  std::uint64_t seed = 0;
  for (const Shape& shape :
       {Shape{1, 3, 64}, Shape{2, 2, 64}, Shape{2, 4, 128}, Shape{3, 1, 16}, Shape{1, 30, 48}, Shape{1, 2, 256}}) {
    const Case c(shape, edges, ++seed);
    c.expect_close_to_truth(c.run(*device));
  }
}

TEST(Attention, WithOneKeyIsThatKeysValue) {
  const auto device = tests::cpu_device(kernels::best_instruction_set(), 1);
  const Case c({1, 1, 16}, {{0, 1}}, 3);
  for (const float value : c.run(*device)) EXPECT_FALSE(std::isnan(value));
  c.expect_close_to_truth(c.run(*device));
}

TEST(Attention, StaysExactWhereScoresAreFarApart) {
  const auto device = tests::cpu_device(kernels::best_instruction_set(), 1);
  const Case c({1, 3, 64}, {{0, 300}, {520, 2}}, 4, 40);  // weights run from 1 through denormals to 0
  c.expect_close_to_truth(c.run(*device));
}

TEST(Attention, GivesTheSameBitsRowByRowInChunksAndAllAtOnce) {
  const auto device = tests::cpu_device(kernels::best_instruction_set(), 1);
  Random random(7);
  for (const Shape& shape : {Shape{1, 3, 64}, Shape{2, 5, 80}, Shape{2, 1, 32}}) {
    const Case c(shape, {{0, 530}, {240, 33}, {1000, 1}}, random.next());
    const std::vector<float> all = c.run(*device);
    for (const std::int32_t chunk_max : {1, 7, 64}) {
      std::vector<float> output(all.size());
      for (const kernels::SequenceRows& sequence : c.sequences()) {
        for (std::int32_t first = 0; first < sequence.rows;) {
          const auto rows =
              static_cast<std::int32_t>(std::min<std::int64_t>(random.between(1, chunk_max), sequence.rows - first));
          const kernels::SequenceRows chunk{sequence.first_row + first, rows, sequence.first_position + first, sequence.blocks};
          c.run_into(*device, std::span(&chunk, 1), output);
          first += rows;
        }
      }
      EXPECT_TRUE(tests::same_bits(output, all)) << "chunks of up to " << chunk_max;
    }
  }
}

TEST(Attention, GivesTheSameBitsOnAnyNumberOfThreads) {
  const auto one = tests::cpu_device(kernels::best_instruction_set(), 1);
  std::uint64_t seed = 20;
  // Many ranges of rows; one row over many spans, which threads share; a few rows; a batch of single rows.
  for (const std::vector<Stretch>& stretches : std::vector<std::vector<Stretch>>{
           {{0, 400}}, {{3000, 1}}, {{2047, 1}}, {{1500, 4}}, {{900, 1}, {17, 1}, {600, 1}, {0, 1}}, edges}) {
    for (const Shape& shape : {Shape{1, 3, 64}, Shape{2, 26, 64}}) {
      const Case c(shape, stretches, ++seed);
      const std::vector<float> expected = c.run(*one);
      for (const int threads : {2, 3, 8}) {
        const auto device = tests::cpu_device(kernels::best_instruction_set(), threads);
        EXPECT_TRUE(tests::same_bits(c.run(*device), expected)) << threads << " threads, case " << seed;
      }
    }
  }
}

TEST(Attention, OfASequenceDoesNotDependOnItsNeighbours) {
  const auto device = tests::cpu_device(kernels::best_instruction_set(), 2);
  const Case c({2, 3, 64}, edges, 31);
  const std::vector<float> all = c.run(*device);
  std::vector<float> alone(all.size());
  for (std::size_t i = edges.size(); i-- > 0;) c.run_into(*device, std::span(&c.sequences()[i], 1), alone);
  EXPECT_TRUE(tests::same_bits(alone, all));
}

TEST(AttentionDeathTest, RefusesShapesThatTheLanesDoNotHold) {
  const auto device = tests::cpu_device(kernels::InstructionSet::plain, 1);
  EXPECT_DEATH(Case({1, 1, 272}, {{0, 1}}, 1).run(*device), "attention_head_dim_max");
  EXPECT_DEATH(Case({1, 1, 24}, {{0, 1}}, 1).run(*device), "multiple of 16");
}

class AttentionBits : public tests::AcrossInstructionSets {};

TEST_P(AttentionBits, AreThoseOfPlainLanes) {
  const auto plain = tests::cpu_device(kernels::InstructionSet::plain, 1);
  const auto device = tests::cpu_device(GetParam(), 2);
  std::uint64_t seed = 40;
  for (const std::int32_t head_dim : {16, 32, 48, 64, 80, 96, 112, 128, 256}) {
    for (const std::int32_t group : {1, 2, 3, 4, 7}) {
      const Case c({1, group, head_dim}, {{0, 20}, {255, 3}, {511, 2}}, ++seed);
      EXPECT_TRUE(tests::same_bits(c.run(*device), c.run(*plain))) << head_dim << " " << group;
    }
  }
  const Case edge_case({2, 3, 64}, edges, 99, 30);
  EXPECT_TRUE(tests::same_bits(edge_case.run(*device), edge_case.run(*plain)));
  const Case long_case({1, 3, 64}, {{5000, 1}}, 100);
  EXPECT_TRUE(tests::same_bits(long_case.run(*device), long_case.run(*plain)));
}

TROUPE_ACROSS_INSTRUCTION_SETS(AttentionBits);

}  // namespace
}  // namespace troupe
