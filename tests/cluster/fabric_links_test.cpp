#include "cluster/fabric_links.hpp"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <utility>

#include "base/check.hpp"
#include "cluster/local_fabric.hpp"

namespace troupe::cluster {
namespace {

using std::chrono::milliseconds;

/// Work in the order of its time, done when a test lets time pass.
class Time final : public Clock {
 public:
  TimePoint now() const override { return now_; }
  Schedule schedule() {
    return [this](Duration after, std::function<void()> work) {
      work_.emplace(std::pair(now_ + after, ++given_), std::move(work));
    };
  }
  void pass(Duration time) {
    const TimePoint until = now_ + time;
    while (!work_.empty() && work_.begin()->first.first <= until) {
      const auto next = work_.extract(work_.begin());
      now_ = std::max(now_, next.key().first);
      next.mapped()();
    }
    now_ = until;
  }

 private:
  TimePoint now_{std::chrono::hours(1)};
  std::map<std::pair<TimePoint, std::uint64_t>, std::function<void()>> work_;
  std::uint64_t given_ = 0;
};

struct Node {
  NodeId id;
  std::shared_ptr<Fabric> fabric;
  std::unique_ptr<FabricLinks> links;

  policy::NodeView view(policy::NodeState state = policy::NodeState::serving) const {
    policy::NodeView view;
    view.id = id;
    view.state = state;
    view.transports = links->transports();
    return view;
  }
};

class Links : public testing::Test {
 protected:
  Node make(const std::string& name, const std::string& scope = "here") {
    auto fabric = hub_.join({name});
    TROUPE_CHECK(fabric.has_value(), "a name is free");
    Node node{{name}, *std::move(fabric), nullptr};
    node.links = std::make_unique<FabricLinks>(node.id, std::vector<FabricOffer>{{node.fabric, scope}}, time_, Log());
    return node;
  }
  using Reached = std::vector<policy::LinkView>;

  /// Tells a node of its peers until they have settled.
  void follow(const Node& node, const std::vector<policy::NodeView>& peers) {
    node.links->follow(peers);
    time_->pass(FabricLinks::settle);
    node.links->follow(peers);
  }

