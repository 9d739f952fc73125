#include "tests/cluster/node_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "base/check.hpp"

namespace troupe::tests {

namespace {

constexpr int start_patience_ms = 60000;  // for a machine that is busy with something else
constexpr std::size_t log_tail_bytes = 2000;

/// The first line that a process writes, or why there is none.
Result<std::string> first_line(int output) {
  std::string line;
  pollfd ready{output, POLLIN, 0};
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(start_patience_ms);
  while (std::chrono::steady_clock::now() < until) {
    if (::poll(&ready, 1, 1000) <= 0) continue;
    char byte = 0;
    if (::read(output, &byte, 1) <= 0) return Error{ErrorCode::unavailable, "it ended before it had started"};
    if (byte == '\n') return line;
    line.push_back(byte);
  }
  return Error{ErrorCode::unavailable, "it has not started within " + std::to_string(start_patience_ms / 1000) + " s"};
}

}  // namespace

Child spawn(const std::vector<std::string>& command, const std::filesystem::path& log) {
  std::array<int, 2> ends{};
  TROUPE_CHECK(::pipe2(ends.data(), O_CLOEXEC) == 0, "a test can open a pipe");
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const std::string errors = log.string();

  const pid_t process = ::fork();
  TROUPE_CHECK(process >= 0, "a test can start a process");
  if (process == 0) {
    // Other threads may hold any lock now, so from here on there are system calls only.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::chdir(TROUPE_SOURCE_DIR) != 0) ::_exit(126);
    const int nothing = ::open("/dev/null", O_RDONLY);
    const int written = ::open(errors.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(nothing, STDIN_FILENO);
    ::dup2(ends[1], STDOUT_FILENO);
    ::dup2(written, STDERR_FILENO);
    ::execv(words.front(), words.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  return {process, ends[0]};
}

Said run(const std::vector<std::string>& command, const std::filesystem::path& log) {
  const Child child = spawn(command, log);
  Said said;
  std::array<char, 4096> bytes{};
  for (ssize_t count = 0; (count = ::read(child.output, bytes.data(), bytes.size())) > 0;)
    said.output.append(bytes.data(), static_cast<std::size_t>(count));
  ::close(child.output);
  ::waitpid(child.process, &said.status, 0);
  said.status = WIFEXITED(said.status) ? WEXITSTATUS(said.status) : -1;
  return said;
}

NodeProcess::NodeProcess(std::string troupe, std::filesystem::path folder, NodeSetup setup)
    : troupe_(std::move(troupe)), folder_(std::move(folder)), setup_(std::move(setup)) {}

void NodeProcess::begin() {
  kill();
  std::vector<std::string> command{troupe_,
                                   "node",
                                   "--json",
                                   "--name",
                                   setup_.name,
                                   "--data",
                                   (folder_ / (setup_.data.empty() ? setup_.name : setup_.data)).string(),
                                   "--listen",
                                   clients_,
                                   "--cluster",
                                   cluster_};
  for (const std::string& tier : setup_.tiers) command.insert(command.end(), {"--tier", tier});
  if (!setup_.join.empty()) command.insert(command.end(), {"--join", setup_.join});
  command.insert(command.end(), setup_.options.begin(), setup_.options.end());
  child_ = spawn(command, folder_ / (setup_.name + ".log"));
}

Result<void> NodeProcess::start() {
  begin();
  const auto line = first_line(child_.output);
  if (!line) return start_failed(line.error().message);
  const auto started = nlohmann::json::parse(*line, nullptr, false);
  if (!started.is_object() || !started.contains("clients")) return start_failed("it said \"" + *line + "\"");
  clients_ = started["clients"].at(0).get<std::string>();
  cluster_ = started["cluster"].get<std::string>();
  return {};
}

void NodeProcess::kill() {
  if (child_.process < 0) return;
  ::kill(child_.process, SIGKILL);
  ::waitpid(child_.process, nullptr, 0);
  ::close(child_.output);
  child_ = {};
}

int NodeProcess::terminate() {
  TROUPE_CHECK(child_.process >= 0, "a node that is told to end runs");
  ::kill(child_.process, SIGTERM);
  int status = 0;
  ::waitpid(child_.process, &status, 0);
  ::close(child_.output);
  child_ = {};
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool NodeProcess::runs() { return child_.process >= 0 && ::waitpid(child_.process, nullptr, WNOHANG) == 0; }

std::string NodeProcess::log() const {
  std::ostringstream text;
  text << std::ifstream(folder_ / (setup_.name + ".log")).rdbuf();
  return text.str();
}

Error NodeProcess::start_failed(const std::string& why) const {
  std::string end = log();
  if (end.size() > log_tail_bytes) end.erase(0, end.size() - log_tail_bytes);
  return Error{ErrorCode::unavailable, "node " + setup_.name + ": " + why + "; its log ends with:\n" + end};
}

}  // namespace troupe::tests
