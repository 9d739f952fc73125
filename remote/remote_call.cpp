#include "remote/remote_call.hpp"

#include <algorithm>
#include <utility>

#include "kernels/math.hpp"
#include "remote/key_file.hpp"

namespace troupe::remote {

namespace {

Duration milliseconds(std::int64_t count) { return std::chrono::milliseconds(count); }

/// As server-sent events: a field, or a comment.
bool begins_as_events(std::string_view bytes) {
  bytes.remove_prefix(std::min(bytes.find_first_not_of("\xef\xbb\xbf\r\n"), bytes.size()));
  for (const std::string_view field : {":", "data:", "event:", "id:", "retry:"}) {
    const std::size_t both = std::min(field.size(), bytes.size());
    if (bytes.substr(0, both) == field.substr(0, both)) return true;
  }
  return false;
}

std::string seconds_text(std::int64_t count_ms) { return std::to_string(count_ms / 1000.0).substr(0, 5) + " s"; }

}  // namespace

/// What the Http tells: a try that is over hears nothing more, even if its call goes on with another one.
class RemoteCall::Try final : public HttpListener {
 public:
  explicit Try(RemoteCall* owner) : call(owner) {}
  void on_head(const HttpHead& head) override {
    if (const auto alive = hold()) alive->on_head(head);
  }
  void on_bytes(std::string_view bytes) override {
    if (const auto alive = hold()) alive->on_bytes(bytes);
  }
  void on_end(Result<void> end) override {
    if (const auto alive = hold()) alive->on_end(end);
  }
  RemoteCall* call;  ///< null: it is over

