#include "remote/protocol.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/random.hpp"

namespace troupe::remote {
namespace {

using policy::RemoteProtocol;
using Json = nlohmann::json;

policy::Endpoint endpoint(RemoteProtocol protocol) {
  policy::Endpoint endpoint;
  endpoint.name = "hosted";
  endpoint.protocol = protocol;
  endpoint.url = "https://api.example.org/v1";
  endpoint.model = "large";
  return endpoint;
}

RemoteQuestion question() {
  return {{{"system", "Be brief."}, {"user", "How long?"}, {"assistant", "Seven years."}, {"user", "Why \"seven\"?"}},
          {},
          7,
          64,
          0};
}

/// The reader after all of these; the first error ends it.
struct Read {
  std::unique_ptr<ReplyReader> reader;
  Result<void> result;
};
Read read(const policy::Endpoint& from, const std::vector<std::string>& events) {
  Read read{reader_of(from), {}};
  for (const std::string& data : events) {
    if (read.result) read.result = read.reader->take({"message", data});
  }
  return read;
}

void expect_refused(RemoteProtocol protocol, const std::vector<std::string>& events, ErrorCode code, const std::string& words) {
  const auto result = read(endpoint(protocol), events).result;
  ASSERT_FALSE(result) << events.back();
  EXPECT_EQ(result.error().code, code) << result.error().message;
  EXPECT_NE(result.error().message.find(words), std::string::npos) << result.error().message;
}

TEST(OpenaiProtocol, AsksWithMessagesAndAKey) {
  policy::Endpoint asked = endpoint(RemoteProtocol::openai);
  EXPECT_EQ(url_of(asked), "https://api.example.org/v1/chat/completions");
  const auto headers = headers_of(asked, "secret");
  EXPECT_NE(std::find(headers.begin(), headers.end(), "Authorization: Bearer secret"), headers.end());
  Json body = Json::parse(body_of(asked, question()));
  EXPECT_EQ(body["model"], "large");
  EXPECT_EQ(body["messages"].size(), 4U);
  EXPECT_EQ(body["messages"][3]["content"], "Why \"seven\"?");
  EXPECT_EQ(body["max_tokens"], 64);
  EXPECT_EQ(body["temperature"], 0);
  EXPECT_EQ(body["stream"], true);
  EXPECT_FALSE(body.contains("logprobs"));
  asked.stream = false;
  asked.log_probabilities = true;
  body = Json::parse(body_of(asked, question()));
  EXPECT_EQ(body["stream"], false);
  EXPECT_EQ(body["logprobs"], true);
  EXPECT_FALSE(body.contains("stream_options"));
}

TEST(OpenaiProtocol, ReadsAnAnswerPieceByPiece) {
  policy::Endpoint asked = endpoint(RemoteProtocol::openai);
  asked.log_probabilities = true;
  const auto [reader, result] =
      read(asked, {R"({"choices":[{"delta":{"role":"assistant","content":""}}]})",
                   R"({"choices":[{"delta":{"content":"Be"},"logprobs":{"content":[{"logprob":-0.5},{"logprob":-0.25}]}}]})",
                   R"({"choices":[{"delta":{"content":""},"logprobs":{"content":[{"logprob":-2.0}]}}]})",  // half a character
                   R"({"choices":[{"delta":{"content":"é"},"logprobs":{"content":[{"logprob":-1.0}]}}]})",
                   R"({"choices":[{"delta":{"content":"cause"},"logprobs":null}]})",
                   R"({"choices":[{"delta":{},"finish_reason":"stop"}]})",
                   R"({"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3}})", "[DONE]", "after the end"});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(reader->reply.pieces, (std::vector<RemotePiece>{{"Be", -0.75}, {"é", -3.0}, {"cause", std::nullopt}}));
  EXPECT_EQ(reader->reply.finish_reason, "end_token");
  EXPECT_EQ(reader->reply.prompt_tokens, 12);
  EXPECT_EQ(reader->reply.answer_tokens, 3);
  EXPECT_TRUE(reader->reply.complete);
}

TEST(OpenaiProtocol, ReadsAnAnswerThatComesAtOnce) {
  const auto reader = reader_of(endpoint(RemoteProtocol::openai));
  const auto taken = reader->take_whole(
      R"({"choices":[{"message":{"content":"Seven."},"finish_reason":"length"}],"usage":{"prompt_tokens":5,"completion_tokens":2}})");
  ASSERT_TRUE(taken) << taken.error().message;
  EXPECT_EQ(reader->reply.pieces, (std::vector<RemotePiece>{{"Seven.", std::nullopt}}));
  EXPECT_EQ(reader->reply.finish_reason, "length");
  EXPECT_TRUE(reader->reply.complete);
}

TEST(OpenaiProtocol, RefusesWhatIsNotOfIt) {
  using enum ErrorCode;
  const auto refused = [](const std::vector<std::string>& events, ErrorCode code, const std::string& words) {
    expect_refused(RemoteProtocol::openai, events, code, words);
  };
  refused({"{"}, corrupt, "answer");
  refused({"[1]"}, corrupt, "answer");
  refused({"{}"}, corrupt, "choices");
  refused({R"({"choices":[{"delta":{"content":7}}]})"}, corrupt, "content");
  refused({R"({"choices":"none"})"}, corrupt, "choices");
  refused({std::string(100, '[')}, too_large, "");
  refused({"[DONE]"}, corrupt, "without a finish_reason");
  refused({R"({"error":{"type":"server_error","message":"try\nlater"}})"}, unavailable, "server_error: try later");
  refused({R"({"error":{"type":"invalid_request_error","message":"no such model"}})"}, unsupported, "no such model");
  refused({R"({"error":"broken"})"}, unsupported, "broken");
  refused({R"({"choices":[{"delta":{"refusal":"I must not."}}]})"}, unsupported, "I must not.");
  refused({R"({"choices":[{"delta":{},"finish_reason":"content_filter"}]})"}, unsupported, "content_filter");
  refused({R"({"choices":[{"delta":{},"finish_reason":"tool_calls"}]})"}, unsupported, "tool_calls");
}

TEST(AnthropicProtocol, AsksWithTheSystemPromptApart) {
  const policy::Endpoint asked = endpoint(RemoteProtocol::anthropic);
  EXPECT_EQ(url_of(asked), "https://api.example.org/v1/messages");
  const auto headers = headers_of(asked, "secret");
  EXPECT_NE(std::find(headers.begin(), headers.end(), "x-api-key: secret"), headers.end());
  const Json body = Json::parse(body_of(asked, question()));
  EXPECT_EQ(body["system"], "Be brief.");
  EXPECT_EQ(body["messages"].size(), 3U);
  EXPECT_EQ(body["messages"][0]["role"], "user");
  RemoteQuestion hot = question();
  hot.sampling.temperature = 10;
  EXPECT_EQ(Json::parse(body_of(asked, hot))["temperature"], 1);
}

TEST(AnthropicProtocol, ReadsAnAnswerPieceByPiece) {
  const auto [reader, result] =
      read(endpoint(RemoteProtocol::anthropic),
           {R"({"type":"message_start","message":{"usage":{"input_tokens":10,"cache_read_input_tokens":2,"output_tokens":1}}})",
            R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}})", R"({"type":"ping"})",
            R"({"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}})",
            R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Seven"}})",
            R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" years."}})",
            R"({"type":"content_block_stop","index":0})", R"({"type":"something_new"})",
            R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":4}})",
            R"({"type":"message_stop"})", "after the end"});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(reader->reply.pieces, (std::vector<RemotePiece>{{"Seven", std::nullopt}, {" years.", std::nullopt}}));
  EXPECT_EQ(reader->reply.finish_reason, "end_token");
  EXPECT_EQ(reader->reply.prompt_tokens, 12);
  EXPECT_EQ(reader->reply.answer_tokens, 4);
  EXPECT_TRUE(reader->reply.complete);
}

