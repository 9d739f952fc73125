#include "kernels/cuda/matmul.hpp"

#include <algorithm>

#include "kernels/cuda/exchange.cuh"
#include "kernels/cuda/fragments.cuh"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/wgmma.cuh"

namespace troupe::kernels::cuda {

namespace {

constexpr int tile_bytes = tile_elements * 2;  // one panel of a weight tile
constexpr int row_bytes = panel_inputs * 2;

/// Adds a panel to the sums of a warpgroup's tile. Asynchronous: committed as one group.
template <int N>
__device__ __forceinline__ void add_panel(float (&sums)[N / 2], const void* weights, const void* rows, bool add) {
  const std::uint64_t a = tile_descriptor(weights);
  const std::uint64_t b = tile_descriptor(rows);
#pragma unroll
  for (int step = 0; step < panel_inputs / 16; ++step) {
    Wgmma<N>::step(sums, a + step * descriptor_step, b + step * descriptor_step, add || step > 0);
  }
}

/// Does with a tile's sums, of rows from first_row on, what the product is for.
template <int N>
__device__ __forceinline__ void end_tile(const Product& p, int tile, int first_row, const float (&sums)[N / 2]) {
  const int rows = p.rows - first_row;
  const float* const scales = p.row_scales == nullptr ? nullptr : p.row_scales + first_row;
  if (p.output != nullptr) {
    const auto stride = static_cast<std::size_t>(p.output_stride);
    float* const target = p.output + static_cast<std::size_t>(first_row) * stride + tile * tile_outputs;
    write_rows<N>(sums, target, stride, rows, p.weight.outputs - tile * tile_outputs, scales);
  } else if (p.residual.x != nullptr) {
    add_residual<N>(sums, p.residual, first_row, tile, rows);
  } else {
    write_gated<N>(sums, p.gated, first_row, tile * tile_outputs / 2, rows, scales);
  }
}

// Few rows: one block a tile and chunk. A producer warp streams the weights through a ring, and begins before the kernel that
// computes the rows has ended; a warpgroup multiplies.

template <int N>
struct FewRows {
  static constexpr int stage_panels = 2;
  static constexpr int stage_bytes = stage_panels * (tile_bytes + N * row_bytes);
  static constexpr int ring_bytes = N <= 64 ? 96 * 1024 : 192 * 1024;
  static constexpr int stages = ring_bytes / stage_bytes;
  static constexpr int shared_bytes = stages * stage_bytes + 1024;
  static constexpr int threads = warpgroup + 32;
};

template <int N>
__device__ void stream_few_rows(const Product& p, int tile, Panels panels, int first_row, std::byte* ring, Barrier* full,
                                Barrier* empty) {
  using Shape = FewRows<N>;
  const int steps = (panels.end - panels.first) / Shape::stage_panels;
  const int copied_rows = min(N, p.input.capacity - first_row);
  const bf16* const weights =
      p.weight.data + static_cast<std::size_t>(tile) * static_cast<std::size_t>(p.weight.panels()) * tile_elements;
  const auto copy_weights = [&](int step) {
    Barrier& barrier = full[step % Shape::stages];
    barrier.arrive_expecting(static_cast<std::uint32_t>(Shape::stage_panels * (tile_bytes + copied_rows * row_bytes)));
    copy_bulk_once(ring + step % Shape::stages * Shape::stage_bytes,
                   weights + static_cast<std::size_t>(panels.first + step * Shape::stage_panels) * tile_elements,
                   Shape::stage_panels * tile_bytes, barrier);
  };
  const auto copy_rows = [&](int step) {
    std::byte* const target = ring + step % Shape::stages * Shape::stage_bytes + Shape::stage_panels * tile_bytes;
    for (int i = 0; i < Shape::stage_panels; ++i) {
      const int panel = panels.first + step * Shape::stage_panels + i;
      copy_bulk(target + i * N * row_bytes,
                p.input.data + (static_cast<std::size_t>(panel) * static_cast<std::size_t>(p.input.capacity) +
                                static_cast<std::size_t>(first_row)) *
                                   panel_inputs,
                static_cast<std::uint32_t>(copied_rows * row_bytes), full[step % Shape::stages]);
    }
  };
  const int ahead = min(steps, Shape::stages);
  for (int step = 0; step < ahead; ++step) copy_weights(step);
  wait_for_previous();
  for (int step = 0; step < ahead; ++step) copy_rows(step);
  for (int step = ahead; step < steps; ++step) {
    empty[step % Shape::stages].wait((step / Shape::stages - 1) & 1);
    copy_weights(step);
    copy_rows(step);
  }
}

template <int N, bool Chunked>
__global__ void __launch_bounds__(FewRows<N>::threads) few_rows(const Product p, const int chunks) {
  using Shape = FewRows<N>;
  extern __shared__ std::byte unaligned[];
  __shared__ Barrier full[Shape::stages];
  __shared__ Barrier empty[Shape::stages];
  __shared__ Exchange<N> exchange;
  std::byte* const ring = unaligned + (1024 - shared_address(unaligned) % 1024) % 1024;
  const int chunk = Chunked ? static_cast<int>(blockIdx.x) % chunks : 0;
  const int tile = Chunked ? static_cast<int>(blockIdx.x) / chunks : static_cast<int>(blockIdx.x);
  const int first_row = static_cast<int>(blockIdx.y) * N;
  const Panels panels = panels_of_chunk(p.weight.panels(), chunk, Chunked ? chunks : 1);
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < Shape::stages; ++stage) {
      full[stage].init(1);
      empty[stage].init(warpgroup / 32);
    }
    exchange.init();
    fence_barrier_init();
  }
  __syncthreads();
  if constexpr (Chunked) cluster_sync();  // nobody sends before the barriers are there
  let_next_begin();
  if (threadIdx.x >= warpgroup) {
    if (threadIdx.x == warpgroup) stream_few_rows<N>(p, tile, panels, first_row, ring, full, empty);
  } else {
    float sums[N / 2];
    for (int panel = 0; panel < panels.end - panels.first; ++panel) {
      const int step = panel / Shape::stage_panels;
      const int half = panel % Shape::stage_panels;
      const std::byte* const stage = ring + step % Shape::stages * Shape::stage_bytes;
      full[step % Shape::stages].wait((step / Shape::stages) & 1);
      wgmma_fence();
      add_panel<N>(sums, stage + half * tile_bytes, stage + Shape::stage_panels * tile_bytes + half * N * row_bytes, panel > 0);
      wgmma_commit();
      wgmma_wait<1>();
      if (half == 0 && step > 0 && threadIdx.x % 32 == 0) empty[(step - 1) % Shape::stages].arrive();
    }
    wgmma_wait<0>();
    if (!Chunked || exchange_chunks<N>(exchange, 0, chunk, sums)) end_tile<N>(p, tile, first_row, sums);
  }
  if constexpr (Chunked) {
    __syncwarp();
    cluster_sync();  // nobody's memory goes while others send to it
  }
}

