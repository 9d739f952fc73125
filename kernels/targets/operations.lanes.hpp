// All of the arithmetic, compiled for the lanes that the including kernels/targets/<isa>.cpp has chosen.
//
// What is compiled here may use instructions that the processor lacks, so nothing here may become the program's copy of a
// function that others share: no template and no inline function from outside the target's namespace is called, in the
// lanes of an operation neither. tests/kernels/targets_test.cpp looks for such symbols in the objects.

#include "kernels/targets.hpp"

// clang-format off: later files use what earlier ones define.
#include "kernels/math.lanes.hpp"
#include "kernels/embedding.lanes.hpp"
#include "kernels/rms_norm.lanes.hpp"
#include "kernels/rope_append.lanes.hpp"
#include "kernels/attention.lanes.hpp"
#include "kernels/swiglu.lanes.hpp"
#include "kernels/moe.lanes.hpp"
#include "kernels/log_sum_exp.lanes.hpp"
#include "kernels/matmul.lanes.hpp"
// clang-format on

namespace troupe::kernels::TROUPE_TARGET {

void exp_all(const float* x, float* result, std::int32_t count) {
  for (std::int32_t i = 0; i < count; i += lanes) {
    const std::int32_t rest = count - i < lanes ? count - i : lanes;
    exp(F32x16::load_first(x + i, rest)).store_first(result + i, rest);
  }
}

void log_all(const float* x, float* result, std::int32_t count) {
  for (std::int32_t i = 0; i < count; i += lanes) {
    const std::int32_t rest = count - i < lanes ? count - i : lanes;
    log(F32x16::load_first(x + i, rest)).store_first(result + i, rest);
  }
}

extern const CpuOps operations;
const CpuOps operations = {
    .embedding = embedding,
    .rms_norm = rms_norm,
    .matmul = matmul,
    .rope_append = rope_append,
    .attention = attention,
    .attention_span_partials = attention_span_partials,
    .attention_merge_partials = attention_merge_partials,
    .swiglu = swiglu,
    .moe_route = moe_route,
    .moe_combine = moe_combine,
    .log_sum_exp = log_sum_exp,
    .exp = exp_all,
    .log = log_all,
};

}  // namespace troupe::kernels::TROUPE_TARGET
