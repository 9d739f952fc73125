// What the two protocols share in reading JSON. For remote/*_protocol.cpp alone.
#pragma once

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "model/json.hpp"
#include "remote/protocol.hpp"

namespace troupe::remote {

using Json = nlohmann::json;

inline constexpr std::string_view answer_name = "the endpoint's answer";
inline constexpr std::size_t piece_bytes_max = std::size_t{1} << 20;
inline constexpr std::size_t list_max = 1024;

/// Tokens that the endpoint counted; what is absent or no count leaves `value` alone.
inline void read_count(const model::JsonObject& usage, std::string_view field, std::int32_t& value) {
  const auto count = usage.integer_or(field, value, 0, std::numeric_limits<std::int32_t>::max());
  if (count) value = static_cast<std::int32_t>(*count);
}

/// A failure that the endpoint reports: its kind decides whether asking again may help.
inline Error reported(std::string_view kind, std::string_view message) {
  static constexpr std::string_view passing[] = {"overloaded_error", "api_error", "server_error", "rate_limit_error",
                                                 "timeout_error"};
  const bool passes = std::find(std::begin(passing), std::end(passing), kind) != std::end(passing);
  return {passes ? ErrorCode::unavailable : ErrorCode::unsupported, "the endpoint reports " +
                                                                        std::string(kind.empty() ? "an error" : kind) +
                                                                        (message.empty() ? "" : ": " + std::string(message))};
}

std::unique_ptr<ReplyReader> openai_reader(bool log_probabilities);
std::unique_ptr<ReplyReader> anthropic_reader();
std::string openai_body(const policy::Endpoint& endpoint, const RemoteQuestion& question);
std::string anthropic_body(const policy::Endpoint& endpoint, const RemoteQuestion& question);

inline std::string dumped(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace troupe::remote
