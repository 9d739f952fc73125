// A layer of up to eight rows in one kernel: a block lives on each processor and walks parts of the chosen experts' matrices,
// gates and ups of all experts first, then `down`. Every block chooses the experts by itself, since that takes less time than
// to hear of it. A warp streams weights through a ring and runs ahead across experts and products; a warpgroup multiplies, and
// does nothing else, since a part takes only a few microseconds: what becomes of its sums is another warpgroup's concern.
//
// The tensor cores multiply 64 rows of weights by some columns of activations, but one instruction's 64 rows need not be those
// of a tile, nor need all columns be meant for all of them: each warp has the sums of 16 rows, and looks at the columns that
// are its own. What the others come to is thrown away, which costs nothing beside the reading of the weights. So
// - gates and ups of 32 outputs are multiplied in both chunks of inputs at once: two warps a chunk;
// - of `down`, a block has 16 outputs of all experts, four experts at once: a warp an expert. It adds the experts' answers up
//   as they come, and they need not meet anywhere.
// Parts are thus as small as it takes to give every processor the same amount of them, and no two blocks share a sum.
#include <cstdint>

#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/moe_few.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace troupe::kernels::cuda {

namespace {

using namespace few_rows;

/// Zeroes that the compiler takes for a beginning: what it believes to be undefined it keeps from one part to the next.
template <int Count>
__device__ __forceinline__ void set_zero(float (&numbers)[Count]) {
#pragma unroll
  for (float& number : numbers) asm volatile("mov.f32 %0, 0f00000000;" : "=f"(number));
}
/// Nothing reads the sums before this.
template <int Count>
__device__ __forceinline__ void wait_for_sums(float (&sums)[Count]) {
  wgmma_wait<0>();
#pragma unroll
  for (float& sum : sums) asm volatile("" : "+f"(sum)::"memory");
}

/// Walks this block's parts, the same for every role: gate_up(index of a chosen expert, part), then for each of the block's
/// slices of 16 outputs down(slice, group of experts). Who had fewer of the former begins with the latter.
template <class Role>
__device__ __forceinline__ void walk(const Plan& plan, int experts, Role& role) {
  const int blocks = static_cast<int>(gridDim.x);
  const int parts = experts * plan.expert_parts();
  int turn = static_cast<int>(blockIdx.x);
  for (; turn < parts; turn += blocks) role.gate_up(turn / plan.expert_parts(), turn % plan.expert_parts());
  const int slices = plan.shape.hidden / slice_outputs;
  for (turn -= parts; turn < slices; turn += blocks) {
    for (int group = 0; group < divided_up(experts, group_experts); ++group) role.down(turn, group);
  }
}

/// A warp. Each lane brings a piece of a stage: of one panel the rows of a chunk, or of an expert.
struct WeightStreamer {
  const Moe& p;
  const Plan& plan;
  const Stages& ring;
  const Chosen& chosen;
  StagePlace at{};

  __device__ void gate_up(int index, int part) {
    const WeightTiles matrix = p.shape.gate_up(p.gate_up, chosen.experts[index]);
    const int chunks = plan.gate_up_chunks;
    const int chunk = static_cast<int>(threadIdx.x) % 32 / stage_panels;
    const int piece = tile_elements / chunks;  // elements
    const int first = part / chunks * matrix.panels() + plan.gate_up_panels(min(chunk, chunks - 1)).first;
    const bf16* const from = matrix.data + static_cast<std::size_t>(first) * tile_elements + part % chunks * piece;
    for (int panel = 0; panel < plan.gate_up_length(); panel += stage_panels)
      bring(chunk < chunks, from + panel * tile_elements, chunk * piece, piece, chunks);
  }
  __device__ void down(int slice, int group) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int experts = min(group_experts, chosen.count - group * group_experts);
    const int own = lane / stage_panels;
    constexpr int piece = slice_outputs * panel_inputs;
    const WeightTiles matrix = p.shape.down(p.down, chosen.experts[group * group_experts + min(own, experts - 1)]);
    const bf16* const from =
        matrix.data +
        static_cast<std::size_t>(slice / tile_slices) * static_cast<std::size_t>(matrix.panels()) * tile_elements +
        slice % tile_slices * piece;
    for (int panel = 0; panel < matrix.panels(); panel += stage_panels)
      bring(own < experts, from + panel * tile_elements, own * piece, piece, experts);
  }
  /// Fills the weights of the next stage with so many pieces of each panel. This lane's begins at `from` in the first of the
  /// panels, and in the tile that is made of them at `place`.
  __device__ __forceinline__ void bring(bool brings, const bf16* from, int place, int elements, int pieces) {
    const int panel = static_cast<int>(threadIdx.x) % stage_panels;
    const int bytes = elements * 2;
    Barrier& full = ring.claim(at);
    if (threadIdx.x % 32 == 0) full.arrive_expecting(static_cast<std::uint32_t>(pieces * stage_panels * bytes));
    __syncwarp();
    if (brings) {
      copy_bulk_once(ring.weights(at) + (panel * tile_elements + place) * 2, from + panel * tile_elements,
                     static_cast<std::uint32_t>(bytes), full);
    }
    ring.advance(at);
  }
};

