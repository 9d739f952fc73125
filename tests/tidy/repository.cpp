#include "tests/tidy/repository.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>

namespace troupe::tidy {

namespace fs = std::filesystem;

namespace {

/// Empty if git cannot tell.
std::set<std::string> files_of_git(const fs::path& root) {
  std::set<std::string> paths;
  if (!fs::exists(root / ".git")) return paths;  // an archive unpacked inside another repository is not that repository
  const std::string command = "git -C '" + root.string() + "' ls-files -z --cached --others --exclude-standard 2>/dev/null";
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return paths;
  std::string path;
  for (int character = std::fgetc(pipe); character != EOF; character = std::fgetc(pipe)) {
    if (character != 0) {
      path += static_cast<char>(character);
      continue;
    }
    if (fs::is_regular_file(root / path)) paths.insert(path);  // one that is deleted but not committed is not there
    path.clear();
  }
  if (pclose(pipe) != 0) paths.clear();
  return paths;
}

std::set<std::string> files_of_folder(const fs::path& root) {
  const std::set<std::string> leftovers = {".git", ".cache", "build", "__pycache__", "compile_commands.json"};
  std::set<std::string> paths;
  for (auto entry = fs::recursive_directory_iterator(root); entry != fs::recursive_directory_iterator(); ++entry) {
    if (leftovers.contains(entry->path().filename().string())) {
      if (entry->is_directory()) entry.disable_recursion_pending();
    } else if (entry->is_regular_file()) {
      paths.insert(entry->path().lexically_relative(root).generic_string());
    }
  }
  return paths;
}

bool is_text(const std::string& content) {
  constexpr std::size_t looked_at = 4096;
  return content.substr(0, looked_at).find('\0') == std::string::npos;
}

}  // namespace

std::string_view File::folder() const {
  const auto slash = path.find('/');
  return slash == std::string::npos ? std::string_view() : std::string_view(path).substr(0, slash);
}

std::string_view File::extension() const {
  const std::string_view name = std::string_view(path).substr(path.rfind('/') + 1);
  const auto dot = name.rfind('.');
  return dot == std::string_view::npos || dot == 0 ? std::string_view() : name.substr(dot);
}

std::vector<File> read_repository(const fs::path& root) {
  auto paths = files_of_git(root);
  if (paths.empty()) paths = files_of_folder(root);
  std::vector<File> files;
  for (const std::string& path : paths) {
    std::ifstream stream(root / path, std::ios::binary);
    File file{path, {std::istreambuf_iterator<char>(stream), {}}, 0, false};
    // A link takes no room beside what it leads to.
    file.bytes = fs::is_symlink(root / path) ? 0 : file.text.size();
    if (!is_text(file.text)) file.text.clear();
    file.executable = (fs::status(root / path).permissions() & fs::perms::owner_exec) != fs::perms::none;
    files.push_back(std::move(file));
  }
  return files;
}

}  // namespace troupe::tidy
