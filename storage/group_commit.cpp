#include "storage/group_commit.hpp"

#include <string>
#include <utility>

#include "base/check.hpp"

namespace troupe::storage {

namespace {

std::size_t bytes_of(const WriteBatch& batch) {
  std::size_t bytes = batch.fence ? batch.fence->key.size() : 0;
  for (const Put& put : batch.puts) bytes += put.key.size() + (put.value ? put.value->size() : 0);
  return bytes;
}

}  // namespace

GroupCommit::GroupCommit(Store& store, const GroupCommitLimits& limits) : store_(store), limits_(limits) {
  thread_ = std::thread([this] { run(); });
}

GroupCommit::~GroupCommit() {
  {
    const std::scoped_lock lock(mutex_);
    closing_ = true;
    changed_.notify_one();
  }
  thread_.join();
}

void GroupCommit::commit(WriteBatch batch, Done done) {
  if (auto queued = queue(batch, done); !queued) done(std::move(queued));
}

Result<void> GroupCommit::queue(WriteBatch& batch, Done& done) {
  const std::size_t bytes = bytes_of(batch);
  if (bytes > limits_.bytes_max) {
    return Error{ErrorCode::too_large, "a batch of " + std::to_string(bytes) + " bytes, the journal takes at most " +
                                           std::to_string(limits_.bytes_max)};
  }
  const std::scoped_lock lock(mutex_);
  if (closing_) return Error{ErrorCode::unavailable, "the journal is closing; the node is about to stop"};
  if (batches_ >= limits_.batches_max || bytes > limits_.bytes_max - bytes_) {
    return Error{ErrorCode::overloaded, std::to_string(batches_) + " batches of " + std::to_string(bytes_) +
                                            " bytes wait for the disk, at most " + std::to_string(limits_.batches_max) +
                                            " of " + std::to_string(limits_.bytes_max) + " may; try again later"};
  }
  ++batches_;
  bytes_ += bytes;
  queued_.emplace_back(Commit{.batch = std::move(batch), .done = std::move(done), .bytes = bytes});
  changed_.notify_one();
  return {};
}

void GroupCommit::read(Read read) {
  const std::scoped_lock lock(mutex_);
  queued_.emplace_back(std::move(read));
  changed_.notify_one();
}

void GroupCommit::run() {
  std::deque<Work> taken;
  std::vector<Commit> group;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return closing_ || !queued_.empty(); });
      if (queued_.empty()) return;
      taken.swap(queued_);
    }
    for (Work& work : taken) {
      if (auto* commit = std::get_if<Commit>(&work)) {
        group.push_back(std::move(*commit));
        continue;
      }
      write(group);
      std::get<Read>(work)(store_);
    }
    write(group);
    taken.clear();
  }
}

void GroupCommit::write(std::vector<Commit>& group) {
  if (group.empty()) return;
  std::vector<WriteBatch> batches;
  batches.reserve(group.size());
  std::size_t bytes = 0;
  for (Commit& commit : group) {
    batches.push_back(std::move(commit.batch));
    bytes += commit.bytes;
  }
  auto results = store_.write(batches);
  TROUPE_CHECK(results.size() == group.size(), "a store answers for each batch");
  {
    const std::scoped_lock lock(mutex_);  // whoever is told may commit again at once, and finds the room
    batches_ -= group.size();
    bytes_ -= bytes;
  }
  for (std::size_t i = 0; i < group.size(); ++i) group[i].done(std::move(results[i]));
  group.clear();
}

}  // namespace troupe::storage
