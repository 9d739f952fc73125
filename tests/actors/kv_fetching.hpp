// A node that fetches KV blocks, and whoever has them: what the tests of fetching share.
#pragma once

#include <functional>
#include <utility>

#include "tests/actors/shards.hpp"

namespace troupe::actors {

class KvFetching : public Shards {
 protected:
  /// Two nodes: a has computed prompt(4), and b fetches.
  void make_two(const PoolOptions& of_b = {}) {
    a_ = &add("a");
    a_->replica().compute(prompt(4));
    b_ = &add("b", {of_b});
    publish();
  }
  /// A node and a neighbour that says that it has a prompt of so many blocks, and lends them rightly.
  void make_with_neighbour(const PoolOptions& of_b = {}, std::int32_t blocks = 4) {
    b_ = &add("b", {of_b});
    n_ = &add_neighbour("n", static_cast<std::size_t>(blocks));
    publish();
    n_->lend = [this](const schemas::KvLease& asked) { return lends_all(*n_, b_->replica(), asked); };
    say_it_has(prompt(blocks));
  }
  void say_it_has(const policy::TokenIds& tokens) {
    tell(b_->shard, schemas::KvHoldings{n_->name, false, b_->replica().chain(tokens), {}});
  }
  /// What the neighbour would lend, changed.
  void lend_changed(std::function<void(schemas::KvLeased&)> change) {
    n_->lend = [this, change = std::move(change)](const schemas::KvLease& asked) {
      schemas::KvLeased leased = lends_all(*n_, b_->replica(), asked);
      change(leased);
      return leased;
    };
  }
  void delay_transfers(Duration delay) {
    trouble_ = [delay](cluster::LocalFault& fault) { fault.delay = delay; };
  }
  /// Nothing was kept from what came, and nothing is held for it any more, here or there.
  void expect_nothing_came() {
    world_.settle();
    EXPECT_EQ(b_->replica().here(prompt(1)), 0U);
    EXPECT_EQ(b_->replica().pool().held(), 0);
    EXPECT_EQ(b_->traffic().fetched_blocks, 0U);
    if (n_ != nullptr && !n_->asked.empty()) {
      ASSERT_EQ(n_->released.size(), n_->asked.size());
      EXPECT_EQ(n_->released.back().lease, 77U);
      EXPECT_EQ(n_->released.back().node.value, "b");
    }
  }

  Node* a_ = nullptr;
  Node* b_ = nullptr;
  Neighbour* n_ = nullptr;
};

}  // namespace troupe::actors
