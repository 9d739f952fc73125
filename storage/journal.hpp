// A store for actors: nothing here waits for a disk. Work is queued, and its outcome comes back by a call, from whatever
// thread did it. Behind it is a thread that commits in groups (group_commit.hpp), or a simulation.
#pragma once

#include <functional>
#include <memory>

#include "base/result.hpp"
#include "storage/store.hpp"

namespace troupe::storage {

class Journal {
 public:
  using Done = std::function<void(Result<void>)>;
  /// Runs beside the writes, in their order: it sees what was committed before it.
  using Read = std::function<void(const Store&)>;

  virtual ~Journal() = default;
  /// `done` is called when the batch is durable or refused; batches become durable in the order of the calls. `overloaded` at
  /// once if too much is queued.
  virtual void commit(WriteBatch batch, Done done) = 0;
  virtual void read(Read read) = 0;
};

}  // namespace troupe::storage
