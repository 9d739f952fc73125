#include "storage/node_address.hpp"

#include <fstream>
#include <system_error>
#include <utility>

#include "model/file.hpp"

namespace troupe::storage {

namespace {

// Two lines: the node's name, and its address.
constexpr const char* file_name = "address";
constexpr std::size_t file_bytes_max = 4096;

}  // namespace

Result<void> write_address(const std::filesystem::path& data_folder, const NodeAddress& address) {
  const std::filesystem::path file = data_folder / file_name;
  const std::filesystem::path fresh = data_folder / (std::string(file_name) + ".new");
  std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
  out << address.node.value << '\n' << address.clients << '\n';
  out.close();
  std::error_code problem;
  if (out) std::filesystem::rename(fresh, file, problem);  // whole, or not there
  if (out && !problem) return {};
  return Error{ErrorCode::io, "cannot write " + file.string() + (problem ? ": " + problem.message() : std::string())};
}

void forget_address(const std::filesystem::path& data_folder) {
  std::error_code ignored;
  std::filesystem::remove(data_folder / file_name, ignored);
}

std::optional<NodeAddress> read_address(const std::filesystem::path& data_folder) {
  const auto text = model::read_file(data_folder / file_name, file_bytes_max);
  if (!text) return std::nullopt;
  const std::size_t first = text->find('\n');
  const std::size_t second = first == std::string::npos ? first : text->find('\n', first + 1);
  if (second == std::string::npos || second + 1 != text->size()) return std::nullopt;
  NodeAddress address{{text->substr(0, first)}, text->substr(first + 1, second - first - 1)};
  if (address.node.value.empty() || address.clients.empty()) return std::nullopt;
  return address;
}

}  // namespace troupe::storage
