#include "kernels/processors.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

namespace troupe::kernels {
namespace {

namespace fs = std::filesystem;

/// A root folder with only the files that a test writes into it.
class Processors : public ::testing::Test {
 protected:
  Processors() : root_(fs::path(testing::TempDir()) / ("processors_" + std::to_string(::getpid()))) {
    fs::create_directories(root_);
  }
  ~Processors() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }

  fs::path root_;
};

TEST_F(Processors, AreAtLeastOneAndAtMostTheQuota) {
  EXPECT_GE(usable_processors(), 1);
  EXPECT_LE(usable_processors(), std::max(1.0, cgroup_quota().value_or(1e9)));
}

TEST_F(Processors, HaveNoQuotaWithoutACgroup) { EXPECT_FALSE(cgroup_quota(root_)); }

TEST_F(Processors, TakeTheQuotaOfVersion2) {
  write("proc/self/cgroup", "0::/a/b\n");
  write("sys/fs/cgroup/a/b/cpu.max", "150000 100000\n");
  EXPECT_EQ(cgroup_quota(root_), 1.5);
}

TEST_F(Processors, TakeTheSmallestQuotaOfTheGroupsAround) {
  write("proc/self/cgroup", "0::/a/b\n");
  write("sys/fs/cgroup/cpu.max", "800000 100000\n");
  write("sys/fs/cgroup/a/cpu.max", "300000 100000\n");
  write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(cgroup_quota(root_), 3.0);
}

TEST_F(Processors, SeeAContainersQuotaAtItsMountPoint) {
  write("proc/self/cgroup", "0::/kubepods/pod1234/5678\n");
  write("sys/fs/cgroup/cpu.max", "200000 100000\n");
  EXPECT_EQ(cgroup_quota(root_), 2.0);
}

TEST_F(Processors, TakeTheQuotaOfVersion1) {
  write("proc/self/cgroup", "5:memory:/x\n3:cpu,cpuacct:/job\n0::/\n");
  write("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "250000\n");
  write("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroup_quota(root_), 2.5);
}

TEST_F(Processors, IgnoreWhatTheyCannotRead) {
  for (const std::string text : {"", "max 100000", "100000", "100000 0", "-5 100000", "much 100000", " 100000"}) {
    write("proc/self/cgroup", "nonsense\n7:cpuset\n0::/\n");
    write("sys/fs/cgroup/cpu.max", text);
    EXPECT_FALSE(cgroup_quota(root_)) << '"' << text << '"';
  }
}

}  // namespace
}  // namespace troupe::kernels
