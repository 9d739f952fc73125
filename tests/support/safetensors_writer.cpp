#include "tests/support/safetensors_writer.hpp"

#include <fstream>

#include "base/check.hpp"

namespace troupe::tests {

std::string safetensors_prefix(std::uint64_t length, std::string_view rest) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(length >> (8 * i));
  return bytes.append(rest);
}

std::string safetensors_bytes(std::string_view header, std::string_view data) {
  return safetensors_prefix(header.size(), std::string(header).append(data));
}

std::string safetensors_bytes(std::span<const TensorToWrite> tensors, std::size_t header_padding) {
  std::string header = "{\"__metadata__\":{\"format\":\"pt\"}";
  std::string data;
  for (const auto& tensor : tensors) {
    header += ",\"" + tensor.name + "\":{\"dtype\":\"" + tensor.dtype + "\",\"shape\":[";
    for (std::size_t axis = 0; axis < tensor.shape.size(); ++axis)
      header += (axis == 0 ? "" : ",") + std::to_string(tensor.shape[axis]);
    header +=
        "],\"data_offsets\":[" + std::to_string(data.size()) + "," + std::to_string(data.size() + tensor.bytes.size()) + "]}";
    data += tensor.bytes;
  }
  header += "}";
  while (header.size() % 8 != 0) header += ' ';
  return safetensors_bytes(header + std::string(header_padding, ' '), data);
}

void write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  TROUPE_CHECK(file.flush().good(), "a test can write its files");
}

}  // namespace troupe::tests
