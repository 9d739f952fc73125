// The commands that talk to a node, where there is none: how they explain themselves and how they refuse.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "tests/cli/run_troupe.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe {
namespace {

using tests::expect_refusal;
using tests::Outcome;
using tests::troupe;

const std::string conversation(32, 'a');

TEST(ClientCommands, ExplainThemselvesWithExamples) {
  for (const char* command :
       {"ask", "chat", "history", "explain", "pin", "cluster status", "cluster drain", "cluster join", "shadow report"}) {
    const Outcome run = troupe(std::string(command) + " --help");
    EXPECT_EQ(run.status, 0) << command;
    EXPECT_NE(run.output.find("Examples:\n  troupe " + std::string(command)), std::string::npos) << run.output;
    EXPECT_NE(run.output.find("--connect"), std::string::npos) << command;
    EXPECT_NE(run.output.find("--json"), std::string::npos) << command;
  }
}

TEST(ClientCommands, EndWithTwoForAWrongCommandLine) {
  expect_refusal("ask", 2, "a question, or --input is required");
  expect_refusal("ask --input questions.jsonl Hi", 2, "--input");
  expect_refusal("ask --answers answers.jsonl Hi", 2, "--answers requires --input");
  expect_refusal("ask --tier giant Hi", 2, "expected mini, medium, heavy");
  expect_refusal("ask --assurance some Hi", 2, "expected draft, standard");
  expect_refusal("ask --assurance high Hi", 2, "expected draft, standard");
  expect_refusal("ask --grounding maybe Hi", 2, "expected automatic, never, always");
  expect_refusal("ask --tokens 0 Hi", 2, "--tokens");
  expect_refusal("ask --connect 127.0.0.1:99999 Hi", 2, "expected host:port with a port from 1 to 65535");
  expect_refusal("ask --connect localhost.invalid Hi", 1, "localhost.invalid:7400: ");
  expect_refusal("ask --input README.md --answers ./README.md", 1, "are the same file");
  expect_refusal("ask --deadline -1 Hi", 2, "--deadline");
  expect_refusal("ask --deadline nan Hi", 2, "--deadline");
  expect_refusal("ask --bogus Hi", 2, "troupe ask: not expected: --bogus; \"troupe ask --help\" explains it");
  expect_refusal("ask How long is it", 2, "troupe ask: not expected: long is it (what has spaces needs quotation marks); ");
  expect_refusal("nonsense", 2, "troupe: there is no command \"nonsense\"; \"troupe --help\" lists the commands");
  expect_refusal("cluster nonsense", 2, "troupe cluster: there is no command \"nonsense\"");
  expect_refusal("", 2, "troupe: A subcommand is required; ");
  expect_refusal("ask --temperature 0.5 Hi", 2, "add --assurance draft");
  expect_refusal("chat --assurance standard --top-k 4", 2, "add --assurance draft");
  expect_refusal("ask --assurance draft --seed -5 Hi", 2, "is no whole number from 0 to 18446744073709551615");
  expect_refusal("ask --assurance draft --seed 18446744073709551616 Hi", 2, "is no whole number");
  for (const char* command : {"ask -c '' Hi", "chat -c ''", "history ''", "pin '' text", "policy log ''"})
    expect_refusal(command, 2, "is empty, expected the 32 hexadecimal digits of a conversation");
  expect_refusal("ask --key '' Hi", 2, "is empty, expected a key");
  expect_refusal("history", 2, "conversation is required");
  expect_refusal("explain", 2, "turn is required");
  expect_refusal("explain --tokens " + conversation + "/1", 2, "--json");
  expect_refusal("pin", 2, "conversation is required");
  expect_refusal("pin " + conversation, 2, "neither what to pin nor --list nor --remove");
  expect_refusal("pin " + conversation + " text --list", 2, "--list");
  expect_refusal("pin " + conversation + " --remove 0", 2, "--remove");
  expect_refusal("pin " + conversation + " ''", 2, "is empty, expected a line to pin");
  expect_refusal("history --from 0 " + conversation, 2, "--from");
  expect_refusal("cluster", 2, "subcommand is required");
  expect_refusal("cluster drain", 2, "node is required");
  expect_refusal("cluster join", 2, "node is required");
  expect_refusal("shadow", 2, "subcommand is required");
  expect_refusal("shadow report --list -1", 2, "--list");
}

TEST(ClientCommands, AddAnswersToAFileOneAtATime) {
  const tests::TemporaryFolder folder;
  const std::string answers = (folder.path() / "answers.jsonl").string();
  const std::string ask = "ask --connect 127.0.0.1:1 --input - --answers " + answers + R"( <<EOF
{"question": "Hello"}
EOF)";
  expect_refusal(ask, 1, "Connection refused");
  EXPECT_FALSE(std::filesystem::exists(answers)) << "nothing was answered";
  const int held = ::open(answers.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_EQ(::flock(held, LOCK_EX), 0);
  expect_refusal(ask, 1, "answers.jsonl: another command is adding to this file");
  ::close(held);
  expect_refusal(ask, 1, "Connection refused");
  EXPECT_TRUE(std::filesystem::exists(answers)) << "it was there before";
}

TEST(ClientCommands, NameTheNodesThatCannotBeReached) {
  const std::string nowhere = " --connect 127.0.0.1:1 --connect localhost:2";
  for (const std::string command : {"ask Hi", "chat", "cluster status", "cluster drain b", "cluster join b", "shadow report"}) {
    expect_refusal(command + nowhere, 1,
                   "127.0.0.1:1: connect(): Connection refused; localhost:2: connect(): Connection refused");
  }
  expect_refusal("history " + conversation + nowhere, 1, "\"troupe node\" starts one");
  expect_refusal("explain " + conversation + "/1" + nowhere, 1, "(unavailable)");
  expect_refusal("pin " + conversation + " text" + nowhere, 1, "(unavailable)");
}

TEST(ClientCommands, RefuseATimeThatIsNoneWithoutANode) {
  for (const char* since : {"yesterday", "24", "5w", "2026-02-30", "2026-01-01 25:00:00", "2026-01-01x"}) {
    expect_refusal("shadow report --since '" + std::string(since) + "'", 1,
                   "expected how long ago (90s, 30m, 24h, 7d) or a time");
  }
  for (const char* since : {"90s", "7d", "2026-01-01", "2026-01-01 09:30:00"}) {
    expect_refusal("shadow report --connect 127.0.0.1:1 --since '" + std::string(since) + "'", 1, "Connection refused");
  }
}

TEST(ClientCommands, NameEveryLineOfAFileThatCannotBeAskedWithoutANode) {
  const std::string file =
      R"(printf '%s\n' '{"question": "Hi"}' 'Hi' '{"id": "a", "question": " "}' '{"id": "1", "question": "x"}' )"
      R"('{"id": "b"}' '' '{"question": "Ho"}' | )";
  const Outcome run = tests::troupe("--version > /dev/null; " + file + TROUPE_BINARY " ask --connect 127.0.0.1:1 --input -");
  EXPECT_EQ(run.status, 1);
  for (const char* problem : {"standard input:2: not valid JSON", "standard input:3: the question says nothing",
                              "standard input:4: id \"1\" is that of line 1 too", "standard input:5: question is missing",
                              "4 lines of standard input cannot be asked, so nothing was"}) {
    EXPECT_NE(run.output.find(problem), std::string::npos) << problem << "\n" << run.output;
  }
  EXPECT_EQ(run.output.find("input:1:"), std::string::npos) << run.output;
  EXPECT_EQ(run.output.find("input:7:"), std::string::npos) << run.output;
}

TEST(ClientCommands, LeaveNoFileOfAnswersWhereNobodyCanBeAsked) {
  const tests::TemporaryFolder folder;
  const std::string answers = (folder.path() / "answers.jsonl").string();
  const std::string question = R"(printf '%s\n' '{"question": "Hi", "id": 3}' | )";
  const Outcome run = tests::troupe("--version > /dev/null; " + question +
                                    TROUPE_BINARY " ask --connect 127.0.0.1:1 --input - --answers " + answers);
  EXPECT_EQ(run.status, 1);
  EXPECT_NE(run.output.find("Connection refused"), std::string::npos) << run.output;
  EXPECT_FALSE(std::filesystem::exists(answers));
}

TEST(ClientCommands, RefuseWhatIsNoTurnWithoutANode) {
  expect_refusal("explain nonsense", 1, "is no turn; expected CONVERSATION/NUMBER");
  expect_refusal("explain " + conversation + "/01", 1, "is no turn");
  expect_refusal("explain " + conversation, 1, "is no turn");
}

}  // namespace
}  // namespace troupe
