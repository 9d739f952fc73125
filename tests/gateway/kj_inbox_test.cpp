#include "gateway/kj_inbox.hpp"

#include <gtest/gtest.h>
#include <kj/async-io.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace troupe::gateway {
namespace {

TEST(KjInbox, HandsOverWhatWasPostedBeforeTheLoopRan) {
  KjInbox<int> inbox;
  inbox.post(1);
  inbox.post(2);
  auto io = kj::setupAsyncIo();
  std::vector<int> seen;
  auto two = kj::newPromiseAndFulfiller<void>();
  auto running = inbox.run([&](int message) {
    seen.push_back(message);
    if (seen.size() == 2) two.fulfiller->fulfill();
  });
  two.promise.wait(io.waitScope);
  EXPECT_EQ(seen, (std::vector<int>{1, 2}));
  inbox.close();
}

TEST(KjInbox, KeepsTheOrderOfEachOfManyThreads) {
  constexpr int threads = 4;
  constexpr int messages = 2000;
  struct Message {
    int thread;
    int number;
  };
  KjInbox<Message> inbox;
  auto io = kj::setupAsyncIo();
  std::vector<int> next(threads, 0);
  int seen = 0;
  bool ordered = true;
  auto all = kj::newPromiseAndFulfiller<void>();
  auto running = inbox.run([&](const Message& message) {
    ordered &= message.number == next[static_cast<std::size_t>(message.thread)]++;
    if (++seen == threads * messages) all.fulfiller->fulfill();
  });
  std::vector<std::thread> posters;
  for (int thread = 0; thread < threads; ++thread) {
    posters.emplace_back([&inbox, thread] {
      for (int number = 0; number < messages; ++number) inbox.post({thread, number});
    });
  }
  all.promise.wait(io.waitScope);
  for (auto& poster : posters) poster.join();
  EXPECT_TRUE(ordered);
  EXPECT_EQ(seen, threads * messages);
  inbox.close();
}

TEST(KjInbox, HandlesWhatIsPostedWhileItHandles) {
  KjInbox<int> inbox;
  auto io = kj::setupAsyncIo();
  int last = 0;
  auto done = kj::newPromiseAndFulfiller<void>();
  auto running = inbox.run([&](int message) {
    last = message;
    if (message < 5) {
      inbox.post(message + 1);
    } else {
      done.fulfiller->fulfill();
    }
  });
  inbox.post(1);
  done.promise.wait(io.waitScope);
  EXPECT_EQ(last, 5);
  inbox.close();
}

TEST(KjInbox, DropsWhatComesAfterItWasClosed) {
  KjInbox<std::shared_ptr<int>> inbox;
  auto before = std::make_shared<int>(1);
  auto after = std::make_shared<int>(2);
  {
    auto io = kj::setupAsyncIo();
    auto running = inbox.run([](const std::shared_ptr<int>&) {});
    kj::evalLater([] {}).wait(io.waitScope);
    inbox.post(before);
    inbox.close();
  }
  inbox.post(after);
  EXPECT_EQ(before.use_count(), 1);
  EXPECT_EQ(after.use_count(), 1);
}

}  // namespace
}  // namespace troupe::gateway
