// A replica that runs nothing, over a real cache of small blocks: for tests of whoever keeps, lends or brings them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "actors/replica.hpp"
#include "base/check.hpp"
#include "base/random.hpp"
#include "engine/block_id.hpp"
#include "engine/kv_cache.hpp"
#include "tests/support/plain_device.hpp"

namespace troupe::actors {

inline constexpr kernels::KvLayout small_blocks{.layers = 1, .kv_heads = 1, .head_dim = 1};

struct PoolOptions {
  std::int32_t blocks = 32;
  std::uint8_t model = 1;  ///< those of another number give their blocks other names
  double prefill_seconds_per_token = 0;
  bool moves = true;
  kernels::DeviceKind device = kernels::DeviceKind::cpu;
};

/// The tokens of a prompt of so many whole blocks and one token more, which is always computed. Prompts of different kinds have
/// no block in common; the longer ones of a kind begin with the shorter ones.
inline policy::TokenIds prompt(std::int32_t blocks, std::int32_t kind = 0) {
  policy::TokenIds tokens;
  for (std::int32_t i = 0; i <= blocks * engine::kv_block_positions; ++i) tokens.push_back(kind * 1'000'000 + i);
  return tokens;
}

class PoolReplica final : public Replica {
 public:
  explicit PoolReplica(const PoolOptions& options = {}, std::uint32_t index = 0)
      : index_(index),
        fingerprint_{{options.model}},
        device_(std::numeric_limits<std::size_t>::max(), options.device),
        cache_(make(device_, options, fingerprint_)),
        blocks_(std::make_shared<Blocks>(cache_, options.prefill_seconds_per_token)),
        moves_(options.moves) {}
  ~PoolReplica() override { end(); }

  policy::ReplicaView view() const override {
    policy::ReplicaView view;
    view.index = index_;
    view.model = {model::to_hex(fingerprint_), "cpu-f32-v1"};
    view.block_root = engine::root_identity(cache_.scope({}));
    return view;
  }
  std::shared_ptr<ReplicaBlocks> blocks() const override { return moves_ ? blocks_ : nullptr; }
  Result<schemas::EnginePrepared> prepare(const schemas::EnginePrepare& /*request*/) const override {
    return Error{ErrorCode::unsupported, "this replica runs nothing"};
  }
  void start(std::uint64_t /*number*/, const schemas::EngineRequest& /*request*/,
             const std::vector<policy::Emission>& /*known*/, Duration /*time_left*/, OnEmission /*on_emission*/,
             OnEnd on_end) override {
    on_end({{}, Error{ErrorCode::unsupported, "this replica runs nothing"}});
  }
  void cancel(std::uint64_t /*number*/) override {}

  engine::BlockPool& pool() { return cache_.pool(); }
  std::vector<policy::BlockId> chain(const policy::TokenIds& tokens) const {
    return engine::chain_of(cache_.scope({}), std::span(tokens));
  }

  /// As an engine runs a prompt: uses what is here, writes and names the rest, lets go of all. False if it does not fit.
  bool compute(const policy::TokenIds& tokens) {
    auto import = cache_.begin_import(chain(tokens));
    const bool fits = import.present.size() + import.incoming.size() == chain(tokens).size();
    if (fits) {
      for (const auto& [id, index] : import.incoming) {
        const auto contents = contents_of(id);
        cache_.write(index, contents);
        device_.stream().synchronize();
        cache_.name(index, id);
      }
    }
    cache_.abandon_import(import);
    return fits;
  }
  /// Fills the pool with other prompts until nothing else is cached.
  void evict_all() {
    for (std::int32_t left = pool().available(); left > 0; --left) compute(prompt(1, ++filler_));
  }
  /// Of a prompt's whole blocks, how many of the first are here as an engine would have written them.
  std::size_t here(const policy::TokenIds& tokens) const {
    const auto ids = chain(tokens);
    const auto missing = std::ranges::find_if_not(ids, [this](const policy::BlockId& id) {
      const auto index = cache_.pool().find(id);
      return index && std::ranges::equal(std::span(cache_.block(*index), cache_.layout().block_bytes()), contents_of(id));
    });
    return static_cast<std::size_t>(missing - ids.begin());
  }
  /// What an engine would write: a function of the block's name alone.
  std::vector<std::byte> contents_of(const policy::BlockId& id) const {
    Random random(std::hash<policy::BlockId>{}(id));
    std::vector<std::byte> contents(cache_.layout().block_bytes());
    for (std::byte& byte : contents) byte = static_cast<std::byte>(random.below(256));
    return contents;
  }

  /// While the engine is busy, what is posted to it waits.
  void set_busy(bool busy) { blocks_->set_busy(busy); }
  /// From now on nothing that is posted happens.
  void end() { blocks_->close(); }

 private:
  class Blocks final : public ReplicaBlocks {
   public:
    Blocks(engine::KvCache& cache, double prefill_seconds_per_token)
        : cache_(&cache),
          memory_(cache.data(), cache.bytes()),
          host_readable_(cache.host_readable()),
          block_bytes_(cache.layout().block_bytes()),
          prefill_seconds_per_token_(prefill_seconds_per_token) {}

    std::span<std::byte> memory() const override { return memory_; }
    bool host_readable() const override { return host_readable_; }
    std::size_t block_bytes() const override { return block_bytes_; }
    double prefill_seconds_per_token() const override { return prefill_seconds_per_token_; }
    void post(Work work) override {
      if (cache_ == nullptr) return;
      works_.push_back(std::move(work));
      run();
    }
    void set_busy(bool busy) {
      busy_ = busy;
      run();
    }
    void close() {
      cache_ = nullptr;
      works_.clear();
    }

   private:
    /// One after another, also what is posted by what is running.
    void run() {
      if (running_) return;
      running_ = true;
      while (!busy_ && !works_.empty()) {
        const Work work = std::move(works_.front());
        works_.pop_front();
        work(*cache_);
      }
      running_ = false;
    }

    engine::KvCache* cache_;
    std::span<std::byte> memory_;
    bool host_readable_;
    std::size_t block_bytes_;
    double prefill_seconds_per_token_;
    std::deque<Work> works_;
    bool busy_ = false;
    bool running_ = false;
  };

  static engine::KvCache make(kernels::Device& device, const PoolOptions& options, const model::Fingerprint& fingerprint) {
    auto cache = engine::KvCache::create(device, small_blocks, options.blocks, fingerprint, "cpu-f32-v1");
    TROUPE_CHECK(cache.has_value(), "there is memory for small blocks");
    return *std::move(cache);
  }

  std::uint32_t index_;
  model::Fingerprint fingerprint_;
  testing::PlainDevice device_;
  engine::KvCache cache_;
  std::shared_ptr<Blocks> blocks_;
  bool moves_;
  std::int32_t filler_ = 100;
};

}  // namespace troupe::actors
