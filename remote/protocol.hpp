// What is asked of an endpoint, and what it answers, in the words of its protocol: OpenAI's chat completions or Anthropic's
// messages, at once or piece by piece. Knows nothing of connections; what comes is taken for hostile.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "policy/ask.hpp"
#include "policy/endpoint.hpp"
#include "policy/prompt.hpp"
#include "remote/event_parser.hpp"

namespace troupe::remote {

struct RemoteQuestion {
  std::vector<policy::Message> messages;
  policy::Sampling sampling;
  std::uint64_t seed = 0;
  std::int32_t tokens_max = 0;
  std::int32_t prompt_tokens = 0;  ///< estimated, for endpoints that do not count
};

/// Where questions go: "https://api.example.org/v1/chat/completions".
std::string url_of(const policy::Endpoint& endpoint);
/// "Name: value", the key among them if there is one.
std::vector<std::string> headers_of(const policy::Endpoint& endpoint, std::string_view key);
/// JSON.
std::string body_of(const policy::Endpoint& endpoint, const RemoteQuestion& question);

/// A part of the answer's text, not empty.
struct RemotePiece {
  std::string text;
  std::optional<double> log_probability;  ///< of its tokens together, natural logarithm
  friend bool operator==(const RemotePiece&, const RemotePiece&) = default;
};

/// What is known of an answer, growing.
struct RemoteReply {
  std::vector<RemotePiece> pieces;  ///< since they were taken last
  std::string finish_reason;        ///< of engine/request.hpp; empty: it has not ended
  std::int32_t prompt_tokens = 0;   ///< as the endpoint counts them, as the next; 0: it has not said
  std::int32_t answer_tokens = 0;
  bool complete = false;  ///< nothing more is expected, and what comes is passed over
};

/// Reads one answer. Errors: `corrupt` for what is not of the protocol, `too_large` beyond limits, `unavailable` for a failure
/// that the endpoint reports and that may pass, `unsupported` for one that will not (a refusal, a call of tools).
class ReplyReader {
 public:
  static constexpr std::size_t whole_bytes_max = std::size_t{8} << 20;  ///< of an answer that comes at once

  virtual ~ReplyReader() = default;
  Result<void> take(const ServerEvent& event);
  Result<void> take_whole(std::string_view body);
  RemoteReply reply;

 private:
  virtual Result<void> read_event(const ServerEvent& event) = 0;
  virtual Result<void> read_whole(std::string_view body) = 0;
};
std::unique_ptr<ReplyReader> reader_of(const policy::Endpoint& endpoint);

/// What an error answer says for a person, short and in plain characters; empty if it says nothing.
std::string error_text_of(std::string_view body);
/// Without control characters and what is no UTF-8, at most some 300 bytes.
std::string plain_text(std::string_view text);

}  // namespace troupe::remote
