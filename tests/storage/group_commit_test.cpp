#include "storage/group_commit.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "storage/memory_store.hpp"

namespace troupe::storage {
namespace {

WriteBatch batch(const std::string& key, const std::string& value = "v") {
  return {.puts = {{.column = Column::meta, .key = key, .value = value}}, .fence = std::nullopt};
}

/// A store whose first write waits until it is let go, so that a test can queue what it likes behind it.
class HeldStore {
 public:
  HeldStore() {
    store.before_write([this](std::uint64_t) {
      if (++writes == 1) {
        begun_.count_down();
        released_.wait();
      }
    });
  }
  /// Queues a first batch, and returns when the journal's thread is held in writing it.
  void hold(Journal& journal) {
    journal.commit(batch("first"), [](const Result<void>&) {});
    begun_.wait();
  }
  void release() { released_.count_down(); }

  MemoryStore store;
  std::atomic<int> writes = 0;

 private:
  std::latch begun_{1};
  std::latch released_{1};
};

TEST(GroupCommit, SaysWhenABatchIsDurable) {
  MemoryStore store;
  GroupCommit journal(store);
  std::promise<bool> durable;
  journal.commit(batch("a"), [&](const Result<void>& done) {
    store.crash();
    durable.set_value(done && store.get(Column::meta, "a").value().has_value());
  });
  EXPECT_TRUE(durable.get_future().get());
}

TEST(GroupCommit, MakesManyBatchesDurableWithOneWrite) {
  HeldStore held;
  std::vector<int> told;
  {
    GroupCommit journal(held.store);
    held.hold(journal);
    for (int i = 0; i < 100; ++i) {
      journal.commit(batch("k", std::to_string(i)), [&told, i](const Result<void>& done) {
        EXPECT_TRUE(done);
        told.push_back(i);
      });
    }
    held.release();
  }
  EXPECT_EQ(held.writes, 2) << "the one that was held, and one for a hundred";
  ASSERT_EQ(told.size(), 100U) << "closing finishes what is queued";
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_EQ(held.store.get(Column::meta, "k").value(), "99") << "in the order of the calls";
}

TEST(GroupCommit, ReadsSeeWhatWasCommittedBeforeThem) {
  HeldStore held;
  std::string seen;
  {
    GroupCommit journal(held.store);
    held.hold(journal);
    const auto look = [&](const Store& store) { seen += store.get(Column::meta, "k").value().value_or("-") + " "; };
    journal.read(look);
    journal.commit(batch("k", "1"), [&](const Result<void>&) { seen += "told "; });
    journal.read(look);
    journal.commit(batch("k", "2"), [](const Result<void>&) {});
    journal.commit(batch("k", "3"), [](const Result<void>&) {});
    journal.read(look);
    held.release();
  }
  EXPECT_EQ(seen, "- told 1 3 ");
}

TEST(GroupCommit, TellsEachBatchItsOwnFate) {
  HeldStore held;
  std::string fates;
  {
    GroupCommit journal(held.store);
    held.hold(journal);
    for (const std::uint64_t epoch : {2U, 1U, 3U}) {
      WriteBatch one = batch("k", std::to_string(epoch));
      one.fence = Fence{.column = Column::meta, .key = "fence", .epoch = epoch};
      journal.commit(std::move(one), [&](const Result<void>& done) { fates += done ? "+" : to_string(done.error().code); });
    }
    held.release();
  }
  EXPECT_EQ(fates, "+unavailable+");
  EXPECT_EQ(held.store.get(Column::meta, "k").value(), "3");
}

TEST(GroupCommit, OfAFullDiskFailsAndGoesOnWhenThereIsRoom) {
  MemoryStore store;
  GroupCommit journal(store);
  const auto commit = [&] {
    std::promise<std::string> fate;
    journal.commit(batch("k"), [&](const Result<void>& done) { fate.set_value(done ? "+" : done.error().message); });
    return fate.get_future().get();
  };
  store.fail_writes(0);
  EXPECT_NE(commit().find("room"), std::string::npos);
  store.fail_writes(std::nullopt);
  EXPECT_EQ(commit(), "+");
}

TEST(GroupCommit, RefusesAtOnceWhatIsTooMuch) {
  HeldStore held;
  {
    GroupCommit journal(held.store, {.batches_max = 3, .bytes_max = 100});
    held.hold(journal);  // one batch of 6 bytes
    std::optional<Error> refusal;
    const auto commit = [&](const std::string& value) {
      refusal.reset();
      const auto here = std::this_thread::get_id();
      journal.commit(batch("k", value), [&, here](const Result<void>& done) {
        if (std::this_thread::get_id() == here) refusal = done.error();
      });
      return refusal ? to_string(refusal->code) : "queued";
    };
    EXPECT_EQ(commit(std::string(100, 'x')), "too_large");
    EXPECT_EQ(commit(std::string(93, 'x')), "queued") << "100 bytes with the one that is being written";
    EXPECT_EQ(commit(""), "overloaded") << "one byte more";
    EXPECT_NE(refusal->message.find("2 batches of 100 bytes"), std::string::npos) << refusal->message;
    held.release();

    // Room is there again by the time that a batch is told.
    std::promise<void> empty;
    journal.read([&](const Store&) { empty.set_value(); });
    empty.get_future().wait();
    std::latch told(1);
    journal.commit(batch("k", std::string(90, 'x')), [&](const Result<void>& done) {
      EXPECT_TRUE(done);
      told.count_down();
    });
    told.wait();
  }
}

TEST(GroupCommit, RefusesAtOnceWhatIsTooMany) {
  HeldStore held;
  int overloaded = 0;
  std::atomic<int> durable = 0;
  {
    GroupCommit journal(held.store, {.batches_max = 2});
    held.hold(journal);
    for (int i = 0; i < 3; ++i) {
      journal.commit(batch("k"), [&](const Result<void>& done) {
        if (done) {
          ++durable;
        } else {
          overloaded += done.error().code == ErrorCode::overloaded ? 1 : 0;
        }
      });
    }
    EXPECT_EQ(overloaded, 2) << "one is being written, one is queued";
    held.release();
  }
  EXPECT_EQ(durable, 1);
}

TEST(GroupCommit, RefusesWhatIsCommittedWhileItCloses) {
  HeldStore held;
  std::string fate;
  auto journal = std::make_unique<GroupCommit>(held.store);
  auto* const open = journal.get();
  held.hold(*journal);
  std::latch closing(1);
  open->read([&](const Store&) { closing.wait(); });
  open->read([&](const Store&) {
    open->commit(batch("late"), [&](const Result<void>& done) { fate = done ? "+" : to_string(done.error().code); });
  });
  held.release();
  std::thread closer([&] { journal.reset(); });
  // The journal is closing once it refuses; until then a commit is an ordinary one.
  for (bool refused = false; !refused;) {
    open->commit(batch("early"), [&](const Result<void>& done) {
      if (!done && done.error().code == ErrorCode::unavailable) refused = true;
    });
    if (!refused) std::this_thread::yield();
  }
  closing.count_down();
  closer.join();
  EXPECT_EQ(fate, "unavailable");
  EXPECT_EQ(held.store.get(Column::meta, "late").value(), std::nullopt);
}

TEST(GroupCommit, TakesFromManyThreadsAndAnswersEachOnce) {
  MemoryStore store;
  std::vector<std::atomic<int>> answers(4 * 200);
  {
    GroupCommit journal(store);
    std::vector<std::thread> writers;
    for (int writer = 0; writer < 4; ++writer) {
      writers.emplace_back([&, writer] {
        for (int i = 0; i < 200; ++i) {
          const int number = 200 * writer + i;
          journal.commit(batch(std::to_string(writer), std::to_string(i)), [&, number](const Result<void>& done) {
            EXPECT_TRUE(done);
            ++answers[static_cast<std::size_t>(number)];
          });
        }
      });
    }
    for (auto& writer : writers) writer.join();
  }
  for (const auto& count : answers) ASSERT_EQ(count, 1);
  for (int writer = 0; writer < 4; ++writer) EXPECT_EQ(store.get(Column::meta, std::to_string(writer)).value(), "199");
}

}  // namespace
}  // namespace troupe::storage
