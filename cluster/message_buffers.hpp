// Memory for messages that arrive and for pieces that are gathered. Large buffers are kept for the next message: fresh memory
// costs a page fault for each 4 KiB, which is as dear as the copy.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <utility>

namespace troupe::cluster {

class MessageBuffers;

/// Its memory goes back where it came from. Aligned to 64.
class MessageBuffer {
 public:
  MessageBuffer() = default;
  MessageBuffer(std::shared_ptr<MessageBuffers> home, std::unique_ptr<std::byte[]> memory, std::size_t capacity,
                std::size_t bytes);
  ~MessageBuffer();
  MessageBuffer(MessageBuffer&& other) noexcept;
  MessageBuffer& operator=(MessageBuffer&& other) noexcept;
  std::span<std::byte> bytes() const { return {begin_, bytes_}; }

 private:
  std::shared_ptr<MessageBuffers> home_;
  std::unique_ptr<std::byte[]> memory_;
  std::byte* begin_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t bytes_ = 0;
};

/// Any thread.
class MessageBuffers : public std::enable_shared_from_this<MessageBuffers> {
 public:
  static constexpr std::size_t alignment = 64;
  static constexpr std::size_t kept_least = std::size_t{64} << 10;  ///< smaller ones are the allocator's business
  explicit MessageBuffers(std::size_t kept_bytes_max) : kept_bytes_max_(kept_bytes_max) {}
  MessageBuffer take(std::size_t bytes);

 private:
  friend class MessageBuffer;
  void give_back(std::unique_ptr<std::byte[]> memory, std::size_t capacity);
  const std::size_t kept_bytes_max_;
  std::mutex mutex_;
  std::multimap<std::size_t, std::unique_ptr<std::byte[]>> kept_;
  std::size_t kept_bytes_ = 0;
};

/// Where messages report that their receiver is through with them; after the fabric's end, nowhere.
class MessageReturns {
 public:
  using Return = std::function<void(std::uint64_t peer, std::size_t cost)>;
  explicit MessageReturns(Return on_return) : return_(std::move(on_return)) {}
  void close() {
    const std::scoped_lock lock(mutex_);
    return_ = nullptr;
  }
  void operator()(std::uint64_t peer, std::size_t cost) {
    const std::scoped_lock lock(mutex_);
    if (return_) return_(peer, cost);
  }

 private:
  std::mutex mutex_;
  Return return_;
};

}  // namespace troupe::cluster
