// A model that others host, as an operator describes it: where it is, what it speaks, and how long it may take.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "policy/portfolio.hpp"

namespace troupe::policy {

/// How an endpoint wants to be asked: as OpenAI's chat completions, or as Anthropic's messages.
enum class RemoteProtocol : std::uint8_t { openai, anthropic };
std::string_view to_string(RemoteProtocol protocol);
std::optional<RemoteProtocol> remote_protocol_of(std::string_view name);

struct Endpoint {
  static constexpr std::size_t name_bytes_max = 64;
  static constexpr std::size_t text_bytes_max = 1024;  ///< of the URL, the model, paths
  static constexpr std::int64_t timeout_limit_ms = std::int64_t{24} * 3600 * 1000;
  static constexpr std::int32_t context_limit = std::int32_t{1} << 24;
  static constexpr std::int32_t retries_limit = 10;
  static constexpr std::int32_t requests_limit = 1024;

  std::string name;  ///< for operators
  RemoteProtocol protocol = RemoteProtocol::openai;
  std::string url;       ///< up to what the protocol appends: "https://api.example.org/v1"
  std::string model;     ///< by its host's name
  std::string key_file;  ///< its only line is the key; empty: none is sent
  std::string ca_file;   ///< certificates that are trusted instead of the system's; empty: the system's
  std::string proxy;     ///< "http://host:port"; empty: none, whatever the environment says
  std::int32_t context_tokens = 8192;
  bool stream = true;              ///< whether the answer is asked for piece by piece
  bool log_probabilities = false;  ///< whether they are asked for (OpenAI's protocol); confidence is their product then
  double confidence = 0;           ///< what an answer is taken for where its probabilities are not known
  std::int64_t connect_timeout_ms = 10000;
  std::int64_t first_byte_timeout_ms = 60000;  ///< from the request to the answer's first byte
  std::int64_t silence_timeout_ms = 30000;     ///< between two of its bytes
  std::int32_t retries_max = 2;                ///< of one attempt, and only while nothing of its answer has come
  std::int32_t requests_max = 16;              ///< at once
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

/// `invalid_argument` or `out_of_range` names the field and what it should be. A key travels over https only, or to this
/// machine.
Result<void> validate(const Endpoint& endpoint);

/// Attempts may run on any replica of an equal class; so what changes the answers is in it.
ModelClass class_of(const Endpoint& endpoint);

}  // namespace troupe::policy
