// How transfers are timed: a few under way at a time, some before the clock starts.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <vector>

#include "cluster/fabric.hpp"

namespace troupe::bench {

using Steady = std::chrono::steady_clock;

inline constexpr int transfers_under_way = 2;
inline constexpr Duration transfer_patience = std::chrono::seconds(60);

/// Counts what has ended, on the fabric's thread.
class TransferCount {
 public:
  cluster::TransferDone done() {
    return [this](const Result<void>& result) {
      const std::scoped_lock lock(mutex_);
      if (!result && !failed_) failed_ = result.error();
      ++ended_;
      changed_.notify_all();
    };
  }
  void add() {
    const std::scoped_lock lock(mutex_);
    ++ended_;
    changed_.notify_all();
  }
  Result<void> wait(int count) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, transfer_patience, [&] { return ended_ >= count || failed_; })) {
      return Error{ErrorCode::deadline_exceeded, "a transfer of the benchmark took longer than a minute"};
    }
    if (failed_) return *failed_;
    return {};
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int ended_ = 0;
  std::optional<Error> failed_;
};

inline double rate(std::size_t bytes, int transfers, Steady::time_point begin) {
  return static_cast<double>(bytes) * transfers / std::chrono::duration<double>(Steady::now() - begin).count();
}

/// Calls `begin(count)` for one transfer after the other, a few of them under way; bytes per second after the warm-up.
template <class Begin>
Result<double> measure(std::size_t bytes, int transfers, const Begin& begin) {
  const int warm = (transfers + 4) / 5;
  TransferCount count;
  Steady::time_point started = Steady::now();
  for (int i = 0; i < warm + transfers; ++i) {
    if (i == warm) {
      TROUPE_TRY_DO(count.wait(warm));
      started = Steady::now();
    }
    TROUPE_TRY_DO(count.wait(i - transfers_under_way + 1));
    begin(count);
  }
  TROUPE_TRY_DO(count.wait(warm + transfers));
  return rate(bytes, transfers, started);
}

template <class Number>
Number median(std::vector<Number> numbers) {
  std::sort(numbers.begin(), numbers.end());
  return numbers[numbers.size() / 2];
}

}  // namespace troupe::bench
