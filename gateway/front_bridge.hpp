// The troupe as the event loop sees it: calls of Front become promises.
//
// Front answers in threads of its own. Nothing of KJ goes there: an answer carries a weak pointer, which is followed only in
// the loop's thread, and whose owner is the promise. So a call that was dropped, and a loop that has ended, cost an answer
// nothing but its way.
#pragma once

#include <kj/async.h>

#include <functional>
#include <memory>
#include <utility>

#include "actors/front.hpp"
#include "base/result.hpp"
#include "gateway/kj_inbox.hpp"

namespace troupe::gateway {

/// Runs in the loop's thread.
using Task = std::function<void()>;
using TaskInbox = KjInbox<Task>;

/// What a call came to. A pointer, since KJ's promises do not get along with tl::expected inside.
template <class T>
using Answered = std::shared_ptr<Result<T>>;

class FrontBridge {
 public:
  /// `front` must outlive the bridge. The inbox is shared with the threads that answer.
  FrontBridge(actors::Front& front, std::shared_ptr<TaskInbox> inbox) : front_(front), inbox_(std::move(inbox)) {}

  /// `start(front, reply)` makes the call; the promise is its answer.
  template <class T, class Start>
  kj::Promise<Answered<T>> call(const Start& start) {
    auto promised = kj::newPromiseAndFulfiller<Answered<T>>();
    auto waiting = std::make_shared<Waiting<T>>(kj::mv(promised.fulfiller));
    const auto owed = std::make_shared<Owed<T>>(inbox_, waiting);
    start(front_, actors::Reply<T>([owed](Result<T> result) { owed->give(std::move(result)); }));
    return promised.promise.attach(std::move(waiting));
  }

  actors::Front& front() { return front_; }
  const std::shared_ptr<TaskInbox>& inbox() const { return inbox_; }

 private:
  template <class T>
  struct Waiting {
    explicit Waiting(kj::Own<kj::PromiseFulfiller<Answered<T>>> to_fulfil) : fulfiller(kj::mv(to_fulfil)) {}
    kj::Own<kj::PromiseFulfiller<Answered<T>>> fulfiller;
  };

  /// An answer that is owed: if whoever was to give it ends without (an actor that failed), that is the answer.
  template <class T>
  class Owed {
   public:
    Owed(std::shared_ptr<TaskInbox> inbox, const std::shared_ptr<Waiting<T>>& waiting)
        : inbox_(std::move(inbox)), waiting_(waiting) {}
    ~Owed() {
      if (!given_) give(Error{ErrorCode::unavailable, "the node has lost the call; whether it was carried out is not known"});
    }
    Owed(const Owed&) = delete;
    Owed& operator=(const Owed&) = delete;
    void give(Result<T> result) {
      given_ = true;
      inbox_->post([weak = waiting_, answer = std::make_shared<Result<T>>(std::move(result))] {
        if (const auto waited = weak.lock()) waited->fulfiller->fulfill(kj::cp(answer));
      });
    }

   private:
    std::shared_ptr<TaskInbox> inbox_;
    std::weak_ptr<Waiting<T>> waiting_;
    bool given_ = false;
  };

  actors::Front& front_;
  std::shared_ptr<TaskInbox> inbox_;
};

}  // namespace troupe::gateway