// Many rows: persistent blocks; two warpgroups multiply 64 outputs each by the same N rows, a third one brings panels.

template <int N>
struct ManyRows {
  static constexpr int stage_bytes = 2 * tile_bytes + N * row_bytes;
  static constexpr int stages = 220 * 1024 / stage_bytes;
  static constexpr int shared_bytes = stages * stage_bytes + 1024;
  static constexpr int threads = 3 * warpgroup;
  static constexpr int group_tiles = 8;  ///< pairs of tiles that are multiplied by all rows before the next ones are
};

struct Place {
  int tile;
  int first_row;
};
/// The unit-th product of a pair of tiles and N rows, in an order that keeps what is shared in the L2 cache.
template <int N>
__device__ __forceinline__ Place place_of(const Product& p, int unit) {
  constexpr int group = ManyRows<N>::group_tiles;
  const int pairs = divided_up(p.weight.tiles(), 2);
  const int row_tiles = divided_up(p.rows, N);
  const int first_pair = unit / (group * row_tiles) * group;
  const int width = min(group, pairs - first_pair);
  const int within = unit - first_pair * row_tiles;
  return {(first_pair + within % width) * 2, within / width * N};
}

template <int N, bool Chunked>
__global__ void __launch_bounds__(ManyRows<N>::threads, 1) many_rows(const Product p, const int chunks) {
  using Shape = ManyRows<N>;
  extern __shared__ std::byte unaligned[];
  __shared__ Barrier full[Shape::stages];
  __shared__ Barrier empty[Shape::stages];
  std::byte* const ring = unaligned + (1024 - shared_address(unaligned) % 1024) % 1024;
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < Shape::stages; ++stage) {
      full[stage].init(1);
      empty[stage].init(2 * warpgroup / 32);
    }
    fence_barrier_init();
  }
  __syncthreads();
  let_next_begin();
  const int tiles = p.weight.tiles();
  const int panels = p.weight.panels();
  const int units = divided_up(tiles, 2) * divided_up(p.rows, N);
  int step = 0;  // of the ring, over all units
  if (threadIdx.x < warpgroup) {
    give_registers<40>();
    if (threadIdx.x != 0) return;
    wait_for_previous();
    for (int unit = static_cast<int>(blockIdx.x); unit < units; unit += static_cast<int>(gridDim.x)) {
      const Place place = place_of<N>(p, unit);
      const int copied_rows = min(N, p.input.capacity - place.first_row);
      const int second = min(place.tile + 1, tiles - 1);
      for (int panel = 0; panel < panels; ++panel, ++step) {
        const int slot = step % Shape::stages;
        std::byte* const stage = ring + slot * Shape::stage_bytes;
        if (step >= Shape::stages) empty[slot].wait((step / Shape::stages - 1) & 1);
        full[slot].arrive_expecting(static_cast<std::uint32_t>(2 * tile_bytes + copied_rows * row_bytes));
        const auto weights = [&](int tile) {
          return p.weight.data +
                 (static_cast<std::size_t>(tile) * static_cast<std::size_t>(panels) + static_cast<std::size_t>(panel)) *
                     tile_elements;
        };
        copy_bulk(stage, weights(place.tile), tile_bytes, full[slot]);
        copy_bulk(stage + tile_bytes, weights(second), tile_bytes, full[slot]);
        copy_bulk(stage + 2 * tile_bytes,
                  p.input.data + (static_cast<std::size_t>(panel) * static_cast<std::size_t>(p.input.capacity) +
                                  static_cast<std::size_t>(place.first_row)) *
                                     panel_inputs,
                  static_cast<std::uint32_t>(copied_rows * row_bytes), full[slot]);
      }
    }
    return;
  }
  take_registers<232>();
  const int side = static_cast<int>(threadIdx.x) / warpgroup - 1;
  const bool leads = threadIdx.x % 32 == 0;  // each warp says when it has read a stage
  for (int unit = static_cast<int>(blockIdx.x); unit < units; unit += static_cast<int>(gridDim.x)) {
    const Place place = place_of<N>(p, unit);
    float sums[N / 2];
    [[maybe_unused]] float total[Chunked ? N / 2 : 1];
    int panel = 0;
    for (int chunk = 0; chunk < (Chunked ? chunks : 1); ++chunk) {
      const int end = Chunked ? panels_of_chunk(panels, chunk, chunks).end : panels;
      for (int first = panel; panel < end; ++panel, ++step) {
        full[step % Shape::stages].wait((step / Shape::stages) & 1);
        const std::byte* const stage = ring + step % Shape::stages * Shape::stage_bytes;
        wgmma_fence();
        add_panel<N>(sums, stage + side * tile_bytes, stage + 2 * tile_bytes, panel > first);
        wgmma_commit();
        wgmma_wait<1>();
        if (panel > first && leads) empty[(step - 1) % Shape::stages].arrive();
      }
      wgmma_wait<0>();
      if (leads) empty[(step - 1) % Shape::stages].arrive();
      if constexpr (Chunked) {
#pragma unroll
        for (int i = 0; i < N / 2; ++i) total[i] = chunk == 0 ? sums[i] : total[i] + sums[i];
      }
    }
    if (place.tile + side >= tiles) continue;
    if constexpr (Chunked) {
      end_tile<N>(p, place.tile + side, place.first_row, total);
    } else {
      end_tile<N>(p, place.tile + side, place.first_row, sums);
    }
  }
}