/// One thread: streams the rows that `down` is multiplied by, as soon as all of a group's experts have them.
struct RowStreamer {
  const Moe& p;
  const Plan& plan;
  const Stages& ring;
  const Chosen& chosen;
  StagePlace at{};
  int known = 0;  ///< groups, the first ones, whose gated rows are there

  __device__ void gate_up(int /*index*/, int /*part*/) {
    for (int panel = 0; panel < plan.gate_up_length(); panel += stage_panels) {
      ring.claim(at).arrive();  // the rows are there, all the time
      ring.advance(at);
    }
  }
  __device__ void down(int /*slice*/, int group) {
    if (group == known) {
      const int experts = min(group_experts, chosen.count - group * group_experts);
      wait_until(p.buffers.counters + group, experts * plan.expert_slices());
      fence_proxy_async_all();
      ++known;
      if (known == divided_up(chosen.count, group_experts)) leave();
    }
    const RowTiles& gated = p.buffers.gated;
    const int rows = divided_up(chosen.columns_of(group), 8) * 8;
    const auto bytes = static_cast<std::uint32_t>(rows * row_bytes);
    for (int panel = 0; panel < gated.panels(); panel += stage_panels) {
      Barrier& full = ring.claim(at);
      full.arrive_expecting(stage_panels * bytes);
#pragma unroll
      for (int i = 0; i < stage_panels; ++i) {
        const std::size_t first = static_cast<std::size_t>(panel + i) * static_cast<std::size_t>(gated.capacity) +
                                  static_cast<std::size_t>(group * plan.group_rows());
        copy_bulk(ring.rows(at) + i * plan.group_rows() * row_bytes, gated.data + first * panel_inputs, bytes, full);
      }
      ring.advance(at);
    }
  }
  /// Once this block does not look at the counters any more. The last block zeroes them: since some have seen each counter
  /// complete, nobody adds to one either.
  __device__ void leave() const {
    std::int32_t* const ended = p.buffers.counters + moe_few_groups_max;
    if (add_acquire_release(ended, 1) + 1 < static_cast<int>(gridDim.x)) return;
    for (int i = 0; i <= moe_few_groups_max; ++i) p.buffers.counters[i] = 0;
  }
};

/// A warpgroup.
struct Computer {
  const Plan& plan;
  const Stages& ring;
  const Chosen& chosen;
  const std::byte* input;  ///< the rows, a panel after the other
  Handover& handover;
  StagePlace at{};
  int handed = 0;  ///< parts

  /// Adds the products of so many panels up, from zero. `rows` says which columns a panel of a stage is multiplied by.
  template <int N, class Rows>
  __device__ __forceinline__ void add_panels(float (&sums)[N / 2], int first, int end, const Rows& rows) {
    set_zero(sums);
    int held = -1;
#pragma unroll 1
    for (int panel = first; panel < end; panel += stage_panels) {
      ring.wait_until_full(at);
      const std::uint64_t a = uniform_descriptor(ring.weights(at));
      wgmma_fence();
#pragma unroll
      for (int i = 0; i < stage_panels; ++i) {
        const std::uint64_t b = rows(panel, i);
#pragma unroll
        for (int step = 0; step < panel_inputs / 16; ++step)
          Wgmma<N>::step(sums, a + i * (tile_elements * 2 >> 4) + step * descriptor_step, b + step * descriptor_step, true);
      }
      wgmma_commit();
      wgmma_wait<1>();
      if (held >= 0) ring.release(held);
      held = at.slot;
      ring.advance(at);
    }
    wait_for_sums(sums);
    if (held >= 0) ring.release(held);
  }

