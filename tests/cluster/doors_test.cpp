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
#include <iostream>
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
  // So hot that an end is one token of thousands: the answer would go on for seconds.
  const Child asking = spawn(
      {TROUPE_BINARY, "ask", "--connect", node.clients(), "--conversation", to_string(conversation->id()), "--assurance",
       "draft", "--tier", "heavy", "--grounding", "never", "--temperature", "50", "--seed", "5", "--tokens", "1500", "Hello"},
      folder_.path() / "ask.log");
  std::array<char, 64> words{};
  ASSERT_GT(::read(asking.output, words.data(), words.size()), 0);
  ::kill(asking.process, SIGKILL);
  const auto killed = Steady::now();
  ::waitpid(asking.process, nullptr, 0);
  ::close(asking.output);

  const auto is_free = [&] {
    const auto view = reader.status();
    if (!view) return false;
    const policy::ReplicaView& replica = view->nodes.at(0).replicas.at(0);
    return replica.running == 0 && replica.waiting == 0 && replica.blocks_free + replica.blocks_cached == replica.blocks_total;
  };
  while (!is_free() && Steady::now() - killed < 30s) std::this_thread::sleep_for(5ms);
  EXPECT_TRUE(is_free());
  const auto freed_ms = std::chrono::duration_cast<std::chrono::milliseconds>(Steady::now() - killed).count();
  RecordProperty("freed_after_ms", static_cast<int>(freed_ms));
  std::cout << "free " << freed_ms << " ms after the client's death\n";

  const auto followed = conversation->follow(1, 0);
  ASSERT_TRUE(followed) << followed.error().message;
  EXPECT_FALSE(followed->end.outcome.committed) << "the answer ended before its reader was killed";
  EXPECT_EQ(followed->end.outcome.code, "cancelled");
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

TEST_F(Doors, ANodeThatJoinsTheWrongAddressWaitsAndHarmsNobody) {
  NodeProcess& node = start_one("mini");
  NodeProcess lost = another({"lost", {"none"}, node.clients()});  // the door for clients is not the one for nodes
  lost.begin();
  const auto until = Steady::now() + 30s;
  while (lost.log().find("waiting for the cluster") == std::string::npos && Steady::now() < until)
    std::this_thread::sleep_for(10ms);
  expect_answers(node);
  EXPECT_NE(lost.log().find("waiting for the cluster"), std::string::npos) << lost.log();
  const auto view = client(node).status();
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(view->nodes.size(), 1U);
}

TEST_F(Doors, ADataFolderOfAnotherNodeOrClusterIsRefused) {
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

  // The same folder and name, in another cluster.
  NodeProcess elsewhere = another({"elsewhere", {"none"}});
  ASSERT_TRUE(elsewhere.start());
  NodeProcess moved = another({"second", {"none"}, elsewhere.cluster()});
  const auto as_moved = moved.start();
  ASSERT_FALSE(as_moved);
  EXPECT_NE(as_moved.error().message.find("cluster"), std::string::npos) << as_moved.error().message;
  expect_answers(node);
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
