// The instruction sets that the CPU kernels are compiled for, and the table of functions that each compilation fills.
// The arithmetic is written once, in <op>.lanes.hpp on vectors of sixteen floats; kernels/targets/<isa>.cpp includes it all.
// A function here does a range of an operation's work in the calling thread; <op>.cpp validates and spreads ranges over
// threads.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "kernels/attention.hpp"
#include "kernels/embedding.hpp"
#include "kernels/log_sum_exp.hpp"
#include "kernels/matmul.hpp"
#include "kernels/moe.hpp"
#include "kernels/rms_norm.hpp"
#include "kernels/rope_append.hpp"
#include "kernels/swiglu.hpp"

namespace troupe::kernels {

enum class InstructionSet : std::uint8_t { plain, avx2, avx512 };

inline constexpr InstructionSet instruction_sets[] = {InstructionSet::plain, InstructionSet::avx2, InstructionSet::avx512};

std::string_view to_string(InstructionSet set);
std::optional<InstructionSet> instruction_set_named(std::string_view name);
/// Whether this processor and operating system run it, and this build has it.
bool is_supported(InstructionSet set);
InstructionSet best_instruction_set();

/// [first, last) of whatever the operation counts.
struct Range {
  std::int32_t first = 0;
  std::int32_t last = 0;
};

/// Where the spans of one row's keys leave their (max, sum, output) when several threads share them. Element (head, span) of
/// each array is at head * spans + span.
struct SpanPartials {
  float* max = nullptr;     ///< [heads, spans]
  float* sum = nullptr;     ///< [heads, spans]
  float* output = nullptr;  ///< [heads, spans, head_dim]
  std::int32_t spans = 0;
};

/// All functions of one instruction set. Arguments have been checked; none allocates, throws or touches the thread pool.
struct CpuOps {
  void (*embedding)(const Embedding&, Range rows);
  void (*rms_norm)(const RmsNorm&, Range rows);
  /// Rows and panels of one group.
  void (*matmul)(const Matmul&, const MatmulGroup&, Range rows, Range panels);
  void (*rope_append)(const RopeAppend&, const SequenceRows&, Range rows_of_sequence);
  /// One KV head and the query heads that read it, for some rows of one sequence.
  void (*attention)(const Attention&, const SequenceRows&, Range rows_of_sequence, std::int32_t kv_head);
  /// The same for one row in two steps: some spans each, in any order; then the merge, once all spans are there, which leaves
  /// the partials in no defined state.
  void (*attention_span_partials)(const Attention&, const SequenceRows&, std::int32_t row_of_sequence, std::int32_t kv_head,
                                  std::int32_t span, const SpanPartials&);
  void (*attention_merge_partials)(const Attention&, const SequenceRows&, std::int32_t row_of_sequence, std::int32_t head,
                                   const SpanPartials&);
  void (*swiglu)(const Swiglu&, Range rows);
  void (*moe_route)(const MoeRoute&, Range rows);
  void (*moe_combine)(const MoeCombine&, Range rows);
  void (*log_sum_exp)(const LogSumExp&, Range rows);
  /// result[i] = exp(x[i]) and log(x[i]) of math.hpp, by lanes.
  void (*exp)(const float* x, float* result, std::int32_t count);
  void (*log)(const float* x, float* result, std::int32_t count);
};

/// The operations of an instruction set that is supported.
const CpuOps& operations(InstructionSet set);

}  // namespace troupe::kernels
