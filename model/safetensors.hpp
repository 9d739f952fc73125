// The safetensors format (https://github.com/huggingface/safetensors): eight bytes with the header's length (little-endian),
// a header in JSON, and the tensors' bytes one after the other without gaps. Everything that the header claims is checked
// against the file before it is used; what the tensors mean is others' business.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "model/mapped_file.hpp"

namespace troupe::model {

/// The format allows 100 MB; 36 thousand tensors in one file take 6 MB, and a parsed header takes many times its text.
inline constexpr std::size_t safetensors_header_bytes_max = std::size_t{32} << 20;
inline constexpr std::size_t tensor_rank_max = 8;
inline constexpr std::size_t tensor_name_bytes_max = 512;

/// The types whose elements are whole bytes.
enum class DType : std::uint8_t { boolean, u8, i8, f8_e4m3, f8_e5m2, u16, i16, f16, bf16, u32, i32, f32, u64, i64, f64 };
/// As headers spell it: "BF16".
std::string_view to_string(DType dtype);
std::size_t element_bytes(DType dtype);

/// One tensor, row-major, little-endian. Borrows from the file that it is in. `bytes` has exactly the size that dtype and
/// shape demand, and any alignment.
struct TensorView {
  DType dtype = DType::u8;
  std::span<const std::int64_t> shape;
  std::span<const std::byte> bytes;

  std::int64_t elements() const { return static_cast<std::int64_t>(bytes.size() / element_bytes(dtype)); }
};

/// "BF16 [4096, 192]", for messages.
std::string describe(const TensorView& tensor);

/// The tensors of a safetensors file that is in memory. Borrows the bytes.
class TensorTable {
 public:
  /// `corrupt` where the bytes contradict themselves, `too_large` over a limit, `unsupported` for an unknown dtype; errors name
  /// `file_name`, the tensor and the numbers.
  static Result<TensorTable> parse(std::span<const std::byte> file, std::string_view file_name);

  std::size_t size() const { return entries_.size(); }
  /// Ascending.
  std::vector<std::string_view> names() const;
  /// `not_found` names the file and the tensor.
  Result<TensorView> find(std::string_view name) const;

 private:
  struct Entry {
    std::string name;
    DType dtype = DType::u8;
    std::vector<std::int64_t> shape;
    std::size_t begin = 0;  // in the data section
    std::size_t end = 0;
  };
  class Reader;

  std::string file_name_;
  std::span<const std::byte> data_;
  std::vector<Entry> entries_;  // by name
};

/// A safetensors file on disk; owns the mapping that its tensors are views of.
class SafetensorsFile {
 public:
  static Result<SafetensorsFile> open(const std::filesystem::path& path);

  const TensorTable& tensors() const { return tensors_; }
  std::vector<std::string_view> names() const { return tensors_.names(); }
  Result<TensorView> find(std::string_view name) const { return tensors_.find(name); }

 private:
  SafetensorsFile(MappedFile file, TensorTable tensors) : file_(std::move(file)), tensors_(std::move(tensors)) {}

  MappedFile file_;
  TensorTable tensors_;
};

}  // namespace troupe::model
