#include "kernels/cuda/matmul.hpp"

#include <algorithm>
#include <type_traits>

#include "kernels/cuda/exchange.cuh"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/many_rows.cuh"
#include "kernels/cuda/many_rows_in_turn.cuh"
#include "kernels/cuda/many_rows_together.cuh"
#include "kernels/cuda/tile_end.cuh"

namespace troupe::kernels::cuda {

namespace {

constexpr int tile_bytes = tile_elements * 2;  // one panel of a weight tile
constexpr int row_bytes = panel_inputs * 2;

/// Adds a panel to the sums of a warpgroup's tile. Asynchronous: committed as one group.
template <int N>
__device__ __forceinline__ void add_panel(float (&sums)[N / 2], const void* weights, const void* rows, bool add) {
  const std::uint64_t a = uniform_descriptor(weights);
  const std::uint64_t b = uniform_descriptor(rows);
#pragma unroll
  for (int step = 0; step < panel_inputs / 16; ++step) {
    Wgmma<N>::step(sums, a + step * descriptor_step, b + step * descriptor_step, add || step > 0);
  }
}

/// Does with a tile's sums, of rows from first_row on, what the product is for.
template <int N, Ending E>
__device__ __forceinline__ void end_tile(const Product& p, int tile, int first_row, const float (&sums)[N / 2]) {
  const int rows = p.rows - first_row;
  const float* const scales = p.row_scales == nullptr ? nullptr : p.row_scales + first_row;
  if constexpr (E == Ending::rows) {
    const auto stride = static_cast<std::size_t>(p.output_stride);
    float* const target = p.output + static_cast<std::size_t>(first_row) * stride + tile * tile_outputs;
    write_rows<N>(sums, target, stride, rows, p.weight.outputs - tile * tile_outputs, scales);
  } else if constexpr (E == Ending::residual) {
    add_residual<N>(sums, p.residual, first_row, tile, rows);
  } else {
    write_gated<N>(sums, p.gated, first_row, tile * tile_outputs / 2, rows, scales);
  }
}

// Few rows: one block a tile and chunk. A producer warp streams the weights through a ring, and begins before the kernel that
// computes the rows has ended; a warpgroup multiplies.

/// How many blocks share a processor.
enum class Sharing { one_block, two_blocks };

template <int N, Sharing S>
struct FewRows {
  /// Ends as many rows do (tile_end.cuh), through the ring's memory once all products are there.
  static constexpr bool staged = N >= ended_rows;
  static constexpr int stage_panels = 2;
  static constexpr int stage_bytes = stage_panels * (tile_bytes + N * row_bytes);
  static constexpr int ring_bytes = S == Sharing::two_blocks ? 96 * 1024 : 192 * 1024;
  static constexpr int stages = ring_bytes / stage_bytes;
  static constexpr int shared_bytes = 1024 + stages * stage_bytes;
  static constexpr int threads = warpgroup + 32;
};

template <int N, Sharing S>
__device__ void stream_few_rows(const Product& p, int tile, Panels panels, int first_row, std::byte* ring, Barrier* full,
                                Barrier* empty) {
  using Shape = FewRows<N, S>;
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

template <int N, bool Chunked, Sharing S, Ending E>
__global__ void __launch_bounds__(FewRows<N, S>::threads) few_rows(const Product p, const int chunks) {
  using Shape = FewRows<N, S>;
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
    if (is_elected()) stream_few_rows<N, S>(p, tile, panels, first_row, ring, full, empty);
  } else {
    ExchangePart<N> part;
    if constexpr (Chunked) part.prepare(exchange, static_cast<int>(threadIdx.x) / 32, chunk);
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
    if constexpr (Shape::staged) warpgroup_sync();  // nobody reads the ring any more
    if (!Chunked || part.exchange(0, sums)) {
      if constexpr (Shape::staged) {
        end_staged_tile<N, E>(p, tile, first_row, sums, reinterpret_cast<EndStaging*>(ring)[threadIdx.x / 32]);
      } else {
        end_tile<N, E>(p, tile, first_row, sums);
      }
    }
  }
  if constexpr (Chunked) {
    __syncwarp();
    cluster_sync();  // nobody's memory goes while others send to it
  }
}

/// Calls begin with what is known of the product's ending when kernels are compiled.
template <class Begin>
cudaError_t by_ending(const Product& p, const Begin& begin) {
  switch (ending_of(p)) {
    case Ending::rows: return begin(std::integral_constant<Ending, Ending::rows>());
    case Ending::residual: return begin(std::integral_constant<Ending, Ending::residual>());
    case Ending::gated: return begin(std::integral_constant<Ending, Ending::gated>());
  }
  return cudaErrorInvalidValue;
}

template <int N, Sharing S>
cudaError_t launch_few_rows_sharing(cudaStream_t stream, const Product& p) {
  using Shape = FewRows<N, S>;
  const int chunks = k_chunks(p.weight);
  const LaunchShape shape{dim3(static_cast<unsigned>(p.weight.tiles() * chunks), static_cast<unsigned>(divided_up(p.rows, N))),
                          Shape::threads, Shape::shared_bytes, chunks};
  return by_ending(p, [&](auto ending) {
    return chunks == 1 ? launch(stream, shape, few_rows<N, false, S, ending()>, p, chunks)
                       : launch(stream, shape, few_rows<N, true, S, ending()>, p, chunks);
  });
}

template <int N>
cudaError_t launch_few_rows(cudaStream_t stream, const Product& p) {
  if constexpr (N <= 32) {
    return launch_few_rows_sharing<N, Sharing::two_blocks>(stream, p);
  } else if constexpr (N <= 64) {
    const int blocks = p.weight.tiles() * k_chunks(p.weight) * divided_up(p.rows, N);
    return blocks > processors() ? launch_few_rows_sharing<N, Sharing::two_blocks>(stream, p)
                                 : launch_few_rows_sharing<N, Sharing::one_block>(stream, p);
  } else {
    return launch_few_rows_sharing<N, Sharing::one_block>(stream, p);
  }
}

template <int N>
cudaError_t launch_many_rows(cudaStream_t stream, const Product& p) {
  return by_ending(p, [&](auto ending) {
    using Shape = ManyRows<N, ending()>;
    const int units = divided_up(p.weight.tiles(), 2) * divided_up(p.rows, N);
    const LaunchShape shape{dim3(static_cast<unsigned>(std::min(units, processors()))), Shape::threads, Shape::shared_bytes};
    return launch(stream, shape, many_rows<N, ending()>, p);
  });
}

/// Tiles of 128 outputs and rows: by both warpgroups together where no block has more than one, otherwise in turn.
template <Chunks C>
cudaError_t launch_square(cudaStream_t stream, const Product& p) {
  return by_ending(p, [&](auto ending) {
    const int units = divided_up(p.weight.tiles(), 2) * divided_up(p.rows, TileOf<C>::rows);
    const int places = processors() / TileOf<C>::blocks;
    const auto launch_by = [&](auto shape_of, auto kernel) {
      using Shape = decltype(shape_of);
      const dim3 blocks(static_cast<unsigned>(std::min(units, places) * Shape::blocks));
      return launch(stream, {blocks, Shape::threads, Shape::shared_bytes, Shape::blocks}, kernel, p);
    };
    if constexpr (ending() != Ending::gated) {
      if (units <= places) return launch_by(Together<C, ending()>(), many_rows_together<C, ending()>);
    }
    return launch_by(InTurn<C, ending()>(), many_rows_in_turn<C, ending()>);
  });
}

/// By a plan of 128 outputs.
cudaError_t launch_many_rows_by(cudaStream_t stream, const Product& p, const ProductPlan& plan) {
  if (square(plan)) {
    if (plan.split) return launch_square<Chunks::split>(stream, p);
    return k_chunks(p.weight) == 1 ? launch_square<Chunks::one>(stream, p) : launch_square<Chunks::both>(stream, p);
  }
  switch (plan.rows) {
    case 192: return launch_many_rows<192>(stream, p);
    case 256: return launch_many_rows<256>(stream, p);
    default: return cudaErrorInvalidValue;
  }
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
  return product_by(stream, arguments, pick(arguments.weight, arguments.rows, processors(), ending_of(arguments)));
}

cudaError_t product_by(cudaStream_t stream, const Product& arguments, const ProductPlan& plan) {
  if (!fits(plan, arguments.weight)) return cudaErrorInvalidValue;
  const ResidualRows& residual = arguments.residual;
  if (residual.x != nullptr && (residual.hidden != arguments.weight.outputs || residual.hidden % 8 != 0))
    return cudaErrorInvalidValue;
  if (plan.outputs == 2 * tile_outputs) return launch_many_rows_by(stream, arguments, plan);
  switch (plan.rows) {
    case 8: return launch_few_rows<8>(stream, arguments);
    case 16: return launch_few_rows<16>(stream, arguments);
    case 32: return launch_few_rows<32>(stream, arguments);
    case 64: return launch_few_rows<64>(stream, arguments);
    case 128: return launch_few_rows<128>(stream, arguments);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace troupe::kernels::cuda
