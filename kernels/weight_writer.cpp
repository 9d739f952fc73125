#include "kernels/weight_writer.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace troupe::kernels {

namespace {

class HostWeightWriter final : public WeightWriter {
 public:
  void pack_rows(const PackRows& arguments) override {
    kernels::pack_rows(target(arguments.matrix), arguments.matrix.inputs, arguments.first_output, arguments.rows,
                       arguments.count);
  }

  // In the order of memory, four elements a word, which is random_index's.
  void fill_random(const FillRandom& arguments) override {
    const PackedMatrix& matrix = arguments.matrix;
    bf16* place = target(matrix);
    std::uint64_t counter = 0;
    for (std::int32_t first = 0; first < matrix.outputs; first += panel_outputs) {
      const auto columns = static_cast<std::size_t>(std::min(panel_outputs, matrix.outputs - first));
      for (std::int32_t input = 0; input < matrix.inputs; ++input, place += panel_outputs) {
        std::array<bf16, panel_outputs> row;
        for (std::size_t column = 0; column < row.size(); column += 4) {
          const std::uint64_t word = random_word(arguments.key, counter++);
          for (int i = 0; i < 4; ++i) row[column + static_cast<std::size_t>(i)] = arguments.table[index_in(word, i)];
        }
        std::memcpy(place, row.data(), columns * sizeof(bf16));
      }
    }
  }

  void copy(void* target, const void* source, std::size_t bytes) override { std::memcpy(target, source, bytes); }
  void finish() override {}

 private:
  static bf16* target(const PackedMatrix& matrix) { return const_cast<bf16*>(matrix.data); }
};

}  // namespace

std::unique_ptr<WeightWriter> host_weight_writer() { return std::make_unique<HostWeightWriter>(); }

}  // namespace troupe::kernels
