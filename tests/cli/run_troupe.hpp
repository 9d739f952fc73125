// Runs the program as a user's shell would.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>
#include <string_view>

namespace troupe::tests {

struct Outcome {
  int status = -1;
  std::string output;  ///< both streams, as they came
};

/// Runs "troupe ARGUMENTS" at the repository's root, with an empty standard input unless the arguments say otherwise, and with
/// a state folder that is not the caller's.
inline Outcome troupe(const std::string& arguments) {
  const std::string command =
      "cd '" TROUPE_SOURCE_DIR "' && { XDG_STATE_HOME=/nonexistent " TROUPE_BINARY " " + arguments + "\n} 2>&1 < /dev/null";
  Outcome run;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return run;
  std::array<char, 4096> buffer{};
  for (std::size_t read = 0; (read = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    run.output.append(buffer.data(), read);
  const int status = pclose(pipe);
  run.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return run;
}

inline void expect_refusal(const std::string& arguments, int status, std::string_view message) {
  const Outcome run = troupe(arguments);
  EXPECT_EQ(run.status, status) << arguments << "\n" << run.output;
  EXPECT_NE(run.output.find(message), std::string::npos) << arguments << "\n" << run.output;
}

}  // namespace troupe::tests
