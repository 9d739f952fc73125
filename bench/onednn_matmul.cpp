#include "bench/onednn_matmul.hpp"

#include <string>
#include <utility>

#ifdef TROUPE_WITH_ONEDNN
#include <dlfcn.h>

#include <algorithm>
#include <oneapi/dnnl/dnnl.hpp>
#endif

namespace troupe::bench {

#ifdef TROUPE_WITH_ONEDNN

namespace {

/// Distributions build oneDNN on OpenMP. Its runtime comes with the library, so it is asked for by name rather than linked.
Result<void> limit_threads(int threads) {
  const unsigned runtime = dnnl_version()->cpu_runtime;
  if (runtime == DNNL_RUNTIME_SEQ) return {};
  if (runtime != DNNL_RUNTIME_OMP) {
    return Error{ErrorCode::unsupported, "this oneDNN runs on threading runtime " + std::to_string(runtime) +
                                             ", expected OpenMP (" + std::to_string(DNNL_RUNTIME_OMP) + ") or none (" +
                                             std::to_string(DNNL_RUNTIME_SEQ) + "): its threads cannot be limited"};
  }
  using SetThreads = void (*)(int);
  const auto set_threads = reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
  if (set_threads == nullptr) {
    return Error{ErrorCode::unsupported, "this oneDNN runs on OpenMP, but its runtime has no omp_set_num_threads"};
  }
  set_threads(threads);
  return {};
}

void fill(const dnnl::memory& memory, float scale) {
  auto* values = static_cast<float*>(memory.get_data_handle());
  const std::size_t count = memory.get_desc().get_size() / sizeof(float);
  for (std::size_t i = 0; i < count; ++i) values[i] = scale * static_cast<float>(i % 61 + 1);
}

}  // namespace

struct OnednnMatmul::State {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::memory input;
  dnnl::memory weights;
  dnnl::memory output;
  dnnl::matmul product;

  State(dnnl::memory::dim rows, dnnl::memory::dim inputs, dnnl::memory::dim outputs) {
    using dnnl::memory;
    constexpr auto f32 = memory::data_type::f32;
    const memory::desc input_shape({rows, inputs}, f32, memory::format_tag::ab);
    const memory::desc output_shape({rows, outputs}, f32, memory::format_tag::ab);
    const memory::desc any_layout({inputs, outputs}, f32, memory::format_tag::any);
    const dnnl::matmul::primitive_desc description({input_shape, any_layout, output_shape}, engine);
    input = memory(input_shape, engine);
    output = memory(output_shape, engine);
    weights = memory(description.weights_desc(), engine);
    fill(input, 0x1p-6F);
    memory checkpoint({{inputs, outputs}, f32, memory::format_tag::ba}, engine);
    fill(checkpoint, 0x1p-8F);
    dnnl::reorder(checkpoint, weights).execute(stream, checkpoint, weights);
    stream.wait();
    product = dnnl::matmul(description);
  }
};

Result<OnednnMatmul> OnednnMatmul::create(std::int32_t rows, std::int32_t inputs, std::int32_t outputs, int threads) {
  TROUPE_TRY_DO(limit_threads(threads));
  try {
    return OnednnMatmul(std::make_unique<State>(rows, inputs, outputs));
  } catch (const dnnl::error& error) {
    return Error{error.status == dnnl_out_of_memory ? ErrorCode::overloaded : ErrorCode::unsupported,
                 "oneDNN has no f32 product of " + std::to_string(rows) + " x " + std::to_string(inputs) + " x " +
                     std::to_string(outputs) + ": " + error.what()};
  }
}

void OnednnMatmul::run() {
  state_->product.execute(state_->stream,
                          {{DNNL_ARG_SRC, state_->input}, {DNNL_ARG_WEIGHTS, state_->weights}, {DNNL_ARG_DST, state_->output}});
  state_->stream.wait();
}

#else

struct OnednnMatmul::State {};

Result<OnednnMatmul> OnednnMatmul::create(std::int32_t, std::int32_t, std::int32_t, int) {
  return Error{ErrorCode::unsupported, "this build has no oneDNN to compare with; install libdnnl-dev and configure again"};
}

void OnednnMatmul::run() {}

#endif

OnednnMatmul::OnednnMatmul(std::unique_ptr<State> state) : state_(std::move(state)) {}
OnednnMatmul::OnednnMatmul(OnednnMatmul&&) noexcept = default;
OnednnMatmul& OnednnMatmul::operator=(OnednnMatmul&&) noexcept = default;
OnednnMatmul::~OnednnMatmul() = default;

}  // namespace troupe::bench
