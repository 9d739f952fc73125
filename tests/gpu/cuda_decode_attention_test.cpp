// Attention of decoding rows on a GPU: each row has the bits of prefill attention, whatever its batch, and agrees with doubles.
// Where nobody may read, there is NaN or a block that is not there.
#include <random>

#include "tests/gpu/attention_rows.hpp"
#include "tests/gpu/hopper_test.hpp"
#include "tests/gpu/timing.hpp"

namespace troupe::kernels::cuda {
namespace {

constexpr int layers = 2;
constexpr int layer = 1;
/// Of an element: queries, keys, values, weights and results have the eight bits of bf16.
constexpr double tolerance = 0.01;
constexpr double relative_tolerance = 0.01;

struct DecodeCase {
  const char* name;
  AttentionShape shape;
  std::vector<int> positions;  ///< of the rows
  int entries;                 ///< that blocks of the GPU can leave to each other; -1: as many as can be needed
};

int spans_of(const std::vector<int>& positions) {
  int spans = 0;
  for (const int position : positions) spans += divided_up(position + 1, 128);
  return spans;
}
int blocks_of(const std::vector<int>& positions) {
  int blocks = 3;
  for (const int position : positions) blocks += divided_up(position + 1, kv_block_positions);
  return blocks;
}
AttentionRows rows_for(const AttentionShape& shape, const std::vector<int>& positions, int entries) {
  const int longest = *std::max_element(positions.begin(), positions.end()) + 1;
  return {shape, static_cast<int>(positions.size()), blocks_of(positions), longest,
          entries < 0 ? spans_of(positions) * shape.kv_heads : entries};
}

/// Nothing is said if all bits are equal.
std::string difference(const AttentionRows& rows, const std::vector<bf16>& wanted, const std::vector<bf16>& got) {
  const auto width = static_cast<std::size_t>(rows.shape().width());
  if (same_bits(wanted, got)) return "";
  std::string text = std::to_string(differing(wanted, got)) + " of " + std::to_string(wanted.size()) + " elements differ:";
  int said = 0;
  for (std::size_t i = 0; i < rows.rows().size() && said < 4; ++i) {
    const DecodeRow& row = rows.rows()[i];
    const std::size_t begin = static_cast<std::size_t>(row.row) * width;
    for (std::size_t at = begin; at < begin + width; ++at) {
      if (std::memcmp(&wanted[at], &got[at], sizeof(bf16)) == 0) continue;
      text += "\n  row " + std::to_string(i) + " of " + std::to_string(rows.rows().size()) + " at position " +
              std::to_string(row.position) + ", head " + std::to_string((at - begin) / rows.shape().head_dim) + " dim " +
              std::to_string((at - begin) % rows.shape().head_dim) + ": " + std::to_string(__bfloat162float(got[at])) +
              " instead of " + std::to_string(__bfloat162float(wanted[at]));
      ++said;
      break;
    }
  }
  return text;
}

class CudaDecodeAttention : public OnHopper {
 protected:
  static std::vector<bf16> prefilled(AttentionRows& rows) {
    rows.clear_output();
    rows.prefill(nullptr, layer);
    return rows.output();
  }
  static std::vector<bf16> attended(AttentionRows& rows) {
    rows.clear_output();
    rows.plan(nullptr);
    rows.attend(nullptr, layer);
    return rows.output();
  }
};
class CudaDecodeAttentionOf : public CudaDecodeAttention, public testing::WithParamInterface<DecodeCase> {};

TEST_P(CudaDecodeAttentionOf, HasTheBitsOfPrefill) {
  const DecodeCase& each = GetParam();
  AttentionRows rows = rows_for(each.shape, each.positions, each.entries);
  rows.set(each.positions, 1);
  const auto wanted = prefilled(rows);
  EXPECT_EQ(difference(rows, wanted, attended(rows)), "");
  EXPECT_EQ(difference(rows, wanted, attended(rows)), "") << "the second time";
}

TEST_P(CudaDecodeAttentionOf, AgreesWithDoubles) {
  const DecodeCase& each = GetParam();
  AttentionRows rows = rows_for(each.shape, each.positions, each.entries);
  rows.set(each.positions, 2);
  const auto output = attended(rows);
  constexpr std::size_t rows_compared = 6;
  for (std::size_t i = 0; i < rows.rows().size(); i += rows.rows().size() / rows_compared + 1) {
    const DecodeRow& row = rows.rows()[i];
    if (row.position < 0) continue;
    const int head = static_cast<int>(i) * 5 % each.shape.heads();
    const auto wanted = rows.exact(row, layer, head);
    for (std::size_t dim = 0; dim < wanted.size(); ++dim) {
      const auto at =
          (static_cast<std::size_t>(row.row) * static_cast<std::size_t>(each.shape.heads()) + static_cast<std::size_t>(head)) *
              wanted.size() +
          dim;
      const auto got = static_cast<double>(__bfloat162float(output[at]));
      ASSERT_FALSE(!(std::abs(got - wanted[dim]) <= tolerance + relative_tolerance * std::abs(wanted[dim])))
          << got << " instead of " << wanted[dim] << ", row " << i << " at position " << row.position << ", head " << head
          << ", dim " << dim;
    }
  }
}

std::vector<int> repeated(int count, int position) { return std::vector<int>(static_cast<std::size_t>(count), position); }
std::vector<int> with(std::vector<int> positions, std::vector<int> more) {
  positions.insert(positions.end(), more.begin(), more.end());
  return positions;
}

const DecodeCase cases[] = {
    {"OneToken", {128, 8, 4, layers}, {0}, -1},
    {"OneToken64", {64, 1, 3, layers}, {0}, -1},
    {"EdgesOfBlocksAndSpans", {128, 2, 4, layers}, {0, 14, 15, 16, 126, 127, 128, 129, 255, 256, 1023, 1024}, -1},
    {"EdgesOfBlocksAndSpans64", {64, 2, 1, layers}, {0, 14, 15, 16, 126, 127, 128, 129, 255, 256, 1023, 1024}, -1},
    {"OneLong", {128, 8, 4, layers}, {30000}, -1},
    {"OneLongOfOneKvHead", {128, 1, 16, layers}, {70000}, -1},
    {"OneLong64", {64, 4, 5, layers}, {20011}, -1},
    {"SomeLong", {128, 4, 8, layers}, {9000, 4001, 6543, 127, 8191, 2}, -1},
    {"SomeLongWithLittleRoom", {128, 4, 8, layers}, {9000, 4001, 6543, 127, 8191, 2}, 100},
    {"SomeLongWithoutRoom", {128, 4, 8, layers}, {9000, 4001, 6543, 127, 8191, 2}, 0},
    {"OneLongBesideMany", {128, 4, 8, layers}, with(repeated(150, 99), {40000}), -1},
    {"CutRunsAreResumed", {128, 4, 8, layers}, repeated(150, 1500), -1},
    {"CutRunsAreResumed64", {64, 8, 2, layers}, repeated(70, 2000), -1},
    {"ManyShort64", {64, 2, 3, layers}, repeated(700, 40), -1},
    {"MissingRows", {128, 2, 2, layers}, {-1, -1, 300, -1, 7, 5000, -1, -1}, -1},
    {"MissingRows64", {64, 1, 7, layers}, {900, -1, -1, 10, -1}, -1},
    {"NoRows", {64, 1, 7, layers}, {-1, -1, -1}, -1},
};
std::string name_of(const testing::TestParamInfo<DecodeCase>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Batches, CudaDecodeAttentionOf, testing::ValuesIn(cases), name_of);

/// Few rows or many, of lengths that differ much or little.
std::vector<int> random_positions(std::mt19937& random) {
  const auto below = [&](int bound) { return static_cast<int>(random() % static_cast<unsigned>(bound)); };
  const int count = below(3) == 0 ? 1 + below(1024) : 1 + below(40);
  const int longest = count > 100 ? 600 : 6000;
  std::vector<int> positions;
  for (int i = 0; i < count; ++i) positions.push_back(below(1 + below(longest)));
  for (int i = below(3); i > 0; --i) positions[static_cast<std::size_t>(below(count))] = below(20000);
  for (int i = below(4); i > 0; --i) positions[static_cast<std::size_t>(below(count))] = -1;
  return positions;
}

TEST_F(CudaDecodeAttention, HasTheBitsOfPrefillInRandomBatches) {
  constexpr int groups[] = {1, 2, 3, 4, 5, 7, 8, 16};
  constexpr int kv_heads[] = {1, 2, 4, 8};
  for (unsigned seed = 1; seed <= 40; ++seed) {
    std::mt19937 random(seed);
    const AttentionShape shape{random() % 2 == 0 ? 64 : 128, kv_heads[random() % 4], groups[random() % 8], layers};
    const auto positions = random_positions(random);
    const int needed = spans_of(positions) * shape.kv_heads;
    const int entries = random() % 4 == 0 ? static_cast<int>(random() % static_cast<unsigned>(needed + 1)) : needed;
    AttentionRows rows = rows_for(shape, positions, entries);
    rows.set(positions, seed);
    ASSERT_EQ(difference(rows, prefilled(rows), attended(rows)), "")
        << "seed " << seed << ": " << positions.size() << " rows, heads of " << shape.head_dim << ", " << shape.kv_heads
        << " KV heads of " << shape.group << ", " << entries << " of " << needed << " entries";
  }
}

TEST_F(CudaDecodeAttention, OneGraphServesAnyContexts) {
  const AttentionShape shape{128, 4, 8, layers};
  constexpr int rows_captured = 20;
  AttentionRows rows(shape, rows_captured, 8000, 30000, 3000);
  rows.set(repeated(rows_captured, 0), 1);
  const Stream stream;
  rows.plan(stream.get());
  rows.attend(stream.get(), layer);  // what is loaded at the first use is not loaded while capturing
  check_cuda(cudaStreamSynchronize(stream.get()));
  const Graph graph(stream, [&](cudaStream_t captured) {
    rows.plan(captured);
    for (int i = 0; i <= layer; ++i) rows.attend(captured, i);
  });
  for (unsigned seed = 1; seed <= 12; ++seed) {
    std::mt19937 random(seed);
    std::vector<int> positions;
    for (int i = 0; i < rows_captured; ++i) positions.push_back(static_cast<int>(random() % (i == 0 ? 29999U : 100U * seed)));
    rows.set(positions, seed);
    const auto wanted = prefilled(rows);
    rows.clear_output();
    graph.launch(stream);
    ASSERT_EQ(difference(rows, wanted, rows.output()), "") << "seed " << seed;
  }
}

TEST_F(CudaDecodeAttention, RefusesWhatItIsNotFor) {
  DecodeAttention arguments;
  arguments.heads = 8;
  arguments.kv = {nullptr, 1, 2, 96};
  arguments.row_count = 1;
  EXPECT_EQ(decode_attention(nullptr, arguments), cudaErrorInvalidValue) << "heads of 96";
  arguments.kv.head_dim = 64;
  arguments.row_count = decode_attention_rows_max + 1;
  EXPECT_EQ(plan_decode_attention(nullptr, arguments), cudaErrorInvalidValue) << "too many rows";
  arguments.row_count = 1;
  arguments.heads = 34;
  EXPECT_EQ(decode_attention(nullptr, arguments), cudaErrorInvalidValue) << "17 query heads to a KV head";
  arguments.heads = 7;
  EXPECT_EQ(plan_decode_attention(nullptr, arguments), cudaErrorInvalidValue) << "seven query heads of two KV heads";
}

}  // namespace
}  // namespace troupe::kernels::cuda
