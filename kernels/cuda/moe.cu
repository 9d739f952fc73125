#include "kernels/cuda/moe.hpp"

#include "kernels/cuda/fragments.cuh"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/moe_layers.hpp"
#include "kernels/cuda/moe_rows.cuh"
#include "kernels/cuda/ptx.cuh"

namespace troupe::kernels::cuda {

namespace {

/// A warp a row.
template <int Each>
__global__ void __launch_bounds__(warpgroup) route_rows(const MoeRoute p) {
  let_next_begin();
  wait_for_previous();
  const int row = static_cast<int>(blockIdx.x) * (warpgroup / 32) + static_cast<int>(threadIdx.x) / 32;
  if (row >= p.rows) return;
  const std::size_t logits = static_cast<std::size_t>(row) * static_cast<std::size_t>(p.experts);
  const Choice choice = route_row<Each>(p.logits + logits, p.experts, p.chosen, p.normalize);
  if (static_cast<int>(threadIdx.x) % 32 >= p.chosen) return;
  p.expert[row * p.chosen + choice.place] = choice.expert;
  p.weight[row * p.chosen + choice.place] = choice.weight;
  if (p.counts != nullptr) atomicAdd(p.counts + choice.expert, 1);
}

/// Hands out parts of one piece of memory.
class Parts {
 public:
  explicit Parts(void* memory) : memory_(static_cast<std::byte*>(memory)) {}
  template <class Element>
  Element* take(std::size_t count) {
    constexpr std::size_t alignment = 256;
    auto* const part = memory_ == nullptr ? nullptr : reinterpret_cast<Element*>(memory_ + bytes_);
    bytes_ += (count * sizeof(Element) + alignment - 1) / alignment * alignment;
    return part;
  }
  std::size_t bytes() const { return bytes_; }

 private:
  std::byte* memory_;
  std::size_t bytes_ = 0;
};

bool can_choose(int experts, int chosen) {
  return experts > 0 && experts <= moe_experts_max && chosen > 0 && chosen <= moe_chosen_max && chosen <= experts;
}

}  // namespace

cudaError_t moe_route(cudaStream_t stream, const MoeRoute& arguments) {
  if (!can_choose(arguments.experts, arguments.chosen) || arguments.rows <= 0) return cudaErrorInvalidValue;
  const LaunchShape shape{dim3(static_cast<unsigned>(divided_up(arguments.rows, warpgroup / 32))), warpgroup};
  return arguments.experts <= 128 ? launch(stream, shape, route_rows<4>, arguments)
                                  : launch(stream, shape, route_rows<moe_experts_max / 32>, arguments);
}

MoeBuffers moe_buffers(const MoeShape& shape, int rows_max, void* memory) {
  const auto slots = static_cast<std::size_t>(rows_max) * static_cast<std::size_t>(shape.chosen);
  const auto places = static_cast<std::size_t>(moe_places(shape, rows_max));
  MoeBuffers buffers;
  Parts parts(memory);
  buffers.expert = parts.take<std::int32_t>(slots);
  buffers.weight = parts.take<float>(slots);
  buffers.outputs = parts.take<float>(slots * static_cast<std::size_t>(shape.hidden));
  buffers.gathered = {nullptr, moe_places(shape, rows_max), shape.hidden};
  buffers.gathered.data = parts.take<bf16>(buffers.gathered.elements());
  buffers.gated = {nullptr, moe_places(shape, rows_max), shape.intermediate};
  buffers.gated.data = parts.take<bf16>(buffers.gated.elements());
  buffers.scales = parts.take<float>(places);
  buffers.slot = parts.take<std::int32_t>(places);
  buffers.counts = parts.take<std::int32_t>(2 * static_cast<std::size_t>(shape.experts));
  buffers.tasks = parts.take<MoeTask>(static_cast<std::size_t>(moe_tasks_max(shape, rows_max)));
  buffers.task_count = parts.take<std::int32_t>(1);
  buffers.counters = parts.take<std::int32_t>(moe_counters);
  buffers.bytes = parts.bytes();
  return buffers;
}

cudaError_t moe(cudaStream_t stream, const Moe& arguments) {
  const MoeShape& shape = arguments.shape;
  const bool fits = can_choose(shape.experts, shape.chosen) && shape.hidden > 0 && shape.hidden % 16 == 0 &&
                    shape.intermediate > 0 && shape.intermediate % 16 == 0 && arguments.rows > 0 &&
                    arguments.rows <= arguments.input.capacity &&
                    moe_places(shape, arguments.rows) <= arguments.buffers.gathered.capacity;
  if (!fits) return cudaErrorInvalidValue;
  return moe_few_rows_fits(shape, arguments.rows) ? moe_few_rows(stream, arguments) : moe_many_rows(stream, arguments);
}

}  // namespace troupe::kernels::cuda
