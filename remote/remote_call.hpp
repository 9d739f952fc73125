// One question to an endpoint, until its answer has ended or it is given up: as many tries as may be, each within its times and
// bounds. What has been shown of an answer is never taken back: a try that fails after its first piece is the last.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/log.hpp"
#include "base/random.hpp"
#include "policy/endpoint.hpp"
#include "policy/retry.hpp"
#include "policy/turn.hpp"
#include "remote/http.hpp"
#include "remote/protocol.hpp"

namespace troupe::remote {

/// What the calls of one endpoint share. On the Http's thread alone.
struct EndpointState {
  policy::Endpoint endpoint;
  policy::RetryBudget budget;
  Random random;
  Log log;
};

struct RemoteEnd {
  policy::AttemptResult result;  ///< without emissions, node and cost
  std::optional<Error> error;    ///< then the result's finish_reason is "failed", or "deadline_exceeded"
};

/// Lives on the Http's thread.
class RemoteCall : public std::enable_shared_from_this<RemoteCall> {
 public:
  using OnEmission = std::function<void(policy::Emission)>;
  using OnEnd = std::function<void(RemoteEnd)>;

  /// Bounds of one try, whatever the endpoint sends.
  static constexpr std::size_t response_bytes_max = std::size_t{64} << 20;
  static constexpr std::size_t error_bytes_max = std::size_t{64} << 10;  ///< of an error answer that are read
  static constexpr std::size_t token_bytes_max = 256;                    ///< of text for each token that was allowed

  /// `http` and `state` must outlive it. `on_end` is called once, last, unless the call is cancelled.
  RemoteCall(Http& http, EndpointState& state, RemoteQuestion question, TimePoint deadline, OnEmission on_emission,
             OnEnd on_end);
  ~RemoteCall();
  RemoteCall(const RemoteCall&) = delete;
  RemoteCall& operator=(const RemoteCall&) = delete;

  void start();
  /// Nothing more is told.
  void cancel();

 private:
  class Try;
  struct Failure {
    Error error;
    bool may_pass = false;  ///< the same question may be answered if it is asked again
    std::optional<Duration> retry_after;
  };

  void begin_try();
  void end_try();
  /// Looks at the clock, and again when the next limit is reached.
  void watch();
  void on_head(const HttpHead& head);
  void on_bytes(std::string_view bytes);
  void on_end(const Result<void>& end);
  void take_reply();
  void emit(std::string text, double log_probability);
  void fail(Failure failure);
  void fail_status();
  /// Before anything of it is quoted: of a quote that is cut short nobody could tell that it ends with a part of the key.
  std::string without_own_key(const std::string& text) const;
  void finish(std::optional<Error> error);

  Http& http_;
  EndpointState& state_;
  RemoteQuestion question_;
  TimePoint deadline_;
  OnEmission on_emission_;
  OnEnd on_end_;

  std::string key_;
  TimePoint began_{};
  bool ended_ = false;
  std::int32_t retries_ = 0;

  // Of the try that runs.
  std::shared_ptr<Try> try_;
  Http::ExchangeId exchange_ = 0;
  TimePoint try_began_{};
  TimePoint heard_{};
  std::uint64_t watches_ = 0;  ///< the latest counts, those before it are for limits that no longer hold
  std::optional<HttpHead> head_;
  std::string body_;  ///< of an error, or of an answer that comes at once; of a stream only as much as shows what it is
  std::size_t bytes_ = 0;
  bool events_ = false;  ///< some have come
  EventParser parser_;
  std::unique_ptr<ReplyReader> reader_;

  // Of the answer.
  std::int32_t emitted_ = 0;
  std::string held_;  ///< text beyond as many pieces as tokens were allowed: the last piece has all of it
  double held_log_probability_ = 0;
  std::size_t text_bytes_ = 0;
  double log_probability_ = 0;
  bool all_probable_ = true;  ///< every piece came with its probability
};

}  // namespace troupe::remote
