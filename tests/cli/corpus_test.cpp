// troupe corpus: what it makes of good and bad documents, in the data folder of a node that has been there.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/cli/run_troupe.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe {
namespace {

using tests::expect_refusal;
using tests::Outcome;
using tests::troupe;

class CorpusCommand : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(documents());
    // A node without models makes the folder its own, and ends when it has started.
    const std::string command = TROUPE_BINARY " node --name n --tier none --corpus none --json --data " + data() +
                                " --listen 127.0.0.1:0 --cluster 127.0.0.1:0 --fabric-transports none > " + data() +
                                ".log 2>&1 & pid=$!; for i in $(seq 300); do grep -q started " + data() +
                                ".log && break; sleep 0.1; done; kill $pid; wait $pid";
    ASSERT_NE(std::system(command.c_str()), -1);
  }
  std::string data() const { return (folder_.path() / "data").string(); }
  std::string documents() const { return (folder_.path() / "documents").string(); }
  void write(const std::string& name, const std::string& text) { std::ofstream(folder_.path() / "documents" / name) << text; }
  static void expect_said(const Outcome& run, int status, const std::string& text) {
    EXPECT_EQ(run.status, status) << run.output;
    EXPECT_NE(run.output.find(text), std::string::npos) << run.output;
  }
  tests::TemporaryFolder folder_;
};

TEST_F(CorpusCommand, AddsWhatHasChangedListsRemovesAndSearches) {
  write("rules.md", "# Rules\n## Doors\nDoors are closed at night.\n");
  write("page.html", "<h1>Lamps</h1><p>Lamps are off.");
  const std::string add = "corpus add " + documents() + " --data " + data();
  expect_said(troupe(add), 0, "2 added, 0 changed, 0 unchanged, 0 refused; the corpus has 2 documents with 2 sections");
  expect_said(troupe(add), 0, "0 added, 0 changed, 2 unchanged");
  write("rules.md", "# Rules\n## Doors\nDoors are open at night.\n");
  expect_said(troupe(add + " --json"), 0, R"("added":0,"changed":1,"unchanged":1,"refused":[])");
  expect_said(troupe("corpus list --data " + data()), 0, "page.html  1 sections");
  expect_said(troupe("corpus search 'Which doors are open?' --data " + data()), 0, "Rules: Doors\n  Doors are open at night.");
  expect_said(troupe("corpus remove rules --data " + data()), 0, "1 removed; the corpus has 1 documents with 1 sections");
  expect_refusal("corpus remove rules --data " + data(), 1, "has no document \"rules\"");
}

TEST_F(CorpusCommand, RefusesWhatIsNoTextAndAddsTheRest) {
  write("good.md", "# Good\nText.\n");
  write("latin.txt", "caf\xE9\n");
  write("binary.md", std::string("a\0b", 3));
  write("empty.md", "");
  const Outcome run = troupe("corpus add " + documents() + " --data " + data());
  expect_said(run, 1, "1 added, 0 changed, 0 unchanged, 3 refused");
  expect_said(run, 1, "latin.txt: this is not UTF-8: there is 0xE9 at byte 3");
  expect_said(run, 1, "binary.md: this is no text: it has a zero at byte 1");
  expect_said(run, 1, "empty.md: there is no text in it");
}

TEST_F(CorpusCommand, RefusesOddFilesByNameAndAddsTheRest) {
  const std::string long_text(1025, 'x');
  write("good.md", "# Good\nText.\n");
  write("long.md", "# " + long_text + "\nText.\n");
  write("two\nlines.md", "Text.");
  write("\xFF.md", "Text.");
  write("x.html", "Page.");
  write("x.html.md", "Text.");
  const std::string paths = documents() + " " + documents() + "/absent.md";
  const Outcome run = troupe("corpus add " + paths + " --data " + data());
  expect_said(run, 1, "2 added, 0 changed, 0 unchanged, 5 refused");
  for (const char* why :
       {"/long.md: a section has a key of 10", "/two?lines.md: the name of a document ends a line",
        "/?.md: the name of a document is not UTF-8", "/x.html.md: ", "/absent.md is neither a file nor a folder"}) {
    expect_said(run, 1, why);
  }
  const std::string refused = "refused: " + documents();
  const Outcome search = troupe("corpus search text --documents " + documents());
  expect_said(search, 1, refused + "/long.md: ");
  expect_said(search, 1, "Good\n  Text.");
  const Outcome json = troupe("corpus add " + paths + " --json --data " + data());
  expect_said(json, 1, R"("added":0,"changed":0,"unchanged":2,"refused":[)");
}

