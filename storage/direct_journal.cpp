#include "storage/direct_journal.hpp"

#include <utility>

#include "base/check.hpp"

namespace troupe::storage {

DirectJournal::DirectJournal(Store& store, Schedule schedule) : store_(store), schedule_(std::move(schedule)) {}

void DirectJournal::commit(WriteBatch batch, Done done) { add(Commit{.batch = std::move(batch), .done = std::move(done)}); }

void DirectJournal::read(Read read) { add(std::move(read)); }

void DirectJournal::add(Work work) {
  queue_->push_back(std::move(work));
  if (!schedule_) return;
  schedule_([queue = std::weak_ptr(queue_), store = &store_] {
    if (const auto held = queue.lock()) complete_next(*held, *store);
  });
}

bool DirectJournal::complete_next() { return complete_next(*queue_, store_); }

bool DirectJournal::complete_next(std::deque<Work>& queue, Store& store) {
  if (queue.empty()) return false;
  Work work = std::move(queue.front());
  queue.pop_front();
  if (auto* commit = std::get_if<Commit>(&work)) {
    auto results = store.write({std::move(commit->batch)});
    TROUPE_CHECK(results.size() == 1, "a store answers for each batch");
    commit->done(std::move(results.front()));
  } else {
    std::get<Read>(work)(store);
  }
  return true;
}

void DirectJournal::complete_all() {
  while (complete_next()) {
  }
}

}  // namespace troupe::storage
