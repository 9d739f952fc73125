#include "kernels/processors.hpp"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace troupe::kernels {
namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& path) {
  std::string line;
  std::ifstream file(path);
  std::getline(file, line);
  return line;
}

std::optional<double> positive_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value <= 0) return std::nullopt;
  return value;
}

std::optional<double> ratio(std::string_view quota, std::string_view period) {
  const auto numerator = positive_number(quota);
  const auto denominator = positive_number(period);
  if (!numerator || !denominator) return std::nullopt;
  return *numerator / *denominator;
}

/// "150000 100000" or "max 100000".
std::optional<double> quota_of_version_2(const fs::path& group) {
  const std::string line = first_line(group / "cpu.max");
  const auto space = line.find(' ');
  if (space == std::string::npos) return std::nullopt;
  return ratio(std::string_view(line).substr(0, space), std::string_view(line).substr(space + 1));
}

/// A quota of -1 stands for none.
std::optional<double> quota_of_version_1(const fs::path& group) {
  return ratio(first_line(group / "cpu.cfs_quota_us"), first_line(group / "cpu.cfs_period_us"));
}

void keep_smaller(std::optional<double>& smallest, std::optional<double> quota) {
  if (quota && (!smallest || *quota < *smallest)) smallest = quota;
}

/// Inside a container the group's path may name a place that only the host can see; its mount point then is the group.
template <class Quota>
std::optional<double> smallest_on_path(const fs::path& mount, fs::path group, const Quota& quota) {
  std::optional<double> smallest;
  for (group = group.relative_path(); !group.empty(); group = group.parent_path()) keep_smaller(smallest, quota(mount / group));
  keep_smaller(smallest, quota(mount));
  return smallest;
}

bool names_cpu(std::string_view controllers) {
  for (std::size_t begin = 0; begin <= controllers.size();) {
    const auto comma = std::min(controllers.find(',', begin), controllers.size());
    if (controllers.substr(begin, comma - begin) == "cpu") return true;
    begin = comma + 1;
  }
  return false;
}

/// An affinity mask as large as this kernel's; empty if it cannot be read.
std::optional<int> affinity() {
  for (int processors = 1024; processors <= 1 << 16; processors *= 4) {
    std::vector<cpu_set_t> mask((static_cast<std::size_t>(processors) + CPU_SETSIZE - 1) / CPU_SETSIZE);
    const std::size_t bytes = mask.size() * sizeof(cpu_set_t);
    if (sched_getaffinity(0, bytes, mask.data()) == 0) return CPU_COUNT_S(bytes, mask.data());
    if (errno != EINVAL) break;
  }
  return std::nullopt;
}

}  // namespace

std::optional<double> cgroup_quota(const fs::path& root) {
  std::optional<double> smallest;
  const fs::path mounts = root / "sys/fs/cgroup";
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // hierarchy:controllers:path, no controllers in version 2
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const fs::path group = line.substr(second + 1);
    if (controllers.empty()) {
      keep_smaller(smallest, smallest_on_path(mounts, group, quota_of_version_2));
    } else if (names_cpu(controllers)) {
      for (const char* mount : {"cpu", "cpu,cpuacct"}) {
        keep_smaller(smallest, smallest_on_path(mounts / mount, group, quota_of_version_1));
      }
    }
  }
  return smallest;
}

int usable_processors() {
  int processors = affinity().value_or(std::max(1, static_cast<int>(std::thread::hardware_concurrency())));
  if (const auto quota = cgroup_quota()) processors = std::min(processors, static_cast<int>(std::min(*quota, 1e6)));
  return std::max(1, processors);
}

}  // namespace troupe::kernels
