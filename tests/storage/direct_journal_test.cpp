#include "storage/direct_journal.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "storage/memory_store.hpp"

namespace troupe::storage {
namespace {

WriteBatch batch(const std::string& value) {
  return {.puts = {{.column = Column::meta, .key = "k", .value = value}}, .fence = std::nullopt};
}
std::string stored(const Store& store) { return store.get(Column::meta, "k").value().value_or("-"); }

class DirectJournalTest : public ::testing::Test {
 protected:
  Journal::Done tell(const std::string& name) {
    return [this, name](const Result<void>& done) { told_ += name + (done ? "+" : "!"); };
  }

  MemoryStore store_;
  std::string told_;
};

TEST_F(DirectJournalTest, WritesWhenItIsToldTo) {
  DirectJournal journal(store_);
  EXPECT_FALSE(journal.complete_next());
  journal.commit(batch("1"), tell("a"));
  journal.commit(batch("2"), tell("b"));
  EXPECT_EQ(journal.pending(), 2U);
  EXPECT_EQ(stored(store_), "-") << "nothing is written before its time";
  EXPECT_TRUE(journal.complete_next());
  EXPECT_EQ(stored(store_), "1");
  EXPECT_EQ(told_, "a+");
  EXPECT_EQ(journal.pending(), 1U);
  journal.complete_all();
  EXPECT_EQ(stored(store_), "2");
  EXPECT_EQ(told_, "a+b+");
}

TEST_F(DirectJournalTest, ReadsInTheOrderOfTheCalls) {
  DirectJournal journal(store_);
  journal.read([&](const Store& store) { told_ += stored(store) + " "; });
  journal.commit(batch("1"), tell("a"));
  journal.read([&](const Store& store) { told_ += " " + stored(store); });
  journal.complete_all();
  EXPECT_EQ(told_, "- a+ 1");
}

TEST_F(DirectJournalTest, LosesInACrashWhatWaits) {
  DirectJournal journal(store_);
  journal.commit(batch("1"), tell("a"));
  journal.complete_next();
  journal.commit(batch("2"), tell("b"));
  journal.crash();
  store_.crash();
  EXPECT_FALSE(journal.complete_next());
  EXPECT_EQ(stored(store_), "1");
  EXPECT_EQ(told_, "a+") << "who waited is told nothing";
}

TEST_F(DirectJournalTest, PassesOnWhatTheStoreRefuses) {
  DirectJournal journal(store_);
  store_.fail_writes(0);
  journal.commit(batch("1"), tell("a"));
  journal.complete_all();
  EXPECT_EQ(told_, "a!");
}

TEST_F(DirectJournalTest, MayBeUsedByWhomItTells) {
  DirectJournal journal(store_);
  journal.commit(batch("1"), [&](const Result<void>&) {
    journal.commit(batch("2"), tell("b"));
    journal.commit(batch("3"), tell("c"));
    EXPECT_TRUE(journal.complete_next());
  });
  journal.complete_all();
  EXPECT_EQ(told_, "b+c+");
  EXPECT_EQ(stored(store_), "3");
}

TEST_F(DirectJournalTest, LetsASimulationDecideWhen) {
  std::vector<std::function<void()>> scheduled;
  const auto schedule = [&](std::function<void()> work) { scheduled.push_back(std::move(work)); };
  {
    DirectJournal journal(store_, schedule);
    journal.commit(batch("1"), tell("a"));
    journal.commit(batch("2"), tell("b"));
    ASSERT_EQ(scheduled.size(), 2U);
    EXPECT_EQ(stored(store_), "-");
    scheduled[1]();
    EXPECT_EQ(told_, "a+") << "the oldest first, whatever the schedule's order";
    journal.commit(batch("3"), tell("c"));
    journal.crash();
    scheduled[0]();
    scheduled[2]();
    EXPECT_EQ(told_, "a+") << "what was scheduled before a crash finds nothing";
    journal.commit(batch("4"), tell("d"));
  }
  scheduled[3]();
  EXPECT_EQ(told_, "a+") << "nor does it after the journal is gone";
  EXPECT_EQ(stored(store_), "1");
}

}  // namespace
}  // namespace troupe::storage