  __device__ __forceinline__ void gate_up(int /*index*/, int /*part*/) {
    // Columns 0 to 7 are the rows' inputs of the first chunk, columns 8 to 15 those of the second one.
    const int distance = (plan.gate_up_chunks - 1) * plan.gate_up_length() * columns * row_bytes;
    const auto rows = [&](int panel, int i) { return uniform_descriptor(input + (panel + i) * columns * row_bytes, distance); };
    float sums[2 * columns / 2];
    add_panels<2 * columns>(sums, 0, plan.gate_up_length(), rows);
    const bool second = static_cast<int>(threadIdx.x) / 32 * plan.gate_up_chunks >= warpgroup / 32;
    float own[columns / 2];
#pragma unroll
    for (int i = 0; i < columns / 2; ++i) own[i] = second ? sums[columns / 2 + i] : sums[i];
    Handover::WarpSums& target = handover.claim(handed);
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      target[lane % 4 * 2 + half][lane / 4] = own[half];
      target[lane % 4 * 2 + half][lane / 4 + 8] = own[half + 2];
    }
    handover.hand(handed++);
  }

  __device__ __forceinline__ void down(int /*slice*/, int group) {
    const auto rows = [&](int, int i) { return uniform_descriptor(ring.rows(at) + i * plan.group_rows() * row_bytes); };
    float total[group_columns / 2];
    set_zero(total);
    float sums[group_columns / 2];
    for (int chunk = 0; chunk < plan.down_chunks; ++chunk) {
      const Panels panels = plan.down_panels(chunk);
      add_panels<group_columns>(sums, panels.first, panels.end, rows);
#pragma unroll
      for (int i = 0; i < group_columns / 2; ++i) total[i] = chunk == 0 ? sums[i] : total[i] + sums[i];
    }
    const int index = group * group_experts + static_cast<int>(threadIdx.x) / 32;
    const int first = chosen.column(index);
    const int count = __popc(chosen.rows[index]);
    const int lane = static_cast<int>(threadIdx.x) % 32;
    Handover::WarpSums& target = handover.claim(handed);
#pragma unroll
    for (int j = 0; j < group_columns / 8; ++j) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int column = j * 8 + lane % 4 * 2 + half - first;
        if (column < 0 || column >= count) continue;
        target[column][lane / 4] = total[4 * j + half];
        target[column][lane / 4 + 8] = total[4 * j + half + 2];
      }
    }
    handover.hand(handed++);
  }
};

/// A warpgroup: a warp 16 outputs of a part, laid out over its lanes as the tensor cores do.
struct Ender {
  const Moe& p;
  const Plan& plan;
  const Chosen& chosen;
  Handover& handover;
  int taken = 0;  ///< parts
  // Of the slice that is being added up:
  float answer[4] = {};  ///< the first outputs of both rows, then the further ones
  float x[4] = {};       ///< likewise
  float next_norm[2] = {};

  __device__ __forceinline__ static int warp() { return static_cast<int>(threadIdx.x) % warpgroup / 32; }
  __device__ __forceinline__ static int output() { return static_cast<int>(threadIdx.x) % 32 / 4; }
  __device__ __forceinline__ static int row(int half) { return static_cast<int>(threadIdx.x) % 4 * 2 + half; }

