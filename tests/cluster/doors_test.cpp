// Real processes and what goes wrong around them: clients that vanish, strangers at the doors, folders of somebody else, an
// end.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/check.hpp"
#include "tests/cluster/troupe_of.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::tests {
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

class Doors : public testing::Test {
 protected:
  NodeProcess& start_one(const std::string& tier) {
    troupe_ = std::make_unique<TroupeOf>(TROUPE_BINARY, folder_.path(), std::vector<NodeSetup>{{"one", {tier}}});
    const auto started = troupe_->start();
    EXPECT_TRUE(started) << started.error().message;
    return troupe_->node(0);
  }
  NodeProcess another(NodeSetup setup) const { return {TROUPE_BINARY, folder_.path(), std::move(setup)}; }
  static clients::Client client(const NodeProcess& node) {
    auto made = clients::Client::connect({node.clients()});
    TROUPE_CHECK(made.has_value(), "a node that serves lets a client in");
    return std::move(*made);
  }
  static void expect_answers(const NodeProcess& node) {
    const auto conversation = client(node).open();
    ASSERT_TRUE(conversation) << conversation.error().message;
    policy::Ask ask;
    ask.question = "How long are access logs kept?";
    ask.tier = policy::Tier::mini;
    ask.assurance = policy::Assurance::draft;
    const auto answer = conversation->ask(ask);
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_TRUE(answer->end.outcome.committed) << answer->end.outcome.message;
  }
  /// So hot that an end is one token of thousands: the answer would go on for seconds.
  Child ask_for_seconds(const NodeProcess& node, const clients::Conversation& conversation) const {
    return spawn(
        {TROUPE_BINARY, "ask", "--connect", node.clients(), "--conversation", to_string(conversation.id()), "--assurance",
         "draft", "--tier", "heavy", "--grounding", "never", "--temperature", "50", "--seed", "1", "--tokens", "1500", "Hello"},
        folder_.path() / "ask.log");
  }

  TemporaryFolder folder_;
  std::unique_ptr<TroupeOf> troupe_;
};

/// Bytes that mean nothing, to a door that expects something.
void send_garbage(const std::string& address, std::uint64_t seed) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(socket, reinterpret_cast<const sockaddr*>(&place), sizeof(place)), 0) << address;
  std::mt19937_64 random(seed);
  std::string bytes(1 + random() % 5000, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  (void)::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);  // the door may close before it has read all
  ::close(socket);
}

TEST_F(Doors, AClientKilledInMidStreamFreesItsBlocks) {
  NodeProcess& node = start_one("heavy");
  const auto reader = client(node);
  const auto conversation = reader.open();
  ASSERT_TRUE(conversation) << conversation.error().message;
  const Child asking = ask_for_seconds(node, *conversation);
  std::array<char, 64> words{};
  ASSERT_GT(::read(asking.output, words.data(), words.size()), 0);
  const auto replica = [&]() -> policy::ReplicaView {
    const auto view = reader.status();
    EXPECT_TRUE(view);
    return view ? view->nodes.at(0).replicas.at(0) : policy::ReplicaView{};
  };
  const auto wait = [&](const std::function<bool(const policy::ReplicaView&)>& is_so) {
    const auto until = Steady::now() + 30s;
    while (!is_so(replica()) && Steady::now() < until) std::this_thread::sleep_for(5ms);
    return is_so(replica());
  };
  // What a node says of itself is a moment old.
  EXPECT_TRUE(wait([](const policy::ReplicaView& view) { return view.running == 1 && view.blocks_free < view.blocks_total; }));
  ::kill(asking.process, SIGKILL);
  const auto killed = Steady::now();
  ::waitpid(asking.process, nullptr, 0);
  ::close(asking.output);
  EXPECT_TRUE(wait([](const policy::ReplicaView& view) {
    return view.running == 0 && view.waiting == 0 && view.blocks_free + view.blocks_cached == view.blocks_total;
  }));
  const auto freed_ms = std::chrono::duration_cast<std::chrono::milliseconds>(Steady::now() - killed).count();
  RecordProperty("freed_after_ms", static_cast<int>(freed_ms));

  const auto followed = conversation->follow(1, 0);
  ASSERT_TRUE(followed) << followed.error().message;
  EXPECT_FALSE(followed->end.outcome.committed) << "the answer ended before its reader was killed";
  EXPECT_EQ(followed->end.outcome.code, "cancelled");
}

