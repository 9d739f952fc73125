// troupe ask --input: many questions, each in a conversation of its own, several at a time.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/result.hpp"
#include "cli/ask.hpp"

namespace troupe::cli {

struct ManyChoice {
  std::string input;    ///< JSON lines (cli/question_file.hpp); "-": the standard input
  std::string answers;  ///< a file that is added to, and whose answers are not asked for again; empty: the standard output
  int at_once = 8;

  void add_to(CLI::App& command);
};

/// The exit status: 0 all answered, 1 some not, 130 interrupted. Nothing is asked if a line of the input cannot be. The order
/// is that in which answers come.
Result<int> ask_many(const ConnectChoice& connect, const AskChoice& choice, const ManyChoice& many, bool quiet);

}  // namespace troupe::cli
