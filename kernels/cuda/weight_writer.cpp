#include "kernels/cuda/weight_writer.hpp"

#include <algorithm>
#include <cstring>

#include "base/check.hpp"
#include "kernels/cuda/packing.hpp"
#include "kernels/processors.hpp"

namespace troupe::kernels::cuda {

namespace {

constexpr int threads_max = 8;                                  // more do not read a page cache faster
constexpr std::size_t copy_bytes_min = std::size_t{512} << 10;  // that are worth another thread

Alternation alternation_of(OutputKind outputs) {
  return outputs == OutputKind::gates_and_ups ? Alternation::gates_and_ups : Alternation::none;
}

WeightTiles tiles_of(const PackedMatrix& matrix) {
  const WeightTiles tiles{reinterpret_cast<const __nv_bfloat16*>(matrix.data), matrix.outputs, matrix.inputs};
  TROUPE_CHECK(packed_bytes(DeviceKind::cuda, matrix.outputs, matrix.inputs) == tiles.elements() * sizeof(bf16),
               "who plans memory and who writes to it agree on a matrix's bytes");
  return tiles;
}

__nv_bfloat16* target_of(const PackedMatrix& matrix) {
  return const_cast<__nv_bfloat16*>(reinterpret_cast<const __nv_bfloat16*>(matrix.data));
}

}  // namespace

Result<std::unique_ptr<WeightWriter>> CudaWeightWriter::create(CudaDevice& device) {
  auto writer = std::unique_ptr<CudaWeightWriter>(new CudaWeightWriter(device));
  for (Buffer& buffer : writer->buffers_) {
    TROUPE_TRY(buffer.host, device.allocate_host(buffer_bytes));
    TROUPE_TRY(buffer.device, device.allocate(buffer_bytes));
  }
  return std::unique_ptr<WeightWriter>(std::move(writer));
}

CudaWeightWriter::CudaWeightWriter(CudaDevice& device)
    : device_(device), threads_(std::min(usable_processors(), threads_max)) {}

CudaWeightWriter::~CudaWeightWriter() { device_.stream().synchronize(); }

CudaWeightWriter::Buffer& CudaWeightWriter::fill(const void* source, std::size_t bytes) {
  Buffer& buffer = buffers_[next_++ % buffers_.size()];
  buffer.used.wait();
  auto* const target = buffer.host.as<std::byte>();
  const auto* const from = static_cast<const std::byte*>(source);
  const int parts = static_cast<int>((bytes + copy_bytes_min - 1) / copy_bytes_min);
  threads_.run(parts, [&](int part) {
    const std::size_t first = static_cast<std::size_t>(part) * copy_bytes_min;
    std::memcpy(target + first, from + first, std::min(copy_bytes_min, bytes - first));
  });
  return buffer;
}

void CudaWeightWriter::copy(void* target, const void* source, std::size_t bytes) {
  for (std::size_t done = 0; done < bytes;) {
    const std::size_t now = std::min(buffer_bytes, bytes - done);
    Buffer& buffer = fill(static_cast<const std::byte*>(source) + done, now);
    device_.stream().copy(static_cast<std::byte*>(target) + done, buffer.host.as<std::byte>(), now);
    buffer.used.record(device_.stream());
    done += now;
  }
}

void CudaWeightWriter::pack_rows(const PackRows& arguments) {
  const std::size_t row_bytes = static_cast<std::size_t>(arguments.matrix.inputs) * sizeof(bf16);
  const auto rows_max = static_cast<std::int32_t>(buffer_bytes / row_bytes);
  TROUPE_CHECK(rows_max > 0, "a config's widths are limited, so that rows fit");
  for (std::int32_t done = 0; done < arguments.count;) {
    const std::int32_t now = std::min(rows_max, arguments.count - done);
    const std::size_t bytes = static_cast<std::size_t>(now) * row_bytes;
    Buffer& buffer =
        fill(arguments.rows + static_cast<std::size_t>(done) * static_cast<std::size_t>(arguments.matrix.inputs), bytes);
    device_.stream().copy(buffer.device.data(), buffer.host.as<std::byte>(), bytes);
    PackTiles pack;
    pack.target = target_of(arguments.matrix);
    pack.matrix = tiles_of(arguments.matrix);
    pack.alternation = alternation_of(arguments.outputs);
    pack.first_output = arguments.first_output + done;
    pack.count = now;
    pack.rows = buffer.device.as<__nv_bfloat16>();
    check_device(pack_tiles(device_.stream().handle(), pack), "packing weights");
    buffer.used.record(device_.stream());
    done += now;
  }
}

void CudaWeightWriter::fill_random(const FillRandom& arguments) {
  Buffer& buffer = fill(arguments.table.data(), arguments.table.size_bytes());
  device_.stream().copy(buffer.device.data(), buffer.host.as<std::byte>(), arguments.table.size_bytes());
  FillTiles filling;
  filling.target = target_of(arguments.matrix);
  filling.matrix = tiles_of(arguments.matrix);
  filling.alternation = alternation_of(arguments.outputs);
  filling.key = arguments.key;
  filling.table = buffer.device.as<__nv_bfloat16>();
  check_device(fill_tiles(device_.stream().handle(), filling), "making random weights");
  buffer.used.record(device_.stream());
}

}  // namespace troupe::kernels::cuda