TEST_F(Doors, AnAnswerThatNobodyReadsAnyMoreIsCancelled) {
  NodeProcess& node = start_one("heavy");
  const auto conversation = client(node).open();
  ASSERT_TRUE(conversation) << conversation.error().message;
  const Child asking = ask_for_seconds(node, *conversation);
  std::array<char, 8> words{};
  ASSERT_GT(::read(asking.output, words.data(), words.size()), 0);
  ::close(asking.output);
  int status = 0;
  ::waitpid(asking.process, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 141) << status;
  EXPECT_EQ(std::filesystem::file_size(folder_.path() / "ask.log"), 0U) << "nothing is said of it";
  const auto turn = conversation->explain(1);
  ASSERT_TRUE(turn && turn->outcome);
  EXPECT_EQ(turn->outcome->code, "cancelled");
  const auto& result = turn->attempts.at(0).result;
  ASSERT_TRUE(result);
  EXPECT_EQ(result->node, "one");
  EXPECT_GT(result->generated_tokens, 0);
}

TEST_F(Doors, StayOpenWhenStrangersSendGarbage) {
  NodeProcess& node = start_one("mini");
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    send_garbage(node.cluster(), seed);
    send_garbage(node.clients(), seed);
  }
  expect_answers(node);
  EXPECT_TRUE(node.runs());
}

TEST_F(Doors, NodesThatJoinWrongAddressesWaitAndHarmNobody) {
  NodeProcess& node = start_one("mini");
  NodeProcess astray = another({"astray", {"none"}, node.clients()});  // the door for clients is not the one for nodes
  NodeProcess lost = another({"lost", {"none"}, "127.0.0.1:1"});
  astray.begin();
  lost.begin();
  const auto until = Steady::now() + 30s;
  const std::string hint = "is it its --listen instead of its --cluster?";  // on a busy machine it may be a time-out at first
  const auto tells = [](const NodeProcess& each, const std::string& what) {
    return each.log().find(what) != std::string::npos;
  };
  while (!(tells(lost, "waiting for the cluster") && tells(astray, hint)) && Steady::now() < until)
    std::this_thread::sleep_for(10ms);
  expect_answers(node);
  EXPECT_NE(lost.log().find("waiting for the cluster: no node answers at 127.0.0.1:1"), std::string::npos) << lost.log();
  EXPECT_TRUE(tells(astray, hint)) << astray.log();
  const auto client_astray = clients::Client::connect({node.cluster()});
  ASSERT_FALSE(client_astray);
  EXPECT_NE(client_astray.error().message.find("speaks another protocol; give a node's address for clients"), std::string::npos)
      << client_astray.error().message;
  EXPECT_TRUE(lost.runs());
  EXPECT_TRUE(astray.runs());
  const auto view = client(node).status();
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(view->nodes.size(), 1U);
}

TEST_F(Doors, AFolderOrNameOfAnotherNodeOrClusterIsRefused) {
  NodeProcess& node = start_one("mini");
  // The folder of a node of this cluster, under another name.
  {
    NodeProcess second = another({"second", {"none"}, node.cluster()});
    const auto started = second.start();
    ASSERT_TRUE(started) << started.error().message;
  }
  NodeProcess renamed = another({"renamed", {"none"}, node.cluster(), "second"});
  const auto as_another = renamed.start();
  ASSERT_FALSE(as_another);
  EXPECT_NE(as_another.error().message.find("second"), std::string::npos) << as_another.error().message;

  // The name of a node that lives.
  NodeProcess twin = another({"one", {"none"}, node.cluster(), "twin"});
  const auto as_twin = twin.start();
  ASSERT_FALSE(as_twin);
  EXPECT_NE(as_twin.error().message.find("the name one is taken"), std::string::npos) << as_twin.error().message;

  // The same folder and name, in another cluster.
  NodeProcess elsewhere = another({"elsewhere", {"none"}});
  ASSERT_TRUE(elsewhere.start());
  NodeProcess moved = another({"second", {"none"}, elsewhere.cluster()});
  const auto as_moved = moved.start();
  ASSERT_FALSE(as_moved);
  EXPECT_NE(as_moved.error().message.find("cluster"), std::string::npos) << as_moved.error().message;
  expect_answers(node);
}

TEST_F(Doors, ANodeKilledBeforeItsPeersMissedItMayComeBackAtOnce) {
  NodeProcess& node = start_one("mini");
  NodeProcess restless = another({"restless", {"none"}, node.cluster()});
  for (int life = 1; life <= 5; ++life) {
    const auto started = restless.start();  // kills the life before
    ASSERT_TRUE(started) << "life " << life << ": " << started.error().message;
  }
}

TEST_F(Doors, ANodeEndsCleanlyWhenItIsToldTo) {
  NodeProcess& node = start_one("mini");
  expect_answers(node);
  EXPECT_EQ(node.terminate(), 0) << node.log();
  ASSERT_TRUE(node.start());
  ASSERT_TRUE(troupe_->wait_until_serving());
  expect_answers(node);
  EXPECT_EQ(node.terminate(), 0) << node.log();
}

}  // namespace
}  // namespace troupe::tests
