#include "tests/bits/jobs.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/check.hpp"
#include "tests/bits/summary_json.hpp"

namespace troupe::tests::bits {

namespace {

constexpr int killed_status = 70;
constexpr std::chrono::milliseconds between_tellings(500);

struct Process {
  pid_t id = 0;
  int pipe = -1;     ///< summaries, a line each
  std::string line;  ///< as far as it has come
  Summary told;
};

void write_all(int target, const std::string& text) {
  for (std::size_t written = 0; written < text.size();) {
    const ssize_t more = write(target, text.data() + written, text.size() - written);
    if (more < 0 && errno == EINTR) continue;
    if (more <= 0) std::_Exit(killed_status);  // nobody listens any more
    written += static_cast<std::size_t>(more);
  }
}

[[noreturn]] void be_job(const Job& job, const Work& work, int pipe, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) std::_Exit(killed_status);
  auto next = std::chrono::steady_clock::now();
  Summary last;
  const auto tell = [&](const Summary& summary) {
    last = summary;
    if (std::chrono::steady_clock::now() < next) return;
    next = std::chrono::steady_clock::now() + between_tellings;
    write_all(pipe, to_json(summary).dump() + "\n");
  };
  const int status = work(job, tell);
  write_all(pipe, to_json(last).dump() + "\n");
  // No destructors: what the parent had in memory at the fork is not this process's to end.
  std::fflush(nullptr);
  std::_Exit(status);
}

Process start(const Job& job, const Work& work) {
  std::array<int, 2> ends{};
  TROUPE_CHECK(pipe(ends.data()) == 0, "there are files left for a pipe");
  const pid_t parent = getpid();
  const pid_t id = fork();
  TROUPE_CHECK(id >= 0, "there is room for another process");
  if (id == 0) {
    close(ends[0]);
    be_job(job, work, ends[1], parent);
  }
  close(ends[1]);
  return {.id = id, .pipe = ends[0], .line = {}, .told = {}};
}

/// Takes what has come. False once the process has closed its end.
bool read_some(Process& process) {
  std::array<char, 4096> bytes;
  const ssize_t count = read(process.pipe, bytes.data(), bytes.size());
  if (count < 0) return errno == EINTR;
  if (count == 0) return false;
  process.line.append(bytes.data(), static_cast<std::size_t>(count));
  for (std::size_t end = process.line.find('\n'); end != std::string::npos; end = process.line.find('\n')) {
    process.told = summary_of(nlohmann::json::parse(process.line.substr(0, end)));
    process.line.erase(0, end + 1);
  }
  return true;
}

int status_of(pid_t process) {
  int status = 0;
  while (waitpid(process, &status, 0) < 0 && errno == EINTR) continue;
  return WIFEXITED(status) ? WEXITSTATUS(status) : killed_status + WTERMSIG(status);
}

}  // namespace

JobsEnd run_jobs(std::size_t count, const Work& work, const std::function<void(const Summary&)>& progress) {
  std::vector<Process> processes;
  for (std::size_t i = 0; i < count; ++i) processes.push_back(start({i, count}, work));
  const auto together = [&] {
    Summary summary;
    for (const Process& process : processes) summary.add(process.told);
    return summary;
  };
  std::vector<pollfd> open;
  for (const Process& process : processes) open.push_back({.fd = process.pipe, .events = POLLIN, .revents = 0});
  bool stopping = false;
  while (std::ranges::any_of(open, [](const pollfd& one) { return one.fd >= 0; })) {
    if (is_stopped() && !std::exchange(stopping, true)) {
      for (const Process& process : processes) kill(process.id, SIGTERM);
    }
    if (poll(open.data(), open.size(), 500) < 0) continue;
    for (std::size_t i = 0; i < count; ++i) {
      if (open[i].fd < 0 || open[i].revents == 0 || read_some(processes[i])) continue;
      close(open[i].fd);
      open[i].fd = -1;
    }
    progress(together());
  }
  JobsEnd end{.summary = together(), .status = 0};
  for (const Process& process : processes) end.status = std::max(end.status, status_of(process.id));
  return end;
}

}  // namespace troupe::tests::bits