int processors() {
  static const int count = [] {
    int device = 0;
    int value = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, device);
    return value;
  }();
  return count;
}

template <int N>
cudaError_t launch_few_rows(cudaStream_t stream, const Product& p, int chunks) {
  using Shape = FewRows<N>;
  const LaunchShape shape{dim3(static_cast<unsigned>(p.weight.tiles() * chunks), static_cast<unsigned>(divided_up(p.rows, N))),
                          Shape::threads, Shape::shared_bytes, chunks};
  return chunks == 1 ? launch(stream, shape, few_rows<N, false>, p, chunks)
                     : launch(stream, shape, few_rows<N, true>, p, chunks);
}

template <int N, bool Chunked>
cudaError_t launch_many_rows(cudaStream_t stream, const Product& p, int chunks) {
  using Shape = ManyRows<N>;
  const int units = divided_up(p.weight.tiles(), 2) * divided_up(p.rows, N);
  const LaunchShape shape{dim3(static_cast<unsigned>(std::min(units, processors()))), Shape::threads, Shape::shared_bytes, 1};
  return launch(stream, shape, many_rows<N, Chunked>, p, chunks);
}

__global__ void __launch_bounds__(warpgroup)
    scale_rows(const ResidualRows residual, const int rows, const float epsilon, float* scales) {
  let_next_begin();
  wait_for_previous();
  const int row = static_cast<int>(blockIdx.x * (warpgroup / 4) + threadIdx.x / 4);
  const auto stride = static_cast<std::size_t>(residual.normed.capacity);
  const float scale =
      norm_scale(residual.squares + min(row, rows - 1), stride, divided_up(residual.hidden, 16), residual.hidden, epsilon);
  if (row < rows && threadIdx.x % 4 == 0) scales[row] = scale;
}

}  // namespace

cudaError_t norm_scales(cudaStream_t stream, const ResidualRows& residual, int rows, float epsilon, float* scales) {
  const LaunchShape shape{dim3(static_cast<unsigned>(divided_up(rows, warpgroup / 4))), warpgroup};
  return launch(stream, shape, scale_rows, residual, rows, epsilon, scales);
}

cudaError_t product(cudaStream_t stream, const Product& arguments) {
  const int chunks = k_chunks(arguments.weight);
  if (arguments.rows <= 8) return launch_few_rows<8>(stream, arguments, chunks);
  if (arguments.rows <= 16) return launch_few_rows<16>(stream, arguments, chunks);
  if (arguments.rows <= 32) return launch_few_rows<32>(stream, arguments, chunks);
  if (arguments.rows <= 64) return launch_few_rows<64>(stream, arguments, chunks);
  if (arguments.rows <= 128) return launch_few_rows<128>(stream, arguments, chunks);
  return chunks == 1 ? launch_many_rows<256, false>(stream, arguments, chunks)
                     : launch_many_rows<192, true>(stream, arguments, chunks);
}

}  // namespace troupe::kernels::cuda
