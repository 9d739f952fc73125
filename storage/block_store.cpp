#include "storage/block_store.hpp"

#include <algorithm>
#include <utility>

namespace troupe::storage {

using policy::BlockId;

BlockStore::BlockStore(const BlockStoreLimits& limits, std::unique_ptr<BlockDisk> disk, Run run)
    : limits_(limits), disk_(std::move(disk)), run_(std::move(run)) {
  if (disk_ == nullptr) limits_.disk_bytes = 0;
  if (limits_.disk_bytes == 0) disk_.reset();
  if (!run_) thread_ = std::thread([this] { work(); });
  if (disk_) this->run([this] { load_index(); });
}

BlockStore::~BlockStore() {
  if (!thread_.joinable()) return;
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void BlockStore::run(std::function<void()> work) {
  if (run_) return run_(std::move(work));
  {
    const std::scoped_lock lock(mutex_);
    queue_.push_back(std::move(work));
  }
  changed_.notify_one();
}

void BlockStore::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const auto next = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    next();
    lock.lock();
  }
}

void BlockStore::load_index() {
  std::vector<std::pair<BlockId, std::size_t>> found;
  const auto listed = disk_->each([&](const BlockId& id, std::size_t bytes) { found.emplace_back(id, bytes); });
  const std::scoped_lock lock(mutex_);
  if (!listed) ++counters_.failed;
  for (const auto& [id, bytes] : found) {
    if (on_disk_.contains(id)) continue;
    on_disk_[id] = {bytes, disk_order_.insert(disk_order_.begin(), id)};
    counters_.disk_bytes += bytes;
  }
}

void BlockStore::keep(const BlockId& id, std::uint64_t checksum, std::span<const std::byte> payload) {
  const std::size_t bytes = payload.size();
  const bool to_host = bytes <= limits_.host_bytes;
  if (!to_host && bytes > limits_.disk_bytes) return;
  auto copy = std::make_shared<const std::vector<std::byte>>(payload.begin(), payload.end());
  Works works;
  {
    const std::scoped_lock lock(mutex_);
    if (host_.contains(id)) return;
    ++counters_.kept;
    Kept kept{checksum, std::move(copy), {}};
    if (to_host) {
      kept.recent = host_recent_.insert(host_recent_.end(), id);
      host_[id] = std::move(kept);
      counters_.host_bytes += bytes;
      shrink_host(works);
    } else {
      spill(id, std::move(kept), works);
    }
  }
  for (auto& work : works) run(std::move(work));
}

void BlockStore::shrink_host(Works& works) {
  while (counters_.host_bytes > limits_.host_bytes) {
    auto pushed_out = host_.extract(host_recent_.front());
    host_recent_.pop_front();
    counters_.host_bytes -= pushed_out.mapped().payload->size();
    spill(pushed_out.key(), std::move(pushed_out.mapped()), works);
  }
}

void BlockStore::spill(const BlockId& id, Kept kept, Works& works) {
  const std::size_t bytes = kept.payload->size();
  if (on_disk_.contains(id) || spilling_.contains(id)) return;
  if (bytes > limits_.disk_bytes || spilling_bytes_ + bytes > limits_.spilling_bytes_max) {
    ++counters_.dropped;
    return;
  }
  spilling_bytes_ += bytes;
  works.emplace_back([this, id, checksum = kept.checksum, payload = kept.payload] { write(id, checksum, *payload); });
  spilling_[id] = std::move(kept);
}

void BlockStore::write(const BlockId& id, std::uint64_t checksum, const std::vector<std::byte>& payload) {
  const std::size_t bytes = payload.size();
  const bool written = disk_->put(id, checksum, payload).has_value();
  const std::scoped_lock lock(mutex_);
  spilling_.erase(id);
  spilling_bytes_ -= bytes;
  if (!written) {
    ++counters_.failed;
    return;
  }
  // The disk forgets what was put first when it has no more room, and so does its index.
  while (counters_.disk_bytes + bytes > limits_.disk_bytes && !disk_order_.empty()) {
    forget_on_disk(disk_order_.front());
    ++counters_.dropped;
  }
  if (on_disk_.contains(id)) return;
  on_disk_[id] = {bytes, disk_order_.insert(disk_order_.end(), id)};
  counters_.disk_bytes += bytes;
}

