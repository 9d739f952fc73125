// A journal without a thread, for tests and the simulation: a batch is written when its owner says so, and not before. What has
// been queued and not completed is lost by a crash, as it would be in the memory of a process.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <variant>

#include "storage/journal.hpp"

namespace troupe::storage {

/// Not synchronised: all calls come from one thread at a time.
class DirectJournal final : public Journal {
 public:
  /// Runs `work` at some time that it chooses, not inside the call.
  using Schedule = std::function<void(std::function<void()> work)>;

  /// `store` must outlive it. With a `schedule`, each call schedules the completion of one piece of work, always the oldest;
  /// without, the owner calls complete_next(). Scheduled work that runs after the journal is gone does nothing.
  explicit DirectJournal(Store& store, Schedule schedule = {});

  void commit(WriteBatch batch, Done done) override;
  void read(Read read) override;

  /// Commits and reads that wait.
  std::size_t pending() const { return queue_->size(); }
  /// Writes (or reads) for the oldest, and tells it; false if nobody waits. It may be called from what it calls.
  bool complete_next();
  /// Until nobody waits, those who come meanwhile included.
  void complete_all();
  /// Forgets all that wait, without a word to them.
  void crash() { queue_->clear(); }

 private:
  struct Commit {
    WriteBatch batch;
    Done done;
  };
  using Work = std::variant<Commit, Read>;

  void add(Work work);
  static bool complete_next(std::deque<Work>& queue, Store& store);

  Store& store_;
  Schedule schedule_;
  std::shared_ptr<std::deque<Work>> queue_ = std::make_shared<std::deque<Work>>();  // scheduled work holds it weakly
};

}  // namespace troupe::storage
