// Prefill attention on a GPU against plain loops in double. What nobody may read is NaN or a block that is not there; that bits
// are those of decoding is for cuda_pass_test.cpp.
#include <numeric>
#include <random>

#include "kernels/cuda/prefill_attention.hpp"
#include "tests/gpu/hopper_test.hpp"
#include "tests/gpu/noise.hpp"
#include "tests/gpu/products.hpp"

namespace troupe::kernels::cuda {
namespace {

constexpr int layers = 2;
constexpr int layer = 1;
constexpr std::int32_t no_block = 1 << 28;
constexpr int untouched = 0x77;  ///< each byte of the output before
/// Of an element: queries, keys, values, weights and results have the eight bits of bf16.
constexpr double tolerance = 0.01;
constexpr double relative_tolerance = 0.01;

std::size_t product_of(int left, int right) { return static_cast<std::size_t>(left) * static_cast<std::size_t>(right); }

struct Part {
  int first_position;
  int rows;
  int positions() const { return first_position + rows; }
  int blocks() const { return divided_up(positions(), kv_block_positions); }
};
struct AttentionCase {
  int head_dim;
  int group;
  int kv_heads;
  std::vector<Part> parts;  ///< one of each sequence
  int heads() const { return group * kv_heads; }
  int width() const { return heads() * head_dim; }
  int rows() const {
    int rows = 0;
    for (const Part& part : parts) rows += part.rows;
    return rows;
  }
};

/// [count][width] of random bf16, as seeds of sequences differ.
std::vector<bf16> random_numbers(int count, int width, std::uint32_t seed, float scale) {
  std::vector<bf16> numbers;
  for (std::size_t i = 0; i < product_of(count, width); ++i) numbers.push_back(__float2bfloat16(noise(i, seed) * scale));
  return numbers;
}

struct Sequence {
  std::vector<bf16> queries;  ///< [rows, heads, head_dim]
  std::vector<bf16> keys;     ///< [positions, kv_heads, head_dim]
  std::vector<bf16> values;
};

class CudaAttention : public OnHopper, public testing::WithParamInterface<AttentionCase> {
 protected:
  float scale() const { return 1 / std::sqrt(static_cast<float>(GetParam().head_dim)); }
  std::vector<Sequence> random_sequences() const {
    std::vector<Sequence> sequences;
    for (const Part& part : GetParam().parts) {
      const auto seed = static_cast<std::uint32_t>(3 * sequences.size());
      const int kv_width = GetParam().kv_heads * GetParam().head_dim;
      sequences.push_back({random_numbers(part.rows, GetParam().width(), seed, 3),
                           random_numbers(part.positions(), kv_width, seed + 1, 2),
                           random_numbers(part.positions(), kv_width, seed + 2, 2)});
    }
    return sequences;
  }
  /// The rows of all sequences, [rows, heads, head_dim].
  std::vector<bf16> attend(const std::vector<Sequence>& sequences) const;
  /// Of one row and head in double, [head_dim].
  std::vector<double> exact(const Sequence& sequence, const Part& part, int row, int head) const;

 private:
  /// Expects nothing to be written after the last row.
  std::vector<bf16> plain_rows(const Rows& attended) const;
  void fill_blocks(const Sequence& sequence, const Part& part, const std::int32_t* blocks, const KvTiles& image) const {
    const int head_dim = GetParam().head_dim;
    std::size_t from = 0;
    for (int position = 0; position < part.positions(); ++position)
      for (int head = 0; head < GetParam().kv_heads; ++head)
        for (int dim = 0; dim < head_dim; ++dim, ++from) {
          const std::int32_t block = blocks[position / kv_block_positions];
          image.head(block, layer, 0, head)[KvTiles::place(position, dim)] = sequence.keys[from];
          image.head(block, layer, 1, head)[KvTiles::place(position, dim)] = sequence.values[from];
        }
  }
};

std::vector<bf16> CudaAttention::attend(const std::vector<Sequence>& sequences) const {
  const AttentionCase& all = GetParam();
  int block_count = 3;
  int stride = 0;
  for (const Part& part : all.parts) {
    block_count += part.blocks();
    stride = std::max(stride, part.blocks());
  }
  std::vector<std::int32_t> order(static_cast<std::size_t>(block_count));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(1));
  KvTiles kv{nullptr, layers, all.kv_heads, all.head_dim};
  std::vector<bf16> image(static_cast<std::size_t>(block_count) * kv.block_elements(), __float2bfloat16(NAN));
  kv.data = image.data();
  std::vector<PrefillSequence> described;
  std::vector<bf16> queries;
  std::vector<std::int32_t> blocks;
  std::int32_t first_row = 0;
  for (std::size_t i = 0; i < all.parts.size(); ++i) {
    const Part& part = all.parts[i];
    blocks.resize(i * static_cast<std::size_t>(stride), no_block);
    blocks.insert(blocks.end(), order.end() - part.blocks(), order.end());
    order.resize(order.size() - static_cast<std::size_t>(part.blocks()));
    fill_blocks(sequences[i], part, &blocks[i * static_cast<std::size_t>(stride)], kv);
    queries.insert(queries.end(), sequences[i].queries.begin(), sequences[i].queries.end());
    described.push_back({first_row, part.rows, part.first_position});
    first_row += part.rows;
  }
  blocks.resize(all.parts.size() * static_cast<std::size_t>(stride), no_block);