void BlockStore::forget_on_disk(const BlockId& id) {
  const auto found = on_disk_.find(id);
  if (found == on_disk_.end()) return;
  counters_.disk_bytes -= found->second.bytes;
  disk_order_.erase(found->second.place);
  on_disk_.erase(found);
}

std::size_t BlockStore::count(std::span<const BlockId> chain) const {
  const std::scoped_lock lock(mutex_);
  const auto missing = std::ranges::find_if_not(
      chain, [this](const BlockId& id) { return host_.contains(id) || spilling_.contains(id) || on_disk_.contains(id); });
  return static_cast<std::size_t>(missing - chain.begin());
}

void BlockStore::read(std::vector<BlockId> chain, std::vector<std::span<std::byte>> targets, Read done) {
  {
    const std::scoped_lock lock(mutex_);
    if (reads_ >= limits_.reads_max) chain.clear();
    ++reads_;
  }
  run([this, chain = std::move(chain), targets = std::move(targets), done = std::move(done)] {
    std::vector<std::uint64_t> checksums;
    for (std::size_t i = 0; i < chain.size(); ++i) {
      const auto checksum = read_one(chain[i], targets[i]);
      if (!checksum) break;
      checksums.push_back(*checksum);
    }
    {
      const std::scoped_lock lock(mutex_);
      --reads_;
      counters_.served += checksums.size();
    }
    done(std::move(checksums));
  });
}

std::optional<std::uint64_t> BlockStore::read_one(const BlockId& id, std::span<std::byte> target) {
  std::shared_ptr<const std::vector<std::byte>> payload;
  std::uint64_t checksum = 0;
  {
    const std::scoped_lock lock(mutex_);
    if (const auto found = host_.find(id); found != host_.end()) {
      host_recent_.splice(host_recent_.end(), host_recent_, found->second.recent);
      payload = found->second.payload;
      checksum = found->second.checksum;
    } else if (const auto moving = spilling_.find(id); moving != spilling_.end()) {
      payload = moving->second.payload;
      checksum = moving->second.checksum;
    } else if (!on_disk_.contains(id)) {
      return std::nullopt;
    }
  }
  if (payload) {
    if (payload->size() != target.size()) return std::nullopt;
    std::ranges::copy(*payload, target.begin());
    return checksum;
  }
  const auto got = disk_->get(id, target);
  if (got && *got) return **got;
  const std::scoped_lock lock(mutex_);
  if (!got) ++counters_.failed;
  forget_on_disk(id);
  return std::nullopt;
}

void BlockStore::drop_wrong(std::span<const BlockId> blocks) {
  std::vector<BlockId> on_disk;
  {
    const std::scoped_lock lock(mutex_);
    for (const BlockId& id : blocks) {
      ++counters_.wrong;
      if (const auto found = host_.find(id); found != host_.end()) {
        counters_.host_bytes -= found->second.payload->size();
        host_recent_.erase(found->second.recent);
        host_.erase(found);
      }
      if (on_disk_.contains(id)) on_disk.push_back(id);
      forget_on_disk(id);
    }
  }
  if (on_disk.empty()) return;
  run([this, on_disk] {
    for (const BlockId& id : on_disk) {
      if (disk_->remove(id)) continue;
      const std::scoped_lock lock(mutex_);
      ++counters_.failed;
    }
  });
}

BlockStoreCounters BlockStore::counters() const {
  const std::scoped_lock lock(mutex_);
  return counters_;
}

}  // namespace troupe::storage
