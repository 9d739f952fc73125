// What the commands that talk to a node share: where it is, how a question is asked, and an interrupt that cancels a turn.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "cli/answer_view.hpp"
#include "clients/cpp/client.hpp"
#include "policy/ask.hpp"

namespace troupe::cli {

/// Addresses of nodes, the same for every command that is a client.
struct ConnectChoice {
  std::vector<std::string> addresses = {"127.0.0.1:7400"};

  void add_to(CLI::App& command);
  /// An interrupt (Ctrl-C) ends its calls once `catch_interrupts` was called; so does whatever else `ends` says.
  Result<clients::Client> open(std::function<bool()> ends = {}) const;
};

/// How a question is asked.
struct AskChoice {
  policy::Ask ask;  ///< but for what follows
  std::string tier;
  std::string assurance;
  std::string grounding;
  std::string priority;
  double deadline_seconds = 120;
  std::optional<std::uint64_t> seed;

  /// `standard` or `draft`: what it is without --assurance.
  explicit AskChoice(policy::Assurance usual);
  void add_to(CLI::App& command);
  /// Throws a CLI::ValidationError for options that would be without effect.
  void check() const;
  /// The question under these options.
  policy::Ask of(const std::string& question) const;
};

/// From here on Ctrl-C sets a flag instead of ending the process.
void catch_interrupts();
bool interrupted();
void forget_interrupt();

/// Refuses the empty text, which an unset variable of a script leaves.
CLI::Validator not_empty(const std::string& expected);
inline constexpr const char* a_conversation = "the 32 hexadecimal digits of a conversation";
/// The conversation that an option names, or a new one if none was given.
Result<clients::Conversation> conversation_of(const clients::Client& client, const std::string& id);

/// Asks, with the answer in `view` as it comes. If that takes a while, says what it waits for, unless it shall be quiet.
Result<clients::Answer> ask_and_show(const clients::Client& client, const clients::Conversation& conversation,
                                     const policy::Ask& ask, AnswerView& view, bool quiet);

}  // namespace troupe::cli
