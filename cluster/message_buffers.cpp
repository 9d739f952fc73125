#include "cluster/message_buffers.hpp"

#include <bit>
#include <cstdint>

namespace troupe::cluster {

MessageBuffer::MessageBuffer(std::shared_ptr<MessageBuffers> home, std::unique_ptr<std::byte[]> memory, std::size_t capacity,
                             std::size_t bytes)
    : home_(std::move(home)), memory_(std::move(memory)), capacity_(capacity), bytes_(bytes) {
  const auto at = reinterpret_cast<std::uintptr_t>(memory_.get());
  begin_ = memory_.get() + (MessageBuffers::alignment - at % MessageBuffers::alignment) % MessageBuffers::alignment;
}

MessageBuffer::~MessageBuffer() {
  if (home_ && memory_) home_->give_back(std::move(memory_), capacity_);
}

MessageBuffer::MessageBuffer(MessageBuffer&& other) noexcept { *this = std::move(other); }

MessageBuffer& MessageBuffer::operator=(MessageBuffer&& other) noexcept {
  std::swap(home_, other.home_);
  std::swap(memory_, other.memory_);
  std::swap(begin_, other.begin_);
  std::swap(capacity_, other.capacity_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

MessageBuffer MessageBuffers::take(std::size_t bytes) {
  // Powers of two from kept_least on, so that a buffer fits the next message that is like this one.
  const std::size_t capacity = bytes < kept_least ? bytes : std::bit_ceil(bytes);
  std::unique_ptr<std::byte[]> memory;
  if (bytes >= kept_least) {
    const std::scoped_lock lock(mutex_);
    if (const auto place = kept_.find(capacity); place != kept_.end()) {
      memory = std::move(place->second);
      kept_.erase(place);
      kept_bytes_ -= capacity;
    }
  }
  if (!memory) memory.reset(new std::byte[capacity + alignment]);  // not make_unique, which would write zeroes
  return {shared_from_this(), std::move(memory), capacity, bytes};
}

void MessageBuffers::give_back(std::unique_ptr<std::byte[]> memory, std::size_t capacity) {
  if (capacity < kept_least) return;
  const std::scoped_lock lock(mutex_);
  if (kept_bytes_ + capacity > kept_bytes_max_) return;
  kept_bytes_ += capacity;
  kept_.emplace(capacity, std::move(memory));
}

}  // namespace troupe::cluster
