#include "tests/support/broken_kernels.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "kernels/bf16.hpp"

namespace troupe::tests {

using kernels::InstructionSet;
using kernels::Range;

namespace {

constexpr std::array all_defects{
    Defect{"matmul_rows", "a product of more than four rows begins its sum in the middle of the inputs"},
    Defect{"matmul_unfused", "the best instruction set rounds before it adds"},
    Defect{"attention_chunk", "spans merge from the one in which the chunk begins"},
    Defect{"attention_threads", "spans that threads share merge last to first"},
    Defect{"combine_row", "every other row of a batch adds its experts in descending order"},
};

/// output = dot(inputs of a row, weights panel_outputs apart) for each element that the arguments name.
template <class Dot>
void multiply(const kernels::Matmul& arguments, const kernels::MatmulGroup& group, Range rows, Range panels, const Dot& dot) {
  const kernels::PackedMatrix& weight = group.weight;
  for (std::int32_t row = group.first_row + rows.first; row < group.first_row + rows.last; ++row) {
    const float* input = arguments.input + static_cast<std::size_t>(row) * static_cast<std::size_t>(weight.inputs);
    float* output = arguments.output + static_cast<std::size_t>(row) * static_cast<std::size_t>(weight.outputs);
    const std::int32_t end = std::min(panels.last * kernels::panel_outputs, weight.outputs);
    for (std::int32_t n = panels.first * kernels::panel_outputs; n < end; ++n) {
      output[n] = dot(input, weight.panel(n / kernels::panel_outputs) + n % kernels::panel_outputs, weight.inputs);
    }
  }
}

template <InstructionSet set>
void matmul_from_the_middle(const kernels::Matmul& arguments, const kernels::MatmulGroup& group, Range rows, Range panels) {
  if (rows.last - rows.first <= 4) return kernels::operations(set).matmul(arguments, group, rows, panels);
  multiply(arguments, group, rows, panels, [](const float* input, const kernels::bf16* weights, std::int32_t inputs) {
    float sum = 0;
    for (std::int32_t i = 0; i < inputs; ++i) {
      const auto k = static_cast<std::size_t>((i + inputs / 2) % inputs);
      sum = std::fma(input[k], kernels::widen(weights[k * kernels::panel_outputs]), sum);
    }
    return sum;
  });
}

void matmul_unfused(const kernels::Matmul& arguments, const kernels::MatmulGroup& group, Range rows, Range panels) {
  multiply(arguments, group, rows, panels, [](const float* input, const kernels::bf16* weights, std::int32_t inputs) {
    float sum = 0;
    for (std::size_t k = 0; k < static_cast<std::size_t>(inputs); ++k) {
      sum += input[k] * kernels::widen(weights[k * kernels::panel_outputs]);
    }
    return sum;
  });
}

/// The spans of one row of a KV head and its query heads: computed rightly, and left in an order of their own.
template <InstructionSet set>
void attend_in_order(const kernels::Attention& arguments, const kernels::SequenceRows& sequence, std::int32_t row,
                     std::int32_t kv_head, std::int32_t first_span) {
  const std::int32_t spans = (sequence.first_position + row) / kernels::attention_span + 1;
  const auto count = static_cast<std::size_t>(arguments.heads) * static_cast<std::size_t>(spans);
  const auto width = static_cast<std::size_t>(arguments.layout.head_dim);
  std::vector<float> storage(2 * count * (2 + width));
  const auto partials_at = [&](float* base) { return kernels::SpanPartials{base, base + count, base + 2 * count, spans}; };
  const kernels::SpanPartials right = partials_at(storage.data());
  const kernels::SpanPartials wrong = partials_at(storage.data() + count * (2 + width));
  const kernels::CpuOps& operations = kernels::operations(set);
  for (std::int32_t span = 0; span < spans; ++span) {
    operations.attention_span_partials(arguments, sequence, row, kv_head, span, right);
  }
  const std::int32_t group = arguments.heads / arguments.layout.kv_heads;
  for (std::int32_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    for (std::int32_t span = 0; span < spans; ++span) {
      const auto source = static_cast<std::size_t>(head * spans + (span + first_span) % spans);
      const auto target = static_cast<std::size_t>(head * spans + span);
      wrong.max[target] = right.max[source];
      wrong.sum[target] = right.sum[source];
      std::copy_n(right.output + source * width, width, wrong.output + target * width);
    }
    operations.attention_merge_partials(arguments, sequence, row, head, wrong);
  }
}

template <InstructionSet set>
void attention_from_chunk(const kernels::Attention& arguments, const kernels::SequenceRows& sequence, Range rows,
                          std::int32_t kv_head) {
  const std::int32_t first_span = sequence.first_position / kernels::attention_span;
  if (first_span == 0) return kernels::operations(set).attention(arguments, sequence, rows, kv_head);
  for (std::int32_t row = rows.first; row < rows.last; ++row)
    attend_in_order<set>(arguments, sequence, row, kv_head, first_span);
}

template <InstructionSet set>
void merge_last_to_first(const kernels::Attention& arguments, const kernels::SequenceRows& sequence, std::int32_t row,
                         std::int32_t head, const kernels::SpanPartials& partials) {
  const auto spans = static_cast<std::size_t>(partials.spans);
  const auto width = static_cast<std::size_t>(arguments.layout.head_dim);
  const std::size_t first = static_cast<std::size_t>(head) * spans;
  std::reverse(partials.max + first, partials.max + first + spans);
  std::reverse(partials.sum + first, partials.sum + first + spans);
  for (std::size_t span = 0; span < spans / 2; ++span) {
    float* output = partials.output + (first + span) * width;
    std::swap_ranges(output, output + width, partials.output + (first + spans - 1 - span) * width);
  }
  kernels::operations(set).attention_merge_partials(arguments, sequence, row, head, partials);
}

template <InstructionSet set>
void combine_by_row(const kernels::MoeCombine& arguments, Range rows) {
  const auto chosen = static_cast<std::size_t>(arguments.chosen);
  const auto dim = static_cast<std::size_t>(arguments.dim);
  std::vector<float> weight(chosen);
  std::vector<float> output(chosen * dim);
  for (std::int32_t row = rows.first; row < rows.last; ++row) {
    const auto first = static_cast<std::size_t>(row) * chosen;
    for (std::size_t c = 0; c < chosen; ++c) {
      const std::size_t source = first + (row % 2 == 0 ? c : chosen - 1 - c);
      weight[c] = arguments.weight[source];
      std::copy_n(arguments.expert_output + source * dim, dim, &output[c * dim]);
    }
    kernels::operations(set).moe_combine({output.data(), weight.data(), arguments.output + static_cast<std::size_t>(row) * dim,
                                          1, arguments.chosen, arguments.dim},
                                         Range{0, 1});
  }
}

template <InstructionSet set>
kernels::CpuOps broken(std::string_view defect) {
  kernels::CpuOps operations = kernels::operations(set);
  if (defect == "matmul_rows") operations.matmul = matmul_from_the_middle<set>;
  if (defect == "matmul_unfused" && set == kernels::best_instruction_set()) operations.matmul = matmul_unfused;
  if (defect == "attention_chunk") operations.attention = attention_from_chunk<set>;
  if (defect == "attention_threads") operations.attention_merge_partials = merge_last_to_first<set>;
  if (defect == "combine_row") operations.moe_combine = combine_by_row<set>;
  return operations;
}

/// Of every defect; empty if the processor lacks the instruction set.
template <InstructionSet set>
const kernels::CpuOps& broken_table(std::size_t defect) {
  static const auto tables = [] {
    std::array<kernels::CpuOps, all_defects.size()> filled{};
    if (!kernels::is_supported(set)) return filled;
    for (std::size_t i = 0; i < filled.size(); ++i) filled[i] = broken<set>(all_defects[i].name);
    return filled;
  }();
  return tables[defect];
}

}  // namespace

std::span<const Defect> defects() { return all_defects; }

const kernels::CpuOps* broken_operations(std::string_view defect, InstructionSet set) {
  const auto found = std::ranges::find(all_defects, defect, &Defect::name);
  if (found == all_defects.end() || !kernels::is_supported(set)) return nullptr;
  const auto index = static_cast<std::size_t>(found - all_defects.begin());
  switch (set) {
    case InstructionSet::plain: return &broken_table<InstructionSet::plain>(index);
    case InstructionSet::avx2: return &broken_table<InstructionSet::avx2>(index);
    case InstructionSet::avx512: return &broken_table<InstructionSet::avx512>(index);
  }
  return nullptr;
}

}  // namespace troupe::tests
