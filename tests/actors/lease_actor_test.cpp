// The lease service over a journal that writes when the test says so: what is told is durable.
#include "actors/lease_actor.hpp"

#include <gtest/gtest.h>

#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <memory>
#include <optional>

#include "storage/direct_journal.hpp"
#include "storage/memory_store.hpp"

namespace troupe::actors {
namespace {

constexpr policy::ConversationId conversation{.bytes = {1}};
const policy::NodeId a{"a"};
const policy::NodeId b{"b"};

class Leases : public testing::Test {
 protected:
  Leases() {
    config_.add_message_types<caf::id_block::troupe>();
    config_.set("scheduler.policy", caf::atom("testing"));
    config_.set("logger.verbosity", caf::atom("quiet"));
    system_ = std::make_unique<caf::actor_system>(config_);
    system_->await_actors_before_shutdown(false);
    context_ = std::make_shared<NodeContext>();
    context_->clock = std::make_shared<ManualClock>();
    context_->journal = journal_;
    lease_ = caf::actor_cast<LeaseActor>(system_->spawn(lease_actor, context_));
    for (const policy::NodeId& node : {a, b}) ask<schemas::LeaseKept>(schemas::LeaseKeep{node, 1});
  }
  ~Leases() override {
    stop(lease_);
    run();
  }
  void run() { dynamic_cast<caf::scheduler::test_coordinator&>(system_->scheduler()).run(); }
  /// One read or write of the journal, and what follows from it.
  bool step() {
    run();
    const bool worked = journal_->complete_next();
    run();
    return worked;
  }
  template <class Answer, class Message>
  std::shared_ptr<std::optional<Result<Answer>>> ask(Message message) {
    auto answer = std::make_shared<std::optional<Result<Answer>>>();
    system_->spawn([lease = lease_, message, answer](caf::event_based_actor* self) {
      self->request(lease, caf::infinite, message)
          .then([answer](const Answer& reply) { *answer = reply; },
                [answer](const caf::error& error) { *answer = from_caf(error, "asking"); });
    });
    run();
    return answer;
  }
  schemas::LeaseGrant granted(const schemas::LeaseAcquire& acquire) {
    const auto answer = ask<schemas::LeaseGrant>(acquire);
    while (step()) {
    }
    return **answer ? ***answer : schemas::LeaseGrant{};
  }
  static schemas::LeaseMove move() { return {conversation, a, 1, 1, b}; }

  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
  storage::MemoryStore store_;
  std::shared_ptr<storage::DirectJournal> journal_ = std::make_shared<storage::DirectJournal>(store_);
  NodeContextPtr context_;
  LeaseActor lease_;
};

TEST_F(Leases, SayThatALeaseHasMovedWhenThatIsDurable) {
  EXPECT_EQ(granted({conversation, a, 1, true, 0}).home, a);
  const auto moved = ask<schemas::LeaseGrant>(move());
  EXPECT_TRUE(step());
  EXPECT_FALSE(*moved) << "it is decided, and not written";
  EXPECT_TRUE(step());
  ASSERT_TRUE(*moved && **moved);
  EXPECT_EQ((***moved).home, b);
  EXPECT_EQ((***moved).epoch, 2U);
  store_.crash();
  const auto stored = store_.get(storage::Column::leases, cluster::lease_key(conversation));
  EXPECT_EQ(*cluster::decode_lease(**stored), (cluster::LeaseRecord{b, 1, 2}));
}

TEST_F(Leases, SayToWhoeverAsksWrongWhereTheConversationIs) {
  granted({conversation, a, 1, true, 0});
  const schemas::LeaseGrant elsewhere = granted({conversation, b, 1, false, 0});
  EXPECT_EQ(elsewhere.home, a);
  EXPECT_EQ(elsewhere.epoch, 1U);
}

TEST_F(Leases, DecideOneAfterTheOtherWhetherAMoveIsVoid) {
  granted({conversation, a, 1, true, 0});
  // The home has given up its move and begins again, and then the move arrives.
  const auto again = ask<schemas::LeaseGrant>(schemas::LeaseAcquire{conversation, a, 1, false, 1});
  const auto late = ask<schemas::LeaseGrant>(move());
  while (step()) {
  }
  ASSERT_TRUE(*again && **again);
  EXPECT_EQ((***again).home, a);
  EXPECT_EQ((***again).epoch, 2U);
  ASSERT_TRUE(*late);
  ASSERT_FALSE(**late);
  EXPECT_EQ((**late).error().code, ErrorCode::unavailable);
}

}  // namespace
}  // namespace troupe::actors
