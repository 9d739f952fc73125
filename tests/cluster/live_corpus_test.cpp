// Documents that come and go while real nodes run: what the program says, what is found, and that no answer changes for it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "tests/cli/run_troupe.hpp"
#include "tests/cluster/troupe_of.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::tests {
namespace {

using policy::Assurance;
using policy::Tier;

class LiveCorpus : public testing::Test {
 protected:
  LiveCorpus() { std::filesystem::create_directory(documents()); }
  void start(std::vector<NodeSetup> setups) {
    troupe_ = std::make_unique<TroupeOf>(TROUPE_BINARY, folder_.path(), std::move(setups));
    const auto started = troupe_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  std::filesystem::path documents() const { return folder_.path() / "documents"; }
  void write(const std::string& name, const std::string& text) { std::ofstream(documents() / name) << text; }
  std::string data(const std::string& node) const { return " --data " + (folder_.path() / node).string(); }
  std::string add() const { return "corpus add " + documents().string(); }
  static void expect_said(const Outcome& run, int status, const std::string& text) {
    EXPECT_EQ(run.status, status) << run.output;
    EXPECT_NE(run.output.find(text), std::string::npos) << run.output;
  }
  std::string connect(std::size_t node = 0) const { return " --connect " + troupe_->node(node).clients(); }

  TemporaryFolder folder_;
  std::unique_ptr<TroupeOf> troupe_;
};

TEST_F(LiveCorpus, ChangesThroughADataFolderThatIsInUse) {
  start({{"one", {"none"}, {}, {}, {"--corpus", "none"}}});
  write("rules.md", "# Rules\n## Doors\nDoors are closed at night.\n");
  write("page.html", "<h1>Lamps</h1><p>Lamps are off.");
  const std::string at = data("one");
  expect_said(troupe("corpus list" + at), 0, "there are no documents");
  expect_said(
      troupe(add() + at), 0,
      "2 added, 0 changed, 0 unchanged, 0 refused; the corpus has 2 documents with 2 sections, and node one answers from it");
  expect_said(troupe(add() + at), 0,
              "0 added, 0 changed, 2 unchanged, 0 refused; the corpus has 2 documents with 2 sections\n");
  write("rules.md", "# Rules\n## Doors\nDoors are open at night.\n");
  expect_said(
      troupe(add() + at + " --json"), 0,
      R"("added":0,"changed":1,"unchanged":1,"refused":[],"links":[],"other_files":0,"documents":2,"sections":2,"node":"one")");
  expect_said(troupe("corpus list" + at), 0, "page.html  1 sections");
  expect_said(troupe("corpus search 'Which doors are open?'" + at), 0, "Rules: Doors\n  Doors are open at night.");
  EXPECT_TRUE(soon([&] { return troupe_->view_of("one").corpus_sections == 2; }))
      << "what a node says of itself is a moment old";

  write("latin.txt", "caf\xE9\n");
  expect_said(troupe("corpus remove rules" + connect()), 0, "1 removed; the corpus has 1 documents with 1 sections");
  expect_said(troupe("corpus remove rules" + connect()), 1, "has no document \"rules\"");
  expect_said(troupe(add() + connect()), 1, "1 added, 0 changed, 1 unchanged, 1 refused; the corpus has 2 documents");
  expect_said(troupe("corpus remove rules page.html" + connect()), 0, "the corpus has 0 documents with 0 sections");
  expect_said(troupe("corpus search doors" + connect()), 0, "nothing found");
}

TEST_F(LiveCorpus, SurvivesAKillAndIsTheSameForASearchOfItsFiles) {
  start({{"one", {"none"}}});
  expect_said(troupe("corpus add portfolio/handbook" + connect()), 0, "and node one answers from it");
  write("more.md", "# More\n\nZebras stay outside.\n");
  expect_said(troupe(add() + connect()), 0, "1 added");
  expect_said(troupe("corpus remove more" + connect()), 0, "1 removed");
  const std::string set = "corpus search --json --input portfolio/handbook/questions.jsonl";
  const Outcome live = troupe(set + connect());
  EXPECT_EQ(live.status, 0);
  EXPECT_EQ(live.output, troupe(set + " --documents portfolio/handbook").output) << "to the last digit of the confidence";
  ASSERT_TRUE(troupe_->node(0).start()) << "kills it first";
  EXPECT_EQ(live.output, troupe(set + connect()).output);
  troupe_->node(0).kill();
  EXPECT_EQ(live.output, troupe(set + data("one")).output) << "of a node that does not run";
}

TEST_F(LiveCorpus, IsEachNodesOwn) {
  start({{"one", {"none"}, {}, {}, {"--corpus", "none"}}, {"two", {"none"}, {}, {}, {"--corpus", "none"}}});
  write("rules.md", "# Rules\n## Doors\nDoors are closed at night.\n");
  expect_said(troupe(add() + connect(1)), 0, "that of one is another one; the same there:" + connect(0));
  ASSERT_TRUE(soon([&] { return troupe_->view_of("two").corpus_sections == 1; }));
  expect_said(troupe("corpus list" + connect(0)), 0, "there are no documents");
  const Outcome both = troupe(add() + connect(0));
  expect_said(both, 0, "and node one answers from it");
  EXPECT_EQ(both.output.find("another one"), std::string::npos) << both.output;
}

TEST_F(LiveCorpus, SaysWhereToLookForANodeThatLeftNoAddress) {
  start({{"one", {"none"}, {}, {}, {"--corpus", "none"}}, {"two", {"none"}, {}, {}, {"--corpus", "none"}}});
  const auto address = folder_.path() / "one" / "address";
  ASSERT_TRUE(std::filesystem::exists(address));
  std::ofstream(address) << "one\n" << troupe_->node(1).clients() << "\n";
  expect_said(troupe("corpus list" + data("one")), 1, "is node two, not one");
  std::ofstream(address) << "one\n127.0.0.1:1\n";
  expect_said(troupe("corpus list" + data("one")), 1, "127.0.0.1:1: connect(): Connection refused");
  std::filesystem::remove(address);
  expect_said(troupe("corpus list" + data("one")), 1, "--connect HOST:PORT (its --listen)");
  EXPECT_EQ(troupe_->node(1).terminate(), 0);
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "two" / "address")) << "who ends takes it along";
}