  const DeviceArray<bf16> kv_memory(image);
  const DeviceArray<bf16> query_memory(queries);
  const DeviceArray<std::int32_t> block_memory(blocks);
  const DeviceArray<PrefillSequence> sequence_memory(described);
  const DeviceArray<PrefillTile> tiles(prefill_tiles(described, all.group));
  Rows attended(all.rows() + 8, all.width());
  attended.memory.fill_bytes(untouched);
  kv.data = kv_memory.data();
  PrefillAttention attention;
  attention.queries = query_memory.data();
  attention.attended = attended.tiles;
  attention.kv = kv;
  attention.layer = layer;
  attention.heads = all.heads();
  attention.scale = scale();
  attention.sequences = sequence_memory.data();
  attention.blocks = block_memory.data();
  attention.blocks_stride = stride;
  attention.tiles = tiles.data();
  attention.tile_count = static_cast<std::int32_t>(tiles.count());
  check_cuda(prefill_attention(nullptr, attention));

  return plain_rows(attended);
}

std::vector<bf16> CudaAttention::plain_rows(const Rows& attended) const {
  const AttentionCase& all = GetParam();
  const auto tiled = attended.memory.read();
  std::vector<bf16> plain;
  const std::uint8_t before[2] = {untouched, untouched};
  for (int row = 0; row < attended.tiles.capacity; ++row)
    for (int i = 0; i < all.width(); ++i) {
      const bf16& element = tiled[attended.tiles.offset(row, i)];
      if (row < all.rows())
        plain.push_back(element);
      else
        EXPECT_EQ(std::memcmp(&element, before, sizeof(before)), 0) << "after the last row, row " << row << " is written";
    }
  return plain;
}

std::vector<double> CudaAttention::exact(const Sequence& sequence, const Part& part, int row, int head) const {
  const std::size_t head_dim = static_cast<std::size_t>(GetParam().head_dim);
  const std::size_t kv_width = product_of(GetParam().kv_heads, GetParam().head_dim);
  const bf16* const query = &sequence.queries[product_of(row, GetParam().width()) + product_of(head, GetParam().head_dim)];
  const std::size_t kv_head = product_of(head / GetParam().group, GetParam().head_dim);
  const auto number = [](const bf16& element) { return static_cast<double>(__bfloat162float(element)); };
  std::vector<double> scores(static_cast<std::size_t>(part.first_position + row + 1));
  for (std::size_t position = 0; position < scores.size(); ++position) {
    for (std::size_t i = 0; i < head_dim; ++i)
      scores[position] += number(query[i]) * number(sequence.keys[position * kv_width + kv_head + i]);
    scores[position] *= static_cast<double>(scale());
  }
  const double largest = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  std::vector<double> output(head_dim);
  for (std::size_t position = 0; position < scores.size(); ++position) {
    const double weight = std::exp(scores[position] - largest);
    sum += weight;
    for (std::size_t i = 0; i < head_dim; ++i) output[i] += weight * number(sequence.values[position * kv_width + kv_head + i]);
  }
  for (double& element : output) element /= sum;
  return output;
}

TEST_P(CudaAttention, AgreesWithDoubles) {
  const auto sequences = random_sequences();
  const auto output = attend(sequences);
  std::size_t place = 0;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const Part& part = GetParam().parts[i];
    for (int row = 0; row < part.rows; ++row)
      for (int head = 0; head < GetParam().heads(); ++head)
        for (const double wanted : exact(sequences[i], part, row, head)) {
          const auto got = static_cast<double>(__bfloat162float(output[place++]));
          ASSERT_FALSE(!(std::abs(got - wanted) <= tolerance + relative_tolerance * std::abs(wanted)))
              << got << " instead of " << wanted << ", sequence " << i << ", row " << row << ", head " << head;
        }
  }
}

std::vector<AttentionCase> attention_cases() {
  std::vector<AttentionCase> cases;
  for (const int head_dim : {64, 128}) {
    cases.push_back({head_dim, 1, 1, {{0, 1}}});
    cases.push_back({head_dim, 1, 2, {{0, 128}}});
    cases.push_back({head_dim, 4, 2, {{0, 33}, {1, 150}}});
    cases.push_back({head_dim, 1, 2, {{0, 257}, {100, 3}, {127, 1}, {128, 140}}});
    cases.push_back({head_dim, 3, 2, {{0, 45}, {77, 201}, {500, 90}}});
    cases.push_back({head_dim, 4, 2, {{0, 1}, {0, 2}, {1000, 40}, {383, 2}, {255, 17}}});
    cases.push_back({head_dim, 8, 1, {{0, 130}, {1151, 33}, {640, 1}}});
    cases.push_back({head_dim, 16, 1, {{120, 20}, {0, 9}}});
  }
  return cases;
}
std::string name_of(const testing::TestParamInfo<AttentionCase>& info) {
  const AttentionCase& each = info.param;
  return std::to_string(each.heads()) + "HeadsOf" + std::to_string(each.head_dim) + "Over" + std::to_string(each.kv_heads) +
         "_" + std::to_string(each.rows()) + "Rows";
}
INSTANTIATE_TEST_SUITE_P(Batches, CudaAttention, testing::ValuesIn(attention_cases()), name_of);

}  // namespace
}  // namespace troupe::kernels::cuda
