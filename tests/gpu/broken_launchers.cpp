#include "tests/gpu/broken_launchers.hpp"

#include <algorithm>
#include <array>

#include "base/check.hpp"
#include "kernels/cuda/decode_step.hpp"
#include "kernels/cuda/sample.hpp"
#include "tests/gpu/spoilers.hpp"

namespace troupe::tests {

namespace {

constexpr std::array all_defects{
    Defect{"product_rows", "a product of more than 64 rows adds in another order"},
    Defect{"step_rows", "a step of decoding of more than eight rows adds in another order"},
    Defect{"attention_batch", "spans merge in another order where more than eight sequences decode"},
    Defect{"attention_chunk", "spans are counted from where a chunk begins"},
    Defect{"sample_ahead", "a pass that runs ahead draws for the position after the right one"},
    Defect{"stale_block", "a ninth sequence's new block is not seen before the position after its first"},
};

std::string_view planted;

}  // namespace

std::span<const Defect> launcher_defects() { return all_defects; }

void break_launchers(std::string_view defect) {
  const auto found = std::ranges::find(all_defects, defect, &Defect::name);
  TROUPE_CHECK(defect.empty() || found != all_defects.end(), "who breaks launchers knows how");
  planted = defect.empty() ? std::string_view() : found->name;
}

}  // namespace troupe::tests

namespace troupe::kernels::cuda {

using tests::planted;

// With --wrap=F who calls F gets __wrap_F, and who calls __real_F gets F. F is the function's name as the compiler writes it.
#define TROUPE_WRAPPED(name, mangled, Arguments)                                                   \
  cudaError_t real_##name(cudaStream_t stream, const Arguments& arguments) asm("__real_" mangled); \
  cudaError_t wrapped_##name(cudaStream_t stream, const Arguments& arguments) asm("__wrap_" mangled)

TROUPE_WRAPPED(product, "_ZN6troupe7kernels4cuda7productEP11CUstream_stRKNS1_7ProductE", Product);
TROUPE_WRAPPED(decode_step, "_ZN6troupe7kernels4cuda11decode_stepEP11CUstream_stRKNS1_10DecodeStepE", DecodeStep);
TROUPE_WRAPPED(decode_attention, "_ZN6troupe7kernels4cuda16decode_attentionEP11CUstream_stRKNS1_15DecodeAttentionE",
               DecodeAttention);
TROUPE_WRAPPED(prefill_attention, "_ZN6troupe7kernels4cuda17prefill_attentionEP11CUstream_stRKNS1_16PrefillAttentionE",
               PrefillAttention);
TROUPE_WRAPPED(rotate_append, "_ZN6troupe7kernels4cuda13rotate_appendEP11CUstream_stRKNS1_12RotateAppendE", RotateAppend);
TROUPE_WRAPPED(embed, "_ZN6troupe7kernels4cuda5embedEP11CUstream_stRKNS1_5EmbedE", Embed);
TROUPE_WRAPPED(sample, "_ZN6troupe7kernels4cuda6sampleEP11CUstream_stRKNS1_6SampleE", Sample);

#undef TROUPE_WRAPPED

cudaError_t wrapped_product(cudaStream_t stream, const Product& arguments) {
  const cudaError_t status = real_product(stream, arguments);
  if (status != cudaSuccess || planted != "product_rows" || arguments.rows <= 64 || arguments.output == nullptr) return status;
  return spoil_rows(stream, arguments.output, arguments.rows, arguments.output_stride, arguments.weight.outputs);
}

cudaError_t wrapped_decode_step(cudaStream_t stream, const DecodeStep& arguments) {
  if (planted == "sample_ahead") {
    if (const cudaError_t noted = note_chosen(stream, arguments.tokens, arguments.rows); noted != cudaSuccess) return noted;
  }
  const cudaError_t status = real_decode_step(stream, arguments);
  if (status != cudaSuccess || planted != "step_rows" || arguments.rows <= 8) return status;
  return spoil_rows(stream, arguments.logits, arguments.rows, arguments.shape.vocabulary, arguments.shape.vocabulary);
}

cudaError_t wrapped_decode_attention(cudaStream_t stream, const DecodeAttention& arguments) {
  const cudaError_t status = real_decode_attention(stream, arguments);
  if (status != cudaSuccess || planted != "attention_batch" || arguments.row_count <= 8) return status;
  return spoil_merged_rows(stream, arguments);
}

cudaError_t wrapped_prefill_attention(cudaStream_t stream, const PrefillAttention& arguments) {
  const cudaError_t status = real_prefill_attention(stream, arguments);
  if (status != cudaSuccess || planted != "attention_chunk") return status;
  return spoil_chunks(stream, arguments);
}

cudaError_t wrapped_rotate_append(cudaStream_t stream, const RotateAppend& arguments) {
  const cudaError_t status = real_rotate_append(stream, arguments);
  if (status != cudaSuccess || planted != "stale_block") return status;
  return repeat_keys(stream, arguments);
}

cudaError_t wrapped_embed(cudaStream_t stream, const Embed& arguments) {
  if (planted == "sample_ahead") {
    if (const cudaError_t status = note_chosen(stream, arguments.tokens, arguments.rows); status != cudaSuccess) return status;
  }
  return real_embed(stream, arguments);
}

cudaError_t wrapped_sample(cudaStream_t stream, const Sample& arguments) {
  if (planted == "sample_ahead") {
    if (const cudaError_t status = shift_positions(stream, arguments.parameters, arguments.rows); status != cudaSuccess)
      return status;
  }
  return real_sample(stream, arguments);
}

}  // namespace troupe::kernels::cuda
