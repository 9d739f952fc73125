// What a fabric for device memory does beside what every fabric promises (fabric_test.cpp): over links in one process.
#include "cluster/device_fabric.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "cluster/local_fabric.hpp"
#include "tests/cluster/fabric_ends.hpp"
#include "tests/cluster/twin_links.hpp"

namespace troupe::cluster {
namespace {

const NodeId node_c{"c"};
constexpr std::size_t size = 100000;

class DeviceFabricTest : public testing::Test {
 protected:
  DeviceFabricTest() {
    a_ = open(node_a);
    b_ = open(node_b);
    connect(node_a, *a_, node_b, *b_);
  }
  std::unique_ptr<Fabric> open(const NodeId& name) {
    return make_device_fabric(name, {}, "twin", *hub_.join(name), std::make_unique<TwinLinks>(twins_));
  }
  static void connect(const NodeId& one, Fabric& of_one, const NodeId& other, Fabric& of_other) {
    ASSERT_TRUE(of_one.connect(other, of_other.address()));
    ASSERT_TRUE(of_other.connect(one, of_one.address()));
  }
  static End get(Fabric& fabric, const NodeId& from, const RemoteRegion& source, const RegionPtr& target,
                 TimePoint until = soon()) {
    End end;
    fabric.get(from, source, target, {{0, 0, size}}, until, end.done());
    return end;
  }
  Exposed host(Fabric& fabric, std::uint64_t seed) {
    auto memory = random_bytes(size, seed);
    twins_.mark_host(memory.data());
    return Exposed(fabric, std::move(memory));
  }

  LocalHub hub_;
  TwinHub twins_;
  std::unique_ptr<Fabric> a_;
  std::unique_ptr<Fabric> b_;
};

TEST_F(DeviceFabricTest, HostMemoryGoesOverTheOtherFabric) {
  const Exposed there = host(*b_, 1);
  const Exposed here = host(*a_, 2);
  EXPECT_EQ(get(*a_, node_b, there.region->remote(), here.region).wait_code(), "ok");
  EXPECT_TRUE(*here.memory == *there.memory);
  EXPECT_EQ(twins_.links(), 0U);
  EXPECT_EQ(a_->transport(), "twin");
}

TEST_F(DeviceFabricTest, NothingMovesBetweenHostAndDevice) {
  const Exposed host_there = host(*b_, 1);
  const Exposed host_here = host(*a_, 2);
  const Exposed there(*b_, random_bytes(size, 3));
  const Exposed here(*a_, random_bytes(size, 4));
  EXPECT_EQ(get(*a_, node_b, host_there.region->remote(), here.region).wait_code(), "invalid_argument");
  EXPECT_NE(get(*a_, node_b, there.region->remote(), host_here.region).wait_code(), "ok");
  EXPECT_EQ(get(*a_, node_b, there.region->remote(), here.region).wait_code(), "ok");
  EXPECT_EQ(twins_.links(), 1U);
}

TEST_F(DeviceFabricTest, APeerThatIsLostOnALinkThatHangsEndsItsTransfersAndNoOthers) {
  const auto c = open(node_c);
  connect(node_a, *a_, node_c, *c);
  const Exposed there(*b_, random_bytes(size, 1));
  const Exposed also(*c, random_bytes(size, 2));
  const Exposed here(*a_, random_bytes(size, 3));
  const Exposed other(*a_, random_bytes(size, 4));
  ASSERT_EQ(get(*a_, node_b, there.region->remote(), here.region).wait_code(), "ok");
  TwinOptions stuck;
  stuck.gets_on = 0;
  stuck.eager = 0;
  twins_.set_options(stuck);
  const End lost = get(*a_, node_b, there.region->remote(), here.region);
  const End later = get(*a_, node_c, also.region->remote(), other.region);
  hub_.part(node_a, node_b);
  EXPECT_EQ(lost.wait_code(), "unavailable");
  EXPECT_EQ(later.times(), 0);
  twins_.set_options({});
  EXPECT_EQ(later.wait_code(), "ok");
  EXPECT_TRUE(*other.memory == *also.memory);
  connect(node_a, *a_, node_b, *b_);
  EXPECT_EQ(get(*a_, node_b, there.region->remote(), here.region).wait_code(), "ok");
  EXPECT_TRUE(twins_.violations().empty());
}

TEST_F(DeviceFabricTest, ADeadlineEndsWhatHangsWithinTheGrace) {
  TwinOptions stuck;
  stuck.gets_on = 0;
  stuck.eager = 0;
  twins_.set_options(stuck);
  const Exposed there(*b_, random_bytes(size, 1));
  const Exposed here(*a_, random_bytes(size, 3));
  EXPECT_EQ(get(*a_, node_b, there.region->remote(), here.region, in(milliseconds(30))).wait_code(), "deadline_exceeded");
  twins_.set_options({});
  EXPECT_EQ(get(*a_, node_b, there.region->remote(), here.region).wait_code(), "ok");
  EXPECT_EQ(twins_.links(), 2U);
}

TEST_F(DeviceFabricTest, KnowsNobodyThatWasNotConnected) {
  const Exposed there(*b_, random_bytes(size, 1));
  const Exposed here(*a_, random_bytes(size, 3));
  EXPECT_EQ(get(*a_, {"nobody"}, there.region->remote(), here.region).wait_code(), "unavailable");
}

TEST_F(DeviceFabricTest, IgnoresNonsenseOnItsOwnChannel) {
  // The other side is a fabric of another kind, and says what it likes.
  const auto stranger = *hub_.join(node_c);
  ASSERT_TRUE(stranger->connect(node_a, a_->address()));
  for (std::size_t bytes = 0; bytes < 200; bytes += 7) {
    End sent;
    stranger->send(node_a, Channel::control, payload_of(random_bytes(bytes, bytes)), soon(), sent.done());
    EXPECT_EQ(sent.wait_code(), "ok");
  }
  const Exposed there(*b_, random_bytes(size, 1));
  const Exposed here(*a_, random_bytes(size, 3));
  EXPECT_EQ(get(*a_, node_b, there.region->remote(), here.region).wait_code(), "ok");
}

}  // namespace
}  // namespace troupe::cluster
