// What a connection may do: the capabilities of schemas/client.capnp over Front.
#pragma once

#include <cstdint>
#include <memory>

#include "gateway/front_bridge.hpp"
#include "schemas/client_codec.hpp"

namespace troupe::gateway {

/// How much one connection, and all of them together, may hold at a time. What is over it gets `overloaded`.
struct GatewayLimits {
  std::uint32_t connections = 256;
  std::uint32_t streams = 256;         ///< of one connection: turns that it follows
  std::uint32_t conversations = 1024;  ///< of one connection: capabilities that it holds
  std::uint32_t calls = 256;           ///< of one connection, not yet answered
  std::uint32_t asks = 1024;           ///< of all connections, not yet accepted
  std::uint32_t corpus_changes = 2;    ///< of all connections, not yet applied: each may hold a whole corpus
};

/// Counts what is there; a count lives as long as its Hold.
class Quota {
 public:
  explicit Quota(std::uint32_t limit) : limit_(limit) {}
  Quota(const Quota&) = delete;
  Quota& operator=(const Quota&) = delete;

  class Hold {
   public:
    explicit Hold(std::shared_ptr<Quota> quota) : quota_(std::move(quota)) { ++quota_->used_; }
    Hold(Hold&&) noexcept = default;
    Hold& operator=(Hold&&) = delete;
    ~Hold() {
      if (quota_) --quota_->used_;
    }

   private:
    std::shared_ptr<Quota> quota_;
  };

  std::uint32_t used() const { return used_; }
  std::uint32_t limit() const { return limit_; }

 private:
  std::uint32_t limit_;
  std::uint32_t used_ = 0;
};

/// `overloaded` says what there is too much of, and the limit.
Result<Quota::Hold> take(const std::shared_ptr<Quota>& quota, const char* what);

/// What the capabilities of one connection share. Lives in the loop's thread; the bridge outlives all connections.
struct Session {
  Session(FrontBridge& to_front, const GatewayLimits& limits, std::shared_ptr<Quota> all_asks,
          std::shared_ptr<Quota> all_corpus_changes)
      : bridge(to_front),
        streams(std::make_shared<Quota>(limits.streams)),
        conversations(std::make_shared<Quota>(limits.conversations)),
        calls(std::make_shared<Quota>(limits.calls)),
        asks(std::move(all_asks)),
        corpus_changes(std::move(all_corpus_changes)) {}

  FrontBridge& bridge;
  std::shared_ptr<Quota> streams;
  std::shared_ptr<Quota> conversations;
  std::shared_ptr<Quota> calls;
  std::shared_ptr<Quota> asks;
  std::shared_ptr<Quota> corpus_changes;
};

/// What a new connection holds.
schemas::client::Door::Client make_door(std::shared_ptr<Session> session);
/// A door that tells whoever enters why it is shut.
schemas::client::Door::Client make_shut_door(Error why);

}  // namespace troupe::gateway
