// Makes safetensors files for tests: right ones from tensors, and wrong ones from any header at all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::tests {

struct TensorToWrite {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::string bytes;
};

/// A well-formed file: tensors in the given order, the header padded with spaces to a multiple of eight. `header_padding` more
/// spaces move the data to other addresses.
std::string safetensors_bytes(std::span<const TensorToWrite> tensors, std::size_t header_padding = 0);

/// The length of `header`, the header, `data`: whatever they say.
std::string safetensors_bytes(std::string_view header, std::string_view data);

/// A length prefix that may lie, and what follows it.
std::string safetensors_prefix(std::uint64_t length, std::string_view rest);

/// The bytes of `values`, as they are in memory.
template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

void write_file(const std::filesystem::path& path, std::string_view bytes);

}  // namespace troupe::tests
