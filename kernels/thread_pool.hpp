// Compute threads that run one parallel loop at a time. How items fall to threads is left to chance, so an item must
// never write what another one reads: this is why the number of threads cannot change a bit.
//
// Between loops a worker spins for some tens of microseconds and then sleeps, so that the many short loops of one step
// follow each other within a microsecond or two and an idle process costs nothing.
#pragma once

#include <memory>

namespace troupe::kernels {

/// Sets rounding to nearest and denormals to exact (neither flushed nor read as zero) for the calling thread.
void set_float_environment();

class ThreadPool {
 public:
  /// `threads` compute threads in all, the caller's included; at least 1. Throws std::system_error if the operating
  /// system refuses a thread.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  /// Calls body(item) for every item in [0, items) and returns when all are done; the caller computes too, under
  /// set_float_environment(). Items are started in ascending order. The body must not throw. Called by one thread at a
  /// time, and not from inside a body. One item runs in the caller and wakes nobody.
  template <class Body>
  void run(int items, const Body& body) {
    run_erased(items, [](const void* context, int item) { (*static_cast<const Body*>(context))(item); }, &body);
  }

 private:
  void run_erased(int items, void (*call)(const void*, int), const void* context);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace troupe::kernels
