// Tiers that others host, in real clusters: their answers are asked of a server of this test, which breaks off as it is told.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "tests/cli/run_troupe.hpp"
#include "tests/cluster/troupe_of.hpp"
#include "tests/support/scripted_server.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::tests {
namespace {

using policy::Assurance;
using policy::Tier;
using Connection = ScriptedServer::Connection;

class RemoteTiers : public testing::Test {
 protected:
  /// Two endpoints, "weak" and "strong", whose answers are taken for unsure and for sure.
  std::vector<std::string> options(const std::string& policy = {}, const std::string& corpus = "none") {
    std::ofstream endpoints(folder_.path() / "endpoints.toml");
    for (const auto& [name, server, confidence] : {std::tuple("weak", &weak_, "0.1"), std::tuple("strong", &strong_, "0.9")}) {
      endpoints << "[[endpoint]]\nname = \"" << name << "\"\nprotocol = \"openai\"\nmodel = \"m\"\nretries_max = 0\nurl = \""
                << server->url() << "/v1\"\nconfidence = " << confidence << "\n";
    }
    std::vector<std::string> options = {"--endpoints", folder_.path() / "endpoints.toml", "--corpus", corpus};
    if (!policy.empty()) {
      std::ofstream(folder_.path() / "policy.toml") << policy;
      options.insert(options.end(), {"--policy", folder_.path() / "policy.toml"});
    }
    return options;
  }
  void start(std::vector<NodeSetup> setups) {
    troupe_ = std::make_unique<TroupeOf>(TROUPE_BINARY, folder_.path(), std::move(setups));
    const auto started = troupe_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  policy::Turn ask(const policy::Ask& ask, const clients::OnEvent& on_event = {}) {
    const auto client = troupe_->client();
    const auto conversation = client.open();
    TROUPE_CHECK(conversation.has_value(), "a node that serves opens a conversation");
    id_ = to_string(conversation->id());
    const auto answer = conversation->ask(ask, on_event);
    EXPECT_TRUE(answer) << answer.error().message;
    const auto turn = conversation->explain(1, true);
    EXPECT_TRUE(turn) << turn.error().message;
    return turn ? *turn : policy::Turn{};
  }
  /// Kills a node at the first tokens that are seen, and starts it again.
  clients::OnEvent killing(std::size_t victim, Heard& heard) {
    return [this, victim, &heard, killed = false](const policy::TurnEvent& event) mutable {
      heard.events.push_back(event);
      if (killed || !std::holds_alternative<policy::TokensEvent>(event.what)) return;
      killed = true;
      const auto again = troupe_->node(victim).start();
      ASSERT_TRUE(again) << again.error().message;
    };
  }
  static policy::Ask question(Assurance assurance, std::optional<Tier> tier = {}) {
    policy::Ask ask;
    ask.question = "How long are files kept?";
    ask.assurance = assurance;
    ask.tier = tier;
    return ask;
  }

  TemporaryFolder folder_;
  ScriptedServer weak_;
  ScriptedServer strong_;
  std::unique_ptr<TroupeOf> troupe_;
  std::string id_;
};

/// An attempt was shown in part, lost, and superseded by one that the same tier made anew.
void expect_superseded(const policy::Turn& turn, const Heard& heard, const std::string& why) {
  ASSERT_TRUE(turn.outcome && turn.outcome->committed) << (turn.outcome ? turn.outcome->message : "");
  EXPECT_EQ(turn.outcome->answer, "Eight years");
  EXPECT_EQ(turn.outcome->attempt, 1);
  ASSERT_EQ(turn.attempts.size(), 2U);
  EXPECT_EQ(turn.attempts[0].result->finish_reason, "lost");
  EXPECT_NE(turn.attempts[0].result->superseded_why.find(why), std::string::npos) << turn.attempts[0].result->superseded_why;
  EXPECT_EQ(turn.attempts[1].plan.tier, Tier::heavy);
  EXPECT_TRUE(heard.is_whole());
  std::string shown;
  for (const policy::TurnEvent& event : heard.events) {
    if (const auto* tokens = std::get_if<policy::TokensEvent>(&event.what)) shown += tokens->text;
    if (std::holds_alternative<policy::SupersededEvent>(event.what)) shown += "|";
  }
  EXPECT_EQ(shown, "Seven|Eight years");
}

TEST_F(RemoteTiers, AnswerAndAreCountedAtTheirPrice) {
  start({{"one",
          {"heavy=remote:strong"},
          {},
          {},
          options("price.heavy = { prompt_million = 2, answer_million = 8 }\n[[rule]]\nname = \"all\"\nstart = \"heavy\"\n"
                  "confidence_min = { heavy = 0.8 }\n")}});
  strong_.always(saying("Seven years"));
  for (const Assurance assurance : {Assurance::draft, Assurance::standard}) {
    const policy::Turn turn = ask(question(assurance));
    ASSERT_TRUE(turn.outcome && turn.outcome->committed);
    EXPECT_EQ(turn.outcome->answer, "Seven years");
    EXPECT_TRUE(turn.outcome->confident);
    const policy::Attempt& attempt = turn.attempts.at(0);
    EXPECT_TRUE(attempt.plan.model.remote());
    EXPECT_TRUE(attempt.plan.prompt.empty());
    EXPECT_EQ(attempt.plan.messages.back().content, "How long are files kept?");
    EXPECT_DOUBLE_EQ(attempt.result->cost, 0.006) << "1000 tokens at 2 and 500 at 8 a million";
  }
  const Outcome explained = troupe("explain --connect " + troupe_->node(0).clients() + " " + id_ + "/1");
  EXPECT_NE(explained.output.find("0.006 (a million tokens for 2 read and 8 written)"), std::string::npos) << explained.output;
  EXPECT_NE(explained.output.find("openai:m@http://127.0.0.1"), std::string::npos) << explained.output;
}

TEST_F(RemoteTiers, SupersedeAnAnswerWhoseHomeWasKilledInMidStream) {
  start({{"one", {"heavy=remote:strong"}, {}, {}, options()}});
  strong_.then(stalling_after("Seven"));
  strong_.then(saying("Eight years"));
  Heard heard;
  const policy::Turn turn = ask(question(Assurance::draft, Tier::heavy), killing(0, heard));
  expect_superseded(turn, heard, "its home was lost");
}

TEST_F(RemoteTiers, SupersedeAnAnswerWhoseNodeWasKilledInMidStream) {
  start({{"one", {"none"}, {}, {}, {"--corpus", "none"}}, {"two", {"heavy=remote:strong"}, {}, {}, options()}});
  strong_.then(stalling_after("Seven"));
  strong_.then(saying("Eight years"));
  Heard heard;
  const policy::Turn turn = ask(question(Assurance::draft, Tier::heavy), killing(1, heard));
  expect_superseded(turn, heard, "");
}

TEST_F(RemoteTiers, EscalateWhenTheyFailAndSayWhy) {
  start({{"one", {"mini=remote:weak", "medium=remote:strong"}, {}, {}, options()}});
  weak_.always([](const SeenRequest&, Connection& connection) {
    connection.send(http_answer(401, R"({"error":{"message":"who are you"}})"));
  });
  strong_.always(saying("Seven years"));
  const policy::Turn turn = ask(question(Assurance::standard));
  ASSERT_TRUE(turn.outcome && turn.outcome->committed);
  EXPECT_TRUE(turn.outcome->confident);
  ASSERT_EQ(turn.attempts.size(), 2U);
  EXPECT_NE(turn.attempts[0].result->superseded_why.find("endpoint weak: it answered with status 401: who are you"),
            std::string::npos)
      << turn.attempts[0].result->superseded_why;

  strong_.always([](const SeenRequest&, Connection& connection) { connection.send(http_answer(500, "")); });
  policy::Ask alone = question(Assurance::draft, Tier::medium);
  const policy::Turn failed = ask(alone);
  ASSERT_TRUE(failed.outcome);
  EXPECT_FALSE(failed.outcome->committed);
  EXPECT_NE(failed.outcome->message.find("status 500"), std::string::npos) << failed.outcome->message;
}

TEST_F(RemoteTiers, EndWithASecondOpinionThatSaysTheSame) {
  start({{"one",
          {"mini=remote:weak", "medium=remote:weak"},
          {},
          {},
          options(
              "[[rule]]\nname = \"all\"\nstart = \"mini\"\nescalate = [\"medium\", \"heavy\"]\nsecond_opinion = [\"medium\"]\n"
              "confidence_min = { mini = 0.8, medium = 0.8, heavy = 0.8 }\n")}});
  weak_.then(saying("Seven years."));
  weak_.then(saying("seven years"));
  const policy::Turn turn = ask(question(Assurance::standard));
  ASSERT_TRUE(turn.outcome && turn.outcome->committed);
  EXPECT_TRUE(turn.outcome->confident) << "heavy, which is not there, was not waited for";
  EXPECT_EQ(turn.outcome->answer, "seven years");

  // Under the default policy heavy would have been asked, and nobody knows what it would have said.
  const std::string log = folder_.path() / "decisions.jsonl";
  const Outcome logged = troupe("policy log --connect " + troupe_->node(0).clients() + " " + id_ + " > " + log);
  EXPECT_EQ(logged.status, 0) << logged.output;
  const Outcome same = troupe("policy try --on " + log + " " + (folder_.path() / "policy.toml").string());
  EXPECT_NE(same.output.find("1 turns, 0 of them otherwise"), std::string::npos) << same.output;
  const Outcome other = troupe("policy try --on " + log + " deploy/policy.toml");
  EXPECT_NE(other.output.find("standard: mini, medium, heavy, which was not asked then"), std::string::npos) << other.output;
  EXPECT_NE(other.output.find("1 turns, 1 of them otherwise"), std::string::npos) << other.output;
}

TEST_F(RemoteTiers, QuoteTheBestSourceWhenNobodyIsSure) {
  const auto corpus = folder_.path() / "corpus";
  std::filesystem::create_directory(corpus);
  std::ofstream(corpus / "rules.md") << "# Rules\n\n## 1 Files\n\nFiles are kept for seven years. Then they are shredded.\n";
  start({{"one",
          {"mini=remote:weak"},
          {},
          {},
          options("tiers = [\"mini\"]\nwhen_unsure = \"Not sure. {source} says: {quote}\"\n[[rule]]\nname = \"all\"\n"
                  "start = \"mini\"\nconfidence_min = { mini = 0.8 }\n",
                  corpus)}});
  weak_.then(saying("lookup"));
  weak_.then(saying("Eight years [1]."));
  Heard heard;
  const policy::Turn turn = ask(question(Assurance::standard), into(heard));
  EXPECT_TRUE(heard.is_whole());
  ASSERT_TRUE(turn.outcome && turn.outcome->committed);
  EXPECT_FALSE(turn.outcome->confident);
  EXPECT_NE(turn.outcome->answer.find("Not sure. [1] says: Files are kept for seven years."), std::string::npos)
      << turn.outcome->answer;
  EXPECT_EQ(turn.outcome->citations.size(), 1U);
  for (const policy::TurnEvent& event : heard.events) {
    EXPECT_FALSE(std::holds_alternative<policy::TokensEvent>(event.what)) << "what the model said is not the answer";
  }
}

TEST_F(RemoteTiers, AreRefusedIfTheyCannotBeAsked) {
  const auto refused = [&](const std::string& tier, const std::string& endpoint, const std::string& words) {
    std::ofstream(folder_.path() / "endpoints.toml") << endpoint;
    const Outcome outcome =
        troupe("node --listen 127.0.0.1:0 --cluster 127.0.0.1:0 --corpus none --data " + (folder_.path() / "data").string() +
               " --endpoints " + (folder_.path() / "endpoints.toml").string() + " --tier " + tier);
    EXPECT_EQ(outcome.status, 1) << outcome.output;
    EXPECT_NE(outcome.output.find(words), std::string::npos) << outcome.output;
  };
  const std::string endpoint =
      "[[endpoint]]\nname = \"a\"\nprotocol = \"openai\"\nmodel = \"m\"\nurl = \"http://127.0.0.1/v1\"\n";
  refused("heavy=remote:b", endpoint, "there is no endpoint \"b\"");
  refused("heavy=remote:a", endpoint + "key_file = \"/nothing/here\"\n", "/nothing/here");
  refused("heavy=remote:a", "[[endpoint]]\nname = \"a\"\n", "protocol is missing");
}

}  // namespace
}  // namespace troupe::tests
