// One try at a call: work in the loop's thread, and a caller who waits for it in its own and may leave at any time.
#pragma once

#include <kj/async.h>

#include <condition_variable>
#include <mutex>
#include <optional>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace troupe::clients {

class Attempt {
 public:
  // The loop's thread.

  /// A promise that the caller's leaving fulfils; none if it has left.
  kj::Maybe<kj::Promise<void>> watch_caller();
  /// The work is done, or it failed for a reason of the connection.
  void finish(std::optional<Error> problem);

  // The caller's thread.

  /// Whether it is finished, after at most `time`.
  bool wait(Duration time);
  /// Once finished.
  const std::optional<Error>& problem() const { return problem_; }
  /// Drops the work, if it is not finished. What it would have written is not written any more once this attempt's owner in the
  /// loop has seen it, so the caller reads nothing of an abandoned attempt.
  void abandon();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool finished_ = false;
  bool abandoned_ = false;
  std::optional<Error> problem_;
  std::optional<kj::Own<kj::CrossThreadPromiseFulfiller<void>>> leave_;
};

}  // namespace troupe::clients
