#include "kernels/embedding.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/kernel_cases.hpp"

namespace troupe {
namespace {

struct Table {
  std::int32_t vocabulary;
  std::int32_t dim;
  std::vector<kernels::bf16> rows, packed;

  Table(std::int32_t tokens, std::int32_t width) : vocabulary(tokens), dim(width) {
    Random random(9);
    rows.resize(static_cast<std::size_t>(vocabulary) * static_cast<std::size_t>(dim));
    for (kernels::bf16& weight : rows) weight = kernels::narrow(2 * random.uniform() - 1);
    packed.resize(matrix().elements());
    kernels::pack_rows(packed.data(), dim, 0, rows.data(), vocabulary);
  }
  kernels::PackedMatrix matrix() const { return {packed.data(), vocabulary, dim}; }
  float at(std::int32_t token, std::int32_t d) const { return kernels::widen(rows[static_cast<std::size_t>(token * dim + d)]); }

  std::vector<float> look_up(kernels::CpuDevice& device, const std::vector<std::int32_t>& tokens) const {
    std::vector<float> output(tokens.size() * static_cast<std::size_t>(dim));
    kernels::embedding(device.stream(), {.table = matrix(),
                                         .tokens = tokens.data(),
                                         .output = output.data(),
                                         .rows = static_cast<std::int32_t>(tokens.size())});
    return output;
  }
};

TEST(Embedding, IsTheTokensRowWidenedOnEveryInstructionSet) {
  const Table table(71, 37);  // the last panel holds 7 of 32 outputs
  const std::vector<std::int32_t> tokens = {0, 31, 32, 33, 63, 64, 70, 0, 5};
  for (const kernels::InstructionSet set : kernels::instruction_sets) {
    if (!kernels::is_supported(set)) continue;
    const auto device = tests::cpu_device(set, 2);
    const std::vector<float> output = table.look_up(*device, tokens);
    for (std::size_t row = 0; row < tokens.size(); ++row) {
      for (std::int32_t d = 0; d < table.dim; ++d) {
        ASSERT_EQ(output[row * static_cast<std::size_t>(table.dim) + static_cast<std::size_t>(d)], table.at(tokens[row], d));
      }
    }
  }
}

TEST(Embedding, IsTheSameOnAnyNumberOfThreads) {
  const Table table(1000, 192);
  Random random(4);
  std::vector<std::int32_t> tokens(500);
  for (std::int32_t& token : tokens) token = static_cast<std::int32_t>(random.below(1000));
  const auto one = tests::cpu_device(kernels::best_instruction_set(), 1);
  const auto five = tests::cpu_device(kernels::best_instruction_set(), 5);
  EXPECT_TRUE(tests::same_bits(table.look_up(*five, tokens), table.look_up(*one, tokens)));
}

TEST(EmbeddingDeathTest, RefusesATokenOutsideTheVocabulary) {
  const Table table(40, 16);
  const auto device = tests::cpu_device(kernels::InstructionSet::plain, 1);
  EXPECT_DEATH(table.look_up(*device, {40}), "in the vocabulary");
  EXPECT_DEATH(table.look_up(*device, {-1}), "in the vocabulary");
}

}  // namespace
}  // namespace troupe