  __device__ __forceinline__ void gate_up(int index, int part) {
    const int slices = tile_slices / plan.gate_up_chunks;  // of a part
    const auto& sums = handover.receive(taken);
    float gate[2] = {};
    float up[2] = {};
    if (warp() < slices) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        gate[half] = sums[warp()][row(half)][output()];
        up[half] = sums[warp()][row(half)][output() + 8];
        if (slices == tile_slices) continue;
        gate[half] += sums[warp() + slices][row(half)][output()];
        up[half] += sums[warp() + slices][row(half)][output() + 8];
      }
    }
    handover.take(taken++);
    if (warp() >= slices) return;
    const RowTiles& gated = p.buffers.gated;
    const int place = (part * slices + warp()) * slice_outputs / 2 + output();
    const int first_row = index / group_experts * plan.group_rows() + chosen.column(index);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (!chosen.is_of(index, row(half))) continue;
      const float scale = chosen.scale[row(half)];
      gated.data[gated.offset(first_row + chosen.rank(index, row(half)), place)] =
          __float2bfloat16_rn(silu(gate[half] * scale) * (up[half] * scale));
    }
    __syncwarp();
    if (threadIdx.x % 32 == 0) add_release(p.buffers.counters + index / group_experts, 1);
  }

  __device__ __forceinline__ void down(int slice, int group) {
    const bool own = warp() == slice % tile_slices;
    if (own && group == 0) begin_slice(slice);
    const auto& sums = handover.receive(taken);
    if (own) {
      const int first = group * group_experts;
      for (int expert = 0; expert < min(group_experts, chosen.count - first); ++expert)
        add_answer(slice, first + expert, sums[expert]);
    }
    handover.take(taken++);
    if (own && (group + 1) * group_experts >= chosen.count) end_slice(slice);
  }
  __device__ __forceinline__ std::size_t residual_place(int slice, int half) const {
    return static_cast<std::size_t>(row(half)) * static_cast<std::size_t>(p.shape.hidden) + slice * slice_outputs + output();
  }
  /// Reads what the answers are added to: at the end, the whole layer would wait for it.
  __device__ __forceinline__ void begin_slice(int slice) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      next_norm[half] = p.residual.weights[slice * slice_outputs + output() + 8 * half];
      if (row(half) >= p.rows) continue;
      x[half] = __ldcg(p.residual.x + residual_place(slice, half));
      x[half + 2] = __ldcg(p.residual.x + residual_place(slice, half) + 8);
    }
  }
  /// As add_residual.
  __device__ __forceinline__ void end_slice(int slice) const {
    const RowTiles& normed = p.residual.normed;
    const int dim = slice * slice_outputs + output();
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const bool there = row(half) < p.rows;
      const float first = x[half] + answer[half];
      const float second = x[half + 2] + answer[half + 2];
      float square = fmaf(second, second, first * first);
      square += __shfl_xor_sync(all_lanes, square, 4);
      square += __shfl_xor_sync(all_lanes, square, 8);
      square += __shfl_xor_sync(all_lanes, square, 16);
      if (!there) continue;
      float* const place = p.residual.x + residual_place(slice, half);
      place[0] = first;
      place[8] = second;
      normed.data[normed.offset(row(half), dim)] = __float2bfloat16_rn(first * next_norm[0]);
      normed.data[normed.offset(row(half), dim + 8)] = __float2bfloat16_rn(second * next_norm[1]);
      if (output() == 0)
        p.residual.squares[static_cast<std::size_t>(slice) * static_cast<std::size_t>(normed.capacity) + row(half)] = square;
    }
  }
  __device__ __forceinline__ void add_answer(int slice, int index, const Handover::WarpSums& sums) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (!chosen.is_of(index, row(half))) continue;
      const int choice = chosen.choice[index][row(half)];
      const float weight = chosen.weight[row(half)][choice];
      const float upper = sums[chosen.rank(index, row(half))][output()];
      const float lower = sums[chosen.rank(index, row(half))][output() + 8];
      // The product is not to be fused with a sum that follows.
      answer[half] = choice == 0 ? __fmul_rn(weight, upper) : fmaf(weight, upper, answer[half]);
      answer[half + 2] = choice == 0 ? __fmul_rn(weight, lower) : fmaf(weight, lower, answer[half + 2]);
      const auto slot = static_cast<std::size_t>(row(half) * p.shape.chosen + choice);
      float* const output_place =
          p.buffers.outputs + slot * static_cast<std::size_t>(p.shape.hidden) + slice * slice_outputs + output();
      output_place[0] = upper;
      output_place[8] = lower;
    }
  }
};

