// What must hold whatever an endpoint answers, and however it comes in pieces: one end, an error that says something or a whole
// answer within its limits, and the same of both. Shared by the libFuzzer target beside this file and by the test that replays
// its corpus.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.hpp"
#include "model/utf8.hpp"
#include "remote/remote_call.hpp"
#include "tests/remote/manual_http.hpp"

namespace troupe::tests {

/// How an answer comes: two letters before its bytes, so that a person can write a seed.
struct RemoteAnswer {
  static constexpr std::size_t head_bytes = 2;

  remote::HttpHead head;
  bool breaks = false;  ///< the connection, at its end
  std::string_view bytes;
  policy::Endpoint endpoint;
};

/// The first byte chooses protocol, streaming, probabilities and how it ends (one bit each), the second the status.
inline std::optional<RemoteAnswer> remote_answer_of(std::string_view input) {
  if (input.size() < RemoteAnswer::head_bytes) return std::nullopt;
  constexpr std::array statuses = {200, 400, 401, 404, 429, 500};
  const auto flags = static_cast<unsigned char>(input[0]);
  RemoteAnswer answer;
  answer.head.status = statuses[static_cast<unsigned char>(input[1]) % statuses.size()];
  answer.breaks = (flags & 8U) != 0;
  answer.bytes = input.substr(RemoteAnswer::head_bytes);
  answer.endpoint.name = "hosted";
  answer.endpoint.url = "https://api.example.org/v1";
  answer.endpoint.model = "large";
  answer.endpoint.protocol = (flags & 1U) != 0 ? policy::RemoteProtocol::anthropic : policy::RemoteProtocol::openai;
  answer.endpoint.stream = (flags & 2U) != 0;
  answer.endpoint.log_probabilities = (flags & 4U) != 0;
  answer.endpoint.retries_max = 0;
  return answer;
}

struct HeardAnswer {
  std::vector<policy::Emission> emissions;
  std::optional<remote::RemoteEnd> end;
};

inline constexpr std::int32_t remote_tokens_max = 6;

/// What a question's client hears of it if its bytes come `piece` at a time; 0: all at once.
inline HeardAnswer hear(const RemoteAnswer& answer, std::size_t piece) {
  remote::ManualHttp http;
  remote::EndpointState state{answer.endpoint, {}, Random(1), {}};
  HeardAnswer heard;
  remote::RemoteQuestion question{{{"user", "How long?"}}, {}, 7, remote_tokens_max, 33};
  const auto call = std::make_shared<remote::RemoteCall>(
      http, state, std::move(question), http.now() + std::chrono::seconds(600),
      [&](policy::Emission emission) {
        TROUPE_CHECK(!heard.end, "nothing comes after the end");
        heard.emissions.push_back(std::move(emission));
      },
      [&](remote::RemoteEnd end) {
        TROUPE_CHECK(!heard.end, "there is one end");
        heard.end = std::move(end);
      });
  call->start();
  const auto& exchange = http.last();
  exchange.head(answer.head.status);
  for (std::string_view rest = answer.bytes; !rest.empty();) {
    const std::size_t length = piece == 0 ? rest.size() : std::min(piece, rest.size());
    exchange.bytes(std::string(rest.substr(0, length)));
    rest.remove_prefix(length);
  }
  exchange.end(answer.breaks ? Result<void>(Error{ErrorCode::unavailable, "the connection broke"}) : Result<void>());
  TROUPE_CHECK(heard.end.has_value(), "an answer that ends, ends");
  TROUPE_CHECK(http.count() == 1, "it is not asked again");
  return heard;
}

inline void check_heard(const HeardAnswer& heard) {
  TROUPE_CHECK(heard.emissions.size() <= static_cast<std::size_t>(remote_tokens_max),
               "no more pieces than tokens were allowed");
  std::int32_t index = 0;
  std::size_t bytes = 0;
  for (const policy::Emission& emission : heard.emissions) {
    TROUPE_CHECK(emission.first_index == index++ && emission.ids == policy::TokenIds{policy::remote_piece},
                 "pieces are numbered");
    TROUPE_CHECK(!emission.text.empty() && !model::find_invalid_utf8(emission.text), "a piece is text");
    TROUPE_CHECK(emission.log_probabilities.size() == 1 && emission.log_probabilities[0] <= 0, "a probability is at most 1");
    bytes += emission.text.size();
  }
  TROUPE_CHECK(bytes <= remote::RemoteCall::token_bytes_max * remote_tokens_max, "an answer has its limit");
  const policy::AttemptResult& result = heard.end->result;
  TROUPE_CHECK(result.confidence >= 0 && result.confidence <= 1, "a confidence is a probability");
  TROUPE_CHECK(result.prompt_tokens >= 0 && result.generated_tokens >= 0, "tokens are counted");
  if (const auto& error = heard.end->error) {
    TROUPE_CHECK(error->message.starts_with("endpoint hosted: ") && error->message.size() < 2048, "an error says whose it is");
    TROUPE_CHECK(std::ranges::none_of(error->message, [](char c) { return static_cast<unsigned char>(c) < ' '; }),
                 "an error is one line");
    TROUPE_CHECK(!model::find_invalid_utf8(error->message), "an error is text");
    TROUPE_CHECK(result.finish_reason == "failed", "what fails has failed");
  } else {
    constexpr std::array ends = {"end_token", "length", "stop_string"};
    TROUPE_CHECK(std::ranges::find(ends, result.finish_reason) != ends.end(), "what ends well says why");
  }
}

inline void check_remote_answer(std::string_view input) {
  const auto answer = remote_answer_of(input);
  if (!answer) return;
  const HeardAnswer whole = hear(*answer, 0);
  check_heard(whole);
  for (const std::size_t piece : {1, 7}) {
    const HeardAnswer cut = hear(*answer, piece);
    TROUPE_CHECK(cut.emissions == whole.emissions, "however it is cut, it says the same");
    const auto said = [](const HeardAnswer& heard) { return heard.end->error ? heard.end->error->message : std::string(); };
    TROUPE_CHECK(said(cut) == said(whole) && cut.end->result == whole.end->result, "and ends the same");
  }
}

}  // namespace troupe::tests
