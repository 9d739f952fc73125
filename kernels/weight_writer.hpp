// Writes weights into a device's memory, in the layout in which its matrix products read them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.hpp"
#include "kernels/device.hpp"
#include "kernels/packed_matrix.hpp"
#include "kernels/random_words.hpp"

namespace troupe::kernels {

/// What a matrix's outputs are. A device whose products multiply gates and ups on the way stores them side by side.
enum class OutputKind : std::uint8_t { plain, gates_and_ups };  ///< the latter: gates are the first half

/// Rows [count, inputs] of a checkpoint, host memory, that become outputs `first_output`.. of a matrix.
struct PackRows {
  PackedMatrix matrix;  ///< its data is the device's, zeroed when it was allocated
  OutputKind outputs = OutputKind::plain;
  std::int32_t first_output = 0;
  std::int32_t count = 0;
  const bf16* rows = nullptr;
};

/// A whole matrix of entries of a table, chosen by random_index(key, output, input): the same on every device.
struct FillRandom {
  PackedMatrix matrix;
  OutputKind outputs = OutputKind::plain;
  std::uint64_t key = 0;
  std::span<const bf16, random_table_size> table;
};

/// Used by one thread at a time, which may use the device's stream. The device must outlive it. What it is given is read before
/// its functions return, and is on the device once `finish` has returned.
class WeightWriter {
 public:
  virtual ~WeightWriter() = default;
  virtual void pack_rows(const PackRows& arguments) = 0;
  virtual void fill_random(const FillRandom& arguments) = 0;
  virtual void copy(void* target, const void* source, std::size_t bytes) = 0;
  virtual void finish() = 0;
};

/// A CPU's, which writes at once.
std::unique_ptr<WeightWriter> host_weight_writer();

}  // namespace troupe::kernels