/// A warp: brings the rows that gates and ups are multiplied by, each chunk's as many panels as the longest one has.
__device__ __forceinline__ void bring_input(const Moe& p, const Plan& plan, std::byte* input, Barrier& there) {
  constexpr int bytes = columns * row_bytes;  // of a panel
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (lane == 0) there.arrive_expecting(static_cast<std::uint32_t>(p.input.panels() * bytes));
  __syncwarp();
  fence_proxy_async_all();
  for (int chunk = 0; chunk < plan.gate_up_chunks; ++chunk) {
    const auto [first, end] = plan.gate_up_panels(chunk);
    for (int panel = first + lane; panel < end; panel += 32) {
      copy_bulk(input + (chunk * plan.gate_up_length() + panel - first) * bytes,
                p.input.data + static_cast<std::size_t>(panel) * static_cast<std::size_t>(p.input.capacity) * panel_inputs,
                bytes, there);
    }
  }
}
/// By all threads of the block: what is beyond a chunk's panels is multiplied by zero.
__device__ __forceinline__ void fill_input(const Plan& plan, std::byte* input) {
  constexpr int words = columns * row_bytes / 4;  // of a panel
  const int first = plan.gate_up_panels(0).end * words;
  for (int i = first + static_cast<int>(threadIdx.x); i < plan.gate_up_length() * words; i += static_cast<int>(blockDim.x))
    reinterpret_cast<std::uint32_t*>(input)[i] = 0;
  fence_proxy_async();
}

enum Warp : int { computing = 0, ending = warpgroup / 32, streaming_weights = 2 * warpgroup / 32, streaming_rows, warps };
constexpr int threads = warps * 32;

template <int Each>
__global__ void __launch_bounds__(threads, 1) few_rows_layer(const __grid_constant__ Moe p) {
  extern __shared__ std::byte unaligned[];
  __shared__ Stages::Barriers barriers;
  __shared__ Barrier input_there;
  __shared__ Handover handover;
  __shared__ Chosen chosen;
  std::byte* const memory = unaligned + (1024 - shared_address(unaligned) % 1024) % 1024;
  const Plan plan = plan_of(p.shape, p.rows);
  const Stages ring{memory + plan.input_bytes(), barriers, plan.stages(), plan.stage_bytes(), plan.stage_row_bytes()};
  const int warp = static_cast<int>(threadIdx.x) / 32;
  if (threadIdx.x == 0) {
    barriers.init();
    input_there.init(1);
    handover.init();
    fence_barrier_init();
  }
  fill_input(plan, memory);
  chosen.clear();
  __syncthreads();
  let_next_begin();
  wait_for_previous();
  if (warp == streaming_rows) bring_input(p, plan, memory, input_there);
  choose<Each>(p, chosen);
  if (warp < ending) {
    input_there.wait(0);
    Computer role{plan, ring, chosen, memory, handover};
    walk(plan, chosen.count, role);
  } else if (warp < streaming_weights) {
    Ender role{p, plan, chosen, handover};
    walk(plan, chosen.count, role);
  } else if (warp == streaming_weights) {
    WeightStreamer role{p, plan, ring, chosen};
    walk(plan, chosen.count, role);
  } else if (is_elected()) {
    RowStreamer role{p, plan, ring, chosen};
    walk(plan, chosen.count, role);
    if (role.known == 0) role.leave();
  }
}

template <int Each>
cudaError_t launch_layer(cudaStream_t stream, const Moe& p) {
  const LaunchShape shape{dim3(static_cast<unsigned>(processors())), threads, plan_of(p.shape, p.rows).shared_bytes()};
  return launch(stream, shape, few_rows_layer<Each>, p);
}

}  // namespace

bool moe_few_rows_fits(const MoeShape& shape, int rows) {
  return rows <= moe_few_rows_max && plan_of(shape, rows).stages() >= stages_min;
}

cudaError_t moe_few_rows(cudaStream_t stream, const Moe& arguments) {
  return arguments.shape.experts <= 128 ? launch_layer<4>(stream, arguments)
                                        : launch_layer<moe_experts_max / 32>(stream, arguments);
}

}  // namespace troupe::kernels::cuda