 private:
  std::shared_ptr<RemoteCall> hold() const { return call != nullptr ? call->shared_from_this() : nullptr; }
};

RemoteCall::RemoteCall(Http& http, EndpointState& state, RemoteQuestion question, TimePoint deadline, OnEmission on_emission,
                       OnEnd on_end)
    : http_(http),
      state_(state),
      question_(std::move(question)),
      deadline_(deadline),
      on_emission_(std::move(on_emission)),
      on_end_(std::move(on_end)) {}

RemoteCall::~RemoteCall() { end_try(); }

void RemoteCall::start() {
  began_ = http_.now();
  begin_try();
}

void RemoteCall::cancel() {
  ended_ = true;
  end_try();
}

void RemoteCall::end_try() {
  if (!try_) return;
  try_->call = nullptr;
  try_.reset();
  http_.cancel(exchange_);
}

void RemoteCall::begin_try() {
  const policy::Endpoint& endpoint = state_.endpoint;
  if (!endpoint.key_file.empty()) {
    // Read each time, so that a key can be replaced while the node runs.
    auto key = read_key(endpoint.key_file);
    if (!key) return fail({Error(key.error()), false, {}});
    key_ = *std::move(key);
  }
  head_.reset();
  body_.clear();
  bytes_ = 0;
  parser_ = EventParser();
  reader_ = reader_of(endpoint);
  try_began_ = heard_ = http_.now();
  try_ = std::make_shared<Try>(this);
  HttpRequest request;
  request.url = url_of(endpoint);
  request.headers = headers_of(endpoint, key_);
  request.body = body_of(endpoint, question_);
  request.ca_file = endpoint.ca_file;
  request.proxy = endpoint.proxy;
  request.connect_timeout = milliseconds(endpoint.connect_timeout_ms);
  exchange_ = http_.begin(std::move(request), try_);
  watch();
}

void RemoteCall::watch() {
  const policy::Endpoint& endpoint = state_.endpoint;
  const TimePoint now = http_.now();
  if (now >= deadline_) {
    return finish(Error{ErrorCode::deadline_exceeded, "the deadline passed while endpoint " + endpoint.name + " answered"});
  }
  const TimePoint limit =
      head_ ? heard_ + milliseconds(endpoint.silence_timeout_ms) : try_began_ + milliseconds(endpoint.first_byte_timeout_ms);
  if (now >= limit) {
    const std::string what = head_ ? "said nothing for " + seconds_text(endpoint.silence_timeout_ms) + " in its answer"
                                   : "did not begin to answer within " + seconds_text(endpoint.first_byte_timeout_ms);
    return fail({{ErrorCode::unavailable, "it " + what}, true, {}});
  }
  http_.at(std::min(limit, deadline_), [weak = weak_from_this(), watched = ++watches_] {
    const auto call = weak.lock();
    if (call && call->try_ && call->watches_ == watched) call->watch();
  });
}

void RemoteCall::on_head(const HttpHead& head) {
  head_ = head;
  heard_ = http_.now();
  watch();  // from here on silence is what counts
}

void RemoteCall::on_bytes(std::string_view bytes) {
  heard_ = http_.now();
  bytes_ += bytes.size();
  const bool wanted = head_->status == 200;
  if (!wanted) {
    body_ += bytes.substr(0, error_bytes_max - body_.size());
    if (body_.size() >= error_bytes_max) fail_status();  // the rest of it says nothing more
    return;
  }
  const std::size_t bytes_max = state_.endpoint.stream ? response_bytes_max : ReplyReader::whole_bytes_max;
  if (bytes_ > bytes_max) {
    return fail({{ErrorCode::too_large, "its answer has more than " + std::to_string(bytes_max) + " bytes"}, false, {}});
  }
  if (!state_.endpoint.stream) {
    body_ += bytes;
    return;
  }
  body_ += bytes.substr(0, error_bytes_max - std::min(body_.size(), error_bytes_max));
  // What a try that has ended still has in its hands is passed over.
  const auto own = try_;
  const auto taken = parser_.feed(bytes, [&](const ServerEvent& event) -> Result<void> {
    if (try_ != own) return Error{ErrorCode::cancelled, "the try has ended"};
    events_ = true;
    TROUPE_TRY_DO(reader_->take({event.name, without_own_key(event.data)}));
    take_reply();
    return {};
  });
  if (!taken && try_ == own) {
    fail({Error(taken.error()), taken.error().code == ErrorCode::unavailable, {}});
  }
}

void RemoteCall::on_end(const Result<void>& end) {
  if (!end) return fail({Error(end.error()), true, {}});
  if (head_ && head_->status != 200) return fail_status();
  if (!state_.endpoint.stream) {
    const auto taken = reader_->take_whole(without_own_key(body_));
    if (!taken) return fail({Error(taken.error()), taken.error().code == ErrorCode::unavailable, {}});
    return take_reply();
  }
  if (!events_ && !begins_as_events(body_)) {
    const std::string said = error_text_of(without_own_key(body_));
    return fail({{ErrorCode::corrupt, "its answer is malformed: no stream of events, but \"" +
                                          (said.empty() ? plain_text(without_own_key(body_)) : said) +
                                          "\"; does it answer at once (stream = false), or is url wrong?"},
                 false,
                 {}});
  }
  fail({{ErrorCode::unavailable, bytes_ == 0 ? "its answer is empty" : "its answer ended in the middle"}, true, {}});
}

void RemoteCall::take_reply() {
  for (RemotePiece& piece : std::exchange(reader_->reply.pieces, {})) {
    text_bytes_ += piece.text.size();
    if (text_bytes_ > static_cast<std::size_t>(question_.tokens_max) * token_bytes_max) {
      return fail({{ErrorCode::too_large, "its answer has more than " + std::to_string(text_bytes_) + " bytes for " +
                                              std::to_string(question_.tokens_max) + " tokens that were allowed"},
                   false,
                   {}});
    }
    all_probable_ = all_probable_ && piece.log_probability.has_value();
    emit(without_own_key(piece.text), piece.log_probability.value_or(0));
  }
  if (reader_->reply.complete) finish(std::nullopt);
}

void RemoteCall::emit(std::string text, double log_probability) {
  log_probability_ += log_probability;
  // Events are numbered by pieces, and there are no more numbers than tokens were allowed.
  if (emitted_ + 1 >= question_.tokens_max) {
    held_ += text;
    held_log_probability_ += log_probability;
    return;
  }
  on_emission_({emitted_++, {policy::remote_piece}, {static_cast<float>(log_probability)}, std::move(text)});
}

std::string RemoteCall::without_own_key(const std::string& text) const {
  constexpr std::size_t word_bytes_max = 8;  // a key as short as that could be a word of the protocol
  return key_.size() <= word_bytes_max ? text : without_key(text, key_);
}

void RemoteCall::fail_status() {
  const int status = head_->status;
  const std::string said = error_text_of(without_own_key(body_));
  std::string what = "it answered with status " + std::to_string(status) + (said.empty() ? "" : ": " + said);
  if (status == 401 || status == 403) {
    const std::string& key_file = state_.endpoint.key_file;
    what += key_file.empty() ? "; does it want a key (key_file)?" : "; is the key in " + key_file + " right?";
  }
  if (status == 404) what += "; are url and model right?";
  const bool passes = policy::may_pass(status);
  const bool of_question = status == 400 || status == 413 || status == 422;  // and not of the endpoint, which takes others
  const ErrorCode code = passes ? ErrorCode::unavailable : of_question ? ErrorCode::out_of_range : ErrorCode::invalid_argument;
  fail({{code, what}, passes, head_->retry_after});
}

void RemoteCall::fail(Failure failure) {
  if (ended_) return;
  end_try();
  const policy::Endpoint& endpoint = state_.endpoint;
  std::string message = "endpoint " + endpoint.name + ": " + without_key(std::move(failure.error.message), key_);
  const bool shown = emitted_ > 0 || !held_.empty();
  state_.log(LogLevel::warning, "endpoint failed",
             {{"endpoint", endpoint.name}, {"try", std::to_string(retries_ + 1)}, {"why", message}});
  if (failure.may_pass && !shown && retries_ < endpoint.retries_max) {
    const TimePoint now = http_.now();
    const auto wait = policy::wait_before_retry(retries_, failure.retry_after, state_.random.uniform(), deadline_ - now);
    if (wait && state_.budget.spend()) {
      ++retries_;
      http_.at(now + *wait, [weak = weak_from_this()] {
        const auto call = weak.lock();
        if (call && !call->ended_) call->begin_try();
      });
      return;
    }
    message += !wait ? "; it is not asked again: there is no time to wait as long as that takes"
                     : "; it is not asked again: too many questions to it have failed";
  }
  if (retries_ > 0) message += "; it was asked " + std::to_string(retries_ + 1) + " times";
  finish(Error{failure.error.code, std::move(message), failure.error.where});
}

void RemoteCall::finish(std::optional<Error> error) {
  if (std::exchange(ended_, true)) return;
  const auto self = shared_from_this();
  const RemoteReply reply = reader_ ? std::move(reader_->reply) : RemoteReply{};
  end_try();
  if (!held_.empty()) {
    on_emission_({emitted_++, {policy::remote_piece}, {static_cast<float>(held_log_probability_)}, std::move(held_)});
  }
  RemoteEnd end;
  end.result.finish_reason = reply.finish_reason;
  if (error) end.result.finish_reason = error->code == ErrorCode::deadline_exceeded ? "deadline_exceeded" : "failed";
  end.result.confidence = all_probable_ && emitted_ > 0
                              ? static_cast<double>(kernels::exp(static_cast<float>(log_probability_)))
                              : state_.endpoint.confidence;
  // What failed before it began has read nothing that is known of.
  const bool counted = reply.prompt_tokens > 0 || (error && emitted_ == 0);
  end.result.prompt_tokens = counted ? reply.prompt_tokens : question_.prompt_tokens;
  end.result.generated_tokens = reply.answer_tokens > 0 ? reply.answer_tokens : emitted_;
  end.result.seconds = std::chrono::duration<double>(http_.now() - began_).count();
  if (!error) state_.budget.earn();
  end.error = std::move(error);
  on_end_(std::move(end));
}

}  // namespace troupe::remote