TEST(AnthropicProtocol, ReadsAnAnswerThatComesAtOnce) {
  const auto reader = reader_of(endpoint(RemoteProtocol::anthropic));
  const auto taken =
      reader->take_whole(R"({"type":"message","content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"Seven."}],)"
                         R"("stop_reason":"max_tokens","usage":{"input_tokens":5,"output_tokens":2}})");
  ASSERT_TRUE(taken) << taken.error().message;
  EXPECT_EQ(reader->reply.pieces, (std::vector<RemotePiece>{{"Seven.", std::nullopt}}));
  EXPECT_EQ(reader->reply.finish_reason, "length");
}

TEST(AnthropicProtocol, RefusesWhatIsNotOfIt) {
  using enum ErrorCode;
  const auto refused = [](const std::vector<std::string>& events, ErrorCode code, const std::string& words) {
    expect_refused(RemoteProtocol::anthropic, events, code, words);
  };
  refused({"not JSON"}, corrupt, "answer");
  refused({"{}"}, corrupt, "type");
  refused({R"({"type":"content_block_delta","delta":{"type":"text_delta"}})"}, corrupt, "text");
  refused({R"({"type":"message_stop"})"}, corrupt, "without a stop_reason");
  refused({R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})"}, unavailable, "Overloaded");
  refused({R"({"type":"error","error":{"type":"authentication_error","message":"bad key"}})"}, unsupported, "bad key");
  refused({R"({"type":"message_delta","delta":{"stop_reason":"refusal"}})"}, unsupported, "refusal");
}

TEST(Protocols, TellErrorsInPlainShortWords) {
  EXPECT_EQ(error_text_of(R"({"error":{"message":"no such model"}})"), "no such model");
  EXPECT_EQ(error_text_of(R"({"error":"gone"})"), "gone");
  EXPECT_EQ(error_text_of(R"({"message":"x"})"), "x");
  EXPECT_EQ(error_text_of(R"({"other":1})"), "");
  EXPECT_EQ(error_text_of("<html>\n\n\x1b[31mBad\tGateway\xff"), "<html> [31mBad Gateway ");
  EXPECT_LT(error_text_of(std::string(100000, 'x')).size(), 310U);
}

TEST(Protocols, SurviveAnyBytes) {
  const std::vector<std::string> seeds = {
      R"({"choices":[{"delta":{"content":"Be"},"logprobs":{"content":[{"logprob":-0.5}]},"finish_reason":"stop"}],"usage":{}})",
      R"({"type":"message_delta","delta":{"stop_reason":"end_turn","type":"text_delta","text":"x"},"usage":{"output_tokens":4}})",
      R"({"type":"message","content":[{"type":"text","text":"x"}],"error":{"type":"x"}})"};
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    Random random(seed);
    std::string text = seeds[random.below(seeds.size())];
    for (std::uint64_t i = random.below(6); i > 0 && !text.empty(); --i) {
      text[random.below(text.size())] =
          random.chance(0.5F) ? static_cast<char>(random.below(256)) : "{}[]\",:0n"[random.below(9)];
    }
    for (const RemoteProtocol protocol : {RemoteProtocol::openai, RemoteProtocol::anthropic}) {
      policy::Endpoint asked = endpoint(protocol);
      asked.log_probabilities = random.chance(0.5F);
      const auto reader = reader_of(asked);
      (void)reader->take({"message", text});
      (void)reader_of(asked)->take_whole(text);
      (void)error_text_of(text);
    }
  }
}

}  // namespace
}  // namespace troupe::remote
