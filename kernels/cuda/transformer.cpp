#include "kernels/cuda/transformer.hpp"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "base/check.hpp"
#include "kernels/cuda/pass_ends.hpp"
#include "kernels/cuda/transformer_pass.hpp"

namespace troupe::kernels::cuda {

Transformer::Transformer(CudaDevice& device, const TransformerShape& shape, TransformerWeights weights,
                         const TransformerLimits& limits)
    : device_(device), shape_(shape), weights_(std::move(weights)), limits_(limits) {}

Transformer::~Transformer() { device_.stream().synchronize(); }

std::size_t Transformer::bytes(const TransformerShape& shape, const TransformerLimits& limits) {
  const std::size_t blocks = static_cast<std::size_t>(limits.logit_rows_max) *
                             static_cast<std::size_t>(divided_up(limits.context_max, kv_block_positions)) *
                             sizeof(std::int32_t);
  const std::size_t results =
      static_cast<std::size_t>(std::max(limits.logit_rows_max, decode_rows_max)) * (sizeof(SampledRow) + sizeof(std::int32_t));
  return TransformerMemory(shape, limits, nullptr).bytes + static_cast<std::size_t>(limits.passes) * (blocks + results);
}

Result<std::unique_ptr<Transformer>> Transformer::create(CudaDevice& device, const TransformerShape& shape,
                                                         TransformerWeights weights, const TransformerLimits& limits) {
  TROUPE_TRY_DO(check(shape));
  device.use();
  auto made = std::unique_ptr<Transformer>(new Transformer(device, shape, std::move(weights), limits));
  TROUPE_TRY(made->memory_, device.allocate(TransformerMemory(shape, limits, nullptr).bytes));
  made->buffers_ = std::make_unique<Buffers>(shape, limits, made->memory_.as<std::byte>());
  made->graphs_ = std::make_unique<Graphs>();
  if (shape.experts == 0) {
    std::vector<DecodeLayer> layers;
    for (const TransformerLayer& layer : made->weights_.layers) {
      layers.push_back({data_of(layer.qkv), data_of(layer.attention_output), data_of(layer.gate_up), data_of(layer.down),
                        layer.attention_norm, layer.feed_forward_norm, layer.query_norm, layer.key_norm});
    }
    device.stream().copy(made->buffers_->decode_layers, layers.data(), layers.size() * sizeof(DecodeLayer));
  }
  const std::int32_t rows = std::max(limits.rows_max, decode_rows_max);
  const auto sequences = static_cast<std::size_t>(limits.logit_rows_max);
  const auto tiles = static_cast<std::size_t>(divided_up(rows * (shape.heads / shape.kv_heads), prefill_tile_rows)) + sequences;
  const std::size_t described = Pass::Layout(rows, limits.logit_rows_max).bytes + (tiles * sizeof(PrefillTile) + 15) / 16 * 16;
  const std::size_t blocks =
      sequences * static_cast<std::size_t>(divided_up(limits.context_max, kv_block_positions)) * sizeof(std::int32_t);
  for (std::int32_t i = 0; i < limits.passes; ++i) {
    auto pass = std::make_unique<Pass>();
    TROUPE_TRY(pass->host, device.allocate_host(described));
    TROUPE_TRY(pass->device, device.allocate(described));
    TROUPE_TRY(pass->host_blocks, device.allocate_host(blocks));
    TROUPE_TRY(pass->blocks, device.allocate(blocks));
    TROUPE_TRY(pass->results, device.allocate(sequences * sizeof(SampledRow)));
    TROUPE_TRY(pass->host_results, device.allocate_host(sequences * sizeof(SampledRow)));
    TROUPE_TRY(pass->chosen, device.allocate(sequences * sizeof(std::int32_t)));
    TROUPE_TRY(pass->report, device.allocate_host(sizeof(PassReport)));
    made->passes_.push_back(std::move(pass));
  }
  device.stream().synchronize();  // all that was allocated so far, also by others, is cleared before other streams write to it
  return made;
}

void Transformer::start(std::int32_t index, const TransformerBatch& batch) {
  Pass& pass = *passes_[static_cast<std::size_t>(index)];
  TROUPE_CHECK(!pass.under_way, "a pass computes one batch at a time");
  TROUPE_CHECK(!batch.tokens.empty() && batch.tokens.size() <= static_cast<std::size_t>(limits_.rows_max) &&
                   batch.sequences.size() <= static_cast<std::size_t>(limits_.logit_rows_max) &&
                   batch.samples.size() == batch.logit_rows.size(),
               "a batch fits the limits");
  if (batch.wants_logits && pass.logits.bytes() == 0) {
    auto room = device_.allocate_host(static_cast<std::size_t>(limits_.logit_rows_max) *
                                      static_cast<std::size_t>(shape_.vocabulary) * sizeof(float));
    check_device(room ? cudaSuccess : cudaErrorMemoryAllocation, "making room for logits that the host wants to see");
    pass.logits = *std::move(room);
  }
  device_.use();
  pass.under_way = true;
  pass.logit_rows = static_cast<std::int32_t>(batch.logit_rows.size());
  launch(pass, batch);
  chosen_before_ = pass.chosen.as<std::int32_t>();
}

void Transformer::wait(std::int32_t index) {
  Pass& pass = *passes_[static_cast<std::size_t>(index)];
  if (!std::exchange(pass.under_way, false)) return;
  auto& report = *pass.report.as<PassReport>();
  const std::atomic_ref<std::uint32_t> ended(report.ended_count);
  // The stream is asked now and then: a GPU that has failed says nothing by itself.
  constexpr int looks_each = 4096;
  for (int looks = 1; ended.load(std::memory_order_acquire) != pass.begun_count; ++looks) {
    std::this_thread::yield();
    if (looks % looks_each == 0 && device_.stream().is_idle())
      TROUPE_CHECK(ended.load(std::memory_order_acquire) == pass.begun_count, "a pass that has ended says so");
  }
  device_.stream().add_busy_seconds(static_cast<double>(report.ended - report.begun) * 1e-9);
}

std::span<const SampledRow> Transformer::sampled(std::int32_t index) const {
  const Pass& pass = *passes_[static_cast<std::size_t>(index)];
  return {pass.host_results.as<SampledRow>(), static_cast<std::size_t>(pass.logit_rows)};
}

const float* Transformer::logits(std::int32_t index) const {
  return passes_[static_cast<std::size_t>(index)]->logits.as<float>();
}

}  // namespace troupe::kernels::cuda
