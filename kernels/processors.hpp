// How many processors this process may keep busy: what the scheduler lets it run on, and what a container's quota pays for.
#pragma once

#include <filesystem>
#include <optional>

namespace troupe::kernels {

/// Processors in this process's affinity mask, at most the whole ones of its cgroup quota; at least 1.
int usable_processors();

/// The smallest CPU quota, in processors (1.5 is one and a half), of this process's cgroup and those around it, version 2
/// or 1; empty if there is none. `root` is where /proc and /sys are.
std::optional<double> cgroup_quota(const std::filesystem::path& root = "/");

}  // namespace troupe::kernels