  std::shared_ptr<Time> time_ = std::make_shared<Time>();
  bool silent_ = false;
  LocalHub hub_{{time_->schedule(), time_.get(), [this](const LocalOperation&) {
                   LocalFault fault;
                   if (silent_) fault.delay = std::chrono::hours(1);
                   return fault;
                 }}};
};

TEST_F(Links, ReachThoseWhoAreThere) {
  const Node one = make("one");
  const Node two = make("two");
  EXPECT_EQ(one.links->links(), Reached());
  one.links->follow({{one.view(), two.view()}});
  two.links->follow({{one.view(), two.view()}});
  time_->pass(FabricLinks::settle - milliseconds(1));
  one.links->follow({{one.view(), two.view()}});
  time_->pass(milliseconds(1));
  EXPECT_EQ(one.links->links(), Reached()) << "nobody has settled";
  one.links->follow({{one.view(), two.view()}});
  two.links->follow({{one.view(), two.view()}});
  EXPECT_EQ(one.links->links(), Reached());  // nothing has come through yet
  time_->pass(milliseconds(10));
  EXPECT_EQ(one.links->links(), (Reached{{{"two"}, "local"}}));
  EXPECT_EQ(two.links->links(), (Reached{{{"one"}, "local"}}));
  EXPECT_EQ(one.links->fabric_to({"two"}), one.fabric);
  EXPECT_EQ(one.links->fabric_to({"three"}), nullptr);
}

TEST_F(Links, DoNotReachThoseOfAnotherScopeOrWithoutAFabric) {
  const Node one = make("one");
  const Node two = make("two", "elsewhere");
  policy::NodeView three;
  three.id = {"three"};
  three.state = policy::NodeState::serving;
  follow(one, {two.view(), three});
  time_->pass(milliseconds(100));
  EXPECT_EQ(one.links->links(), Reached());
}

TEST_F(Links, AreTriedAgainWhileThePeerIsNotThere) {
  const Node one = make("one");
  std::optional<Node> two = make("two");
  const policy::NodeView former = two->view();
  two.reset();
  for (int i = 0; i < 20; ++i) {
    one.links->follow({{former}});
    time_->pass(milliseconds(200));
  }
  EXPECT_EQ(one.links->links(), Reached());
  two = make("two");
  follow(one, {two->view()});
  time_->pass(milliseconds(200));
  EXPECT_EQ(one.links->links(), (Reached{{{"two"}, "local"}}));
}

TEST_F(Links, AreNoneWhileAGreetingIsOnItsWay) {
  const Node one = make("one");
  const Node two = make("two");
  silent_ = true;
  for (int i = 0; i < 30; ++i) {
    one.links->follow({{two.view()}});
    time_->pass(milliseconds(200));
    EXPECT_EQ(one.links->links(), Reached());
  }
  silent_ = false;
  for (int i = 0; i < 15; ++i) {
    one.links->follow({{two.view()}});
    time_->pass(milliseconds(200));
  }
  EXPECT_EQ(one.links->links(), (Reached{{{"two"}, "local"}}));
}

TEST_F(Links, TellOfEveryPeerThatIsLostAndJoinItAgain) {
  const Node one = make("one");
  const Node two = make("two");
  std::vector<NodeId> lost;
  auto told = one.links->on_lost(*one.fabric, [&](const NodeId& peer, const Error&) { lost.push_back(peer); });
  follow(one, {two.view()});
  time_->pass(milliseconds(10));
  hub_.part({"one"}, {"two"});
  time_->pass(milliseconds(10));
  EXPECT_EQ(lost, std::vector<NodeId>{{"two"}});
  EXPECT_EQ(one.links->links(), Reached());
  one.links->follow({{two.view()}});  // too early
  time_->pass(milliseconds(10));
  EXPECT_EQ(one.links->links(), Reached());
  time_->pass(FabricLinks::again_after);
  one.links->follow({{two.view()}});
  time_->pass(milliseconds(10));
  EXPECT_EQ(one.links->links(), (Reached{{{"two"}, "local"}}));

  told.reset();
  hub_.part({"one"}, {"two"});
  time_->pass(milliseconds(10));
  EXPECT_EQ(lost.size(), 1U);
}

TEST_F(Links, ThoseWhoAreGoneAreLetGoAndThatIsTold) {
  const Node one = make("one");
  const Node two = make("two");
  std::vector<NodeId> lost;
  const auto told = one.links->on_lost(*one.fabric, [&](const NodeId& peer, const Error&) { lost.push_back(peer); });
  follow(one, {two.view()});
  time_->pass(milliseconds(10));
  one.links->follow({{two.view(policy::NodeState::gone)}});
  EXPECT_EQ(lost, std::vector<NodeId>{{"two"}});
  EXPECT_EQ(one.links->links(), Reached());
  std::optional<Result<void>> sent;
  one.fabric->send({"two"}, Channel::test, {}, time_->now() + milliseconds(5),
                   [&](const Result<void>& result) { sent = result; });
  time_->pass(milliseconds(10));
  ASSERT_TRUE(sent);
  EXPECT_FALSE(*sent);
}

TEST_F(Links, AreMadeAnewWithAPeerThatHasBegunAnew) {
  const Node one = make("one");
  std::optional<Node> two = make("two");
  int lost = 0;
  const auto told = one.links->on_lost(*one.fabric, [&](const NodeId&, const Error&) { ++lost; });
  follow(one, {two->view()});
  time_->pass(milliseconds(10));
  two.reset();
  two = make("two");
  one.links->follow({{two->view()}});  // before anybody has noticed
  time_->pass(milliseconds(10));
  EXPECT_GE(lost, 1);
  follow(one, {two->view()});
  time_->pass(milliseconds(10));
  EXPECT_EQ(one.links->links(), (Reached{{{"two"}, "local"}}));
}

TEST_F(Links, AnAddressOfNonsenseReachesNobody) {
  const Node one = make("one");
  const Node two = make("two");
  policy::NodeView liar = two.view();
  liar.transports.front().address = "nonsense";
  for (int i = 0; i < 5; ++i) {
    one.links->follow({{liar}});
    time_->pass(milliseconds(400));
  }
  EXPECT_EQ(one.links->links(), Reached());
}

}  // namespace
}  // namespace troupe::cluster