TEST_F(CorpusCommand, TakesAFileOnceHoweverOftenItIsNamed) {
  write("a.md", "# A\nText.\n");
  std::filesystem::create_symlink("a.md", folder_.path() / "documents" / "link.md");
  const std::string file = documents() + "/a.md ";
  expect_said(troupe("corpus add " + file + file + documents() + " " + documents() + "/link.md --data " + data()), 0,
              "1 added, 0 changed, 0 unchanged, 0 refused");
}

TEST_F(CorpusCommand, ListsNoControlCharacters) {
  write("red\x1B[31m.md", "Text.");
  expect_said(troupe("corpus add " + documents() + " --data " + data()), 0, "1 added");
  expect_said(troupe("corpus list --data " + data()), 0, "red?[31m  1 sections");
}

TEST(CorpusCommandLine, RefusesWhatIsNotThere) {
  expect_refusal("corpus", 2, "subcommand is required");
  expect_refusal("corpus add", 2, "path is required");
  expect_refusal("corpus search", 2, "a question, or --input");
  expect_refusal("corpus search ''", 2, "is empty, expected what to search for");
  expect_refusal("corpus search --documents portfolio/handbook --input /dev/null", 1, "/dev/null has no questions");
  expect_refusal("corpus search x --documents portfolio/handbook --connect 127.0.0.1:1", 2, "excludes");
  expect_refusal("corpus list --data /nonexistent", 1, "there is no data folder /nonexistent");
  expect_refusal("corpus search x --documents /nonexistent", 1, "is neither a file nor a folder");
}

TEST(CorpusCommandLine, ReachesANodeThatRunsOrOneThatDoesNot) {
  for (const std::string command : {"corpus add portfolio/handbook", "corpus remove x", "corpus list", "corpus search x"}) {
    expect_refusal(command + " --connect 127.0.0.1:1", 1, "127.0.0.1:1: connect(): Connection refused");
    expect_refusal(command + " --connect 127.0.0.1:1 --data /nonexistent", 2, "excludes --connect");
    expect_refusal(command + " --connect 127.0.0.1:1 --node n", 2, "excludes --connect");
  }
  const Outcome help = troupe("corpus add --help");
  EXPECT_NE(help.output.find("While the node runs"), std::string::npos) << help.output;
}

TEST_F(CorpusCommand, RefusesTwoFilesThatWouldBeOneDocument) {
  write("a.md", "# First\nText.\n");
  std::filesystem::create_directory(folder_.path() / "more");
  std::ofstream(folder_.path() / "more" / "a.md") << "# Second\nText.\n";
  const Outcome run = troupe("corpus add " + documents() + " " + (folder_.path() / "more").string() + " --data " + data());
  expect_said(run, 1, "1 added, 0 changed, 0 unchanged, 1 refused");
  expect_said(run, 1, "would be the same document; rename one");
}

TEST(CorpusCommandLine, CountsHowOftenASearchFindsWhatIsNeeded) {
  const Outcome run = troupe("corpus search --documents portfolio/handbook --input portfolio/handbook/questions.jsonl");
  EXPECT_EQ(run.status, 0) << run.output;
  EXPECT_NE(run.output.find("115 questions; of 115, all needed sections are among the first 8 for 112 (97.4 %)"),
            std::string::npos)
      << run.output;
}

}  // namespace
}  // namespace troupe