policy::Ask question(Assurance assurance) {
  policy::Ask ask;
  ask.question = "How long are payroll records kept?";
  ask.assurance = assurance;
  ask.grounding = policy::Grounding::always;
  return ask;
}

class TakenUp : public LiveCorpus, public testing::WithParamInterface<Assurance> {
 protected:
  /// Pieces come slowly enough for an attempt to be under way when the node is killed, and no bit depends on it.
  static std::vector<std::string> slowly() {
    return {"--fault", "mini=slow:100", "--fault", "medium=slow:200", "--fault", "heavy=slow:200"};
  }
  policy::Turn ask(const policy::Ask& ask, const clients::OnEvent& on_event = {}) {
    const auto client = troupe_->client();
    const auto conversation = client.open();
    TROUPE_CHECK(conversation.has_value(), "a node that serves opens a conversation");
    conversation_ = conversation->id();
    const auto answer = conversation->ask(ask, on_event);
    EXPECT_TRUE(answer) << answer.error().message;
    return explained();
  }
  policy::Turn explained() {
    const auto client = troupe_->client();
    const auto conversation = client.resume(conversation_);
    const auto turn = conversation ? conversation->explain(1, true) : Result<policy::Turn>(conversation.error());
    EXPECT_TRUE(turn) << turn.error().message;
    return turn ? *turn : policy::Turn{};
  }
  policy::ConversationId conversation_;
};

TEST_P(TakenUp, AnswersKeepTheirBitsWhateverBecameOfTheCorpus) {
  start({{"one", {"mini", "medium", "heavy"}, {}, {}, slowly()}});
  const std::string calm = bits_of(ask(question(GetParam())));
  ASSERT_FALSE(calm.empty());
  const std::string before = "explain --json --tokens " + to_string(conversation_) + "/1" + connect();
  const std::string told = troupe(before).output;

  // All that it was made from goes, and other sections come in its place, while the attempt runs and the node is killed.
  const std::string handbook = "portfolio/handbook";
  for (const auto& file : std::filesystem::directory_iterator(TROUPE_SOURCE_DIR "/" + handbook)) {
    if (file.path().extension() == ".md")
      write(file.path().filename(), "# Nothing\n\nPayroll records are kept for 99 years.\n");
  }
  bool killed = false;
  const policy::Turn turn = ask(question(GetParam()), [&](const policy::TurnEvent& event) {
    if (killed || !std::holds_alternative<policy::AttemptEvent>(event.what)) return;
    killed = true;
    expect_said(troupe(add() + connect()), 0, " changed, 0 unchanged, 0 refused");
    EXPECT_FALSE(explained().outcome) << "or nothing would be taken up";
    const auto again = troupe_->node(0).start();
    ASSERT_TRUE(again) << again.error().message;
  });
  ASSERT_TRUE(killed);
  EXPECT_EQ(bits_of(turn), calm);
  EXPECT_EQ(troupe(before).output, told) << "and what was answered before";

  const policy::Turn later = ask(question(GetParam()));
  EXPECT_NE(bits_of(later), calm) << "or nothing would have been shown here";
  EXPECT_NE(later.attempts.at(0).plan.corpus_version, turn.attempts.at(0).plan.corpus_version);
}
INSTANTIATE_TEST_SUITE_P(Assurances, TakenUp, testing::Values(Assurance::draft, Assurance::standard),
                         [](const auto& each) { return std::string(to_string(each.param)); });

}  // namespace
}  // namespace troupe::tests
