// The journal of a node: one thread that takes all that is queued and makes it durable with one write, so that the price of an
// fsync is shared by everybody who waits for it.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

#include "storage/journal.hpp"

namespace troupe::storage {

struct GroupCommitLimits {
  std::size_t batches_max = 4096;                 ///< that are queued or being written
  std::size_t bytes_max = std::size_t{64} << 20;  ///< of their keys and values
};

/// Any thread may call. Everything runs on the journal's thread in the order of the calls, except for refusals: `overloaded`
/// comes back inside commit(). Reads are not refused; who asks for them bounds them.
class GroupCommit final : public Journal {
 public:
  /// `store` must outlive it.
  explicit GroupCommit(Store& store, const GroupCommitLimits& limits = {});
  /// Finishes what is queued. What is committed meanwhile, by those who are told, is refused as `unavailable`.
  ~GroupCommit() override;
  GroupCommit(const GroupCommit&) = delete;
  GroupCommit& operator=(const GroupCommit&) = delete;

  void commit(WriteBatch batch, Done done) override;
  void read(Read read) override;

 private:
  struct Commit {
    WriteBatch batch;
    Done done;
    std::size_t bytes = 0;
  };
  using Work = std::variant<Commit, Read>;

  Result<void> queue(WriteBatch& batch, Done& done);
  void run();
  /// Writes what is in `group`, tells everybody, and empties it.
  void write(std::vector<Commit>& group);

  Store& store_;
  const GroupCommitLimits limits_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Work> queued_;
  std::size_t batches_ = 0;  // queued or being written, as are the bytes
  std::size_t bytes_ = 0;
  bool closing_ = false;
  std::thread thread_;
};

}  // namespace troupe::storage
