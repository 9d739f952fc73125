// A replica over real connections, to a server that speaks both protocols and breaks them as it is told.
#include "remote/remote_replica.hpp"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "remote/curl_http.hpp"
#include "tests/support/scripted_server.hpp"

namespace troupe::remote {
namespace {

using policy::RemoteProtocol;
using tests::http_answer;
using tests::http_stream_head;
using tests::ScriptedServer;
using tests::SeenRequest;
using tests::server_event;
using Connection = ScriptedServer::Connection;

constexpr Duration long_enough = std::chrono::minutes(10);

const std::string whole_openai = R"({"choices":[{"message":{"content":"Seven years"},"finish_reason":"stop"}],)"
                                 R"("usage":{"prompt_tokens":40,"completion_tokens":2}})";

std::string openai_piece(const std::string& text) {
  return server_event(R"({"choices":[{"delta":{"content":")" + text + "\"}}]}");
}
const std::string openai_end = server_event(R"({"choices":[{"delta":{},"finish_reason":"stop"}]})") + server_event("[DONE]");

std::string anthropic_piece(const std::string& text) {
  return server_event(R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":")" + text + "\"}}",
                      "content_block_delta");
}
const std::string anthropic_end =
    server_event(R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}})",
                 "message_delta") +
    server_event(R"({"type":"message_stop"})", "message_stop");

struct Heard {
  std::string text;
  actors::SequenceEnd end;
};

class RemoteReplicas : public testing::Test {
 protected:
  RemoteReplicas() {
    endpoint_.name = "hosted";
    endpoint_.url = server_.url() + "/v1";
    endpoint_.model = "large";
    endpoint_.retries_max = 0;
    auto http = open_curl_http();
    EXPECT_TRUE(http);
    http_ = *std::move(http);
  }
  RemoteReplica& replica() {
    if (!replica_) replica_ = std::make_unique<RemoteReplica>(endpoint_, http_, 0, policy::Tier::heavy, 1, Log());
    return *replica_;
  }
  std::future<Heard> begin(std::uint64_t number = 1, std::function<void(const std::string&)> on_text = {}) {
    schemas::EngineRequest request;
    request.messages = {{"system", "Be brief."}, {"user", "How long?"}};
    request.tokens_max = 16;
    auto heard = std::make_shared<Heard>();
    auto promise = std::make_shared<std::promise<Heard>>();
    replica().start(
        number, request, {}, long_enough,
        [heard, on_text](policy::Emission emission) {
          heard->text += emission.text;
          if (on_text) on_text(heard->text);
        },
        [heard, promise](actors::SequenceEnd end) {
          heard->end = std::move(end);
          promise->set_value(*heard);
        });
    return promise->get_future();
  }
  Heard ask() { return begin().get(); }
  void expect_failed(const Heard& heard, ErrorCode code, const std::string& words) {
    ASSERT_TRUE(heard.end.error) << heard.text;
    EXPECT_EQ(heard.end.error->code, code) << heard.end.error->message;
    EXPECT_EQ(heard.end.result.finish_reason, "failed");
    EXPECT_NE(heard.end.error->message.find(words), std::string::npos) << heard.end.error->message;
  }

  ScriptedServer server_;
  policy::Endpoint endpoint_;
  std::shared_ptr<Http> http_;
  std::unique_ptr<RemoteReplica> replica_;
};

TEST_F(RemoteReplicas, SpeakBothProtocolsPieceByPieceAndAtOnce) {
  const std::string whole_anthropic = R"({"type":"message","content":[{"type":"text","text":"Seven years"}],)"
                                      R"("stop_reason":"end_turn","usage":{"input_tokens":40,"output_tokens":2}})";
  const std::string anthropic_start =
      server_event(R"({"type":"message_start","message":{"usage":{"input_tokens":40}}})", "message_start");
  const std::string usage = server_event(R"({"choices":[],"usage":{"prompt_tokens":40,"completion_tokens":2}})");
  struct Case {
    RemoteProtocol protocol;
    bool stream;
    std::string answer;
    std::string target;
  };
  const std::vector<Case> cases = {
      {RemoteProtocol::openai, true, http_stream_head() + openai_piece("Seven") + openai_piece(" years") + usage + openai_end,
       "/v1/chat/completions"},
      {RemoteProtocol::openai, false, http_answer(200, whole_openai), "/v1/chat/completions"},
      {RemoteProtocol::anthropic, true,
       http_stream_head() + anthropic_start + anthropic_piece("Seven") + anthropic_piece(" years") + anthropic_end,
       "/v1/messages"},
      {RemoteProtocol::anthropic, false, http_answer(200, whole_anthropic), "/v1/messages"}};
  for (const Case& each : cases) {
    SCOPED_TRACE(each.target + (each.stream ? " in pieces" : " at once"));
    endpoint_.protocol = each.protocol;
    endpoint_.stream = each.stream;
    endpoint_.confidence = 0.5;
    replica_.reset();
    server_.always([&](const SeenRequest&, Connection& connection) { connection.send(each.answer); });
    const Heard heard = ask();
    ASSERT_FALSE(heard.end.error) << heard.end.error->message;
    EXPECT_EQ(heard.text, "Seven years");
    EXPECT_EQ(heard.end.result.finish_reason, "end_token");
    EXPECT_EQ(heard.end.result.confidence, 0.5);
    EXPECT_EQ(heard.end.result.prompt_tokens, 40);
    EXPECT_EQ(heard.end.result.generated_tokens, 2);
    const SeenRequest seen = server_.seen().back();
    EXPECT_EQ(seen.target, each.target);
    EXPECT_NE(seen.body.find("How long?"), std::string::npos);
    EXPECT_EQ(replica().view().running, 0);
    EXPECT_EQ(replica().view().generated_tokens, 2U);
  }
}

TEST_F(RemoteReplicas, ShowPiecesBeforeTheAnswerHasEnded) {
  server_.always([](const SeenRequest&, Connection& connection) {
    connection.send(http_stream_head() + openai_piece("Seven"));
    connection.wait_for_gate();
    connection.send(openai_piece(" years") + openai_end);
  });
  const Heard heard = begin(1, [&](const std::string& text) {
                        if (text == "Seven") server_.open();
                      }).get();
  EXPECT_EQ(heard.text, "Seven years") << "the server went on only after the first piece was seen";
}

TEST_F(RemoteReplicas, TellWhatTheServerRefuses) {
  server_.always([](const SeenRequest&, Connection& c) { c.send(http_answer(401, R"({"error":{"message":"who are you"}})")); });
  expect_failed(ask(), ErrorCode::invalid_argument, "status 401: who are you");
  server_.always([](const SeenRequest&, Connection& c) { c.send(http_answer(429, "", "Retry-After: 30\r\n")); });
  expect_failed(ask(), ErrorCode::unavailable, "status 429");
  server_.always([](const SeenRequest&, Connection& c) {
    c.send("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
  });
  expect_failed(ask(), ErrorCode::invalid_argument, "status 302");
}

TEST_F(RemoteReplicas, AskAgainAndSucceed) {
  endpoint_.retries_max = 2;
  endpoint_.stream = false;
  server_.then([](const SeenRequest&, Connection& c) { c.send(http_answer(503, "busy")); });
  server_.then([](const SeenRequest&, Connection&) {});  // hangs up without a word
  server_.then([](const SeenRequest&, Connection& c) { c.send(http_answer(200, whole_openai)); });
  const Heard heard = ask();
  ASSERT_FALSE(heard.end.error) << heard.end.error->message;
  EXPECT_EQ(heard.text, "Seven years");
  EXPECT_EQ(server_.seen().size(), 3U);
}

TEST_F(RemoteReplicas, EndWhenTheServerSaysNothing) {
  endpoint_.first_byte_timeout_ms = 50;
  server_.always([](const SeenRequest&, Connection& connection) { connection.wait_for_close(); });
  expect_failed(ask(), ErrorCode::unavailable, "did not begin to answer");
  server_.wait_for_ended(1);
}

TEST_F(RemoteReplicas, EndWhenTheServerStalls) {
  endpoint_.silence_timeout_ms = 50;
  server_.always([](const SeenRequest&, Connection& connection) {
    connection.send(http_stream_head() + openai_piece("Sev"));
    connection.wait_for_close();
  });
  const Heard heard = ask();
  expect_failed(heard, ErrorCode::unavailable, "said nothing");
  EXPECT_EQ(heard.text, "Sev");
}

TEST_F(RemoteReplicas, ContainWhatIsHugeMalformedOrEndless) {
  const std::vector<std::pair<std::string, ErrorCode>> begun = {
      {"data: {\"choices\":[{\n\n", ErrorCode::corrupt},
      {"data: " + std::string(2 << 20, '['), ErrorCode::too_large},
      {openai_piece("Sev"), ErrorCode::unavailable},  // and hangs up
  };
  for (const auto& [bytes, code] : begun) {
    server_.always([bytes](const SeenRequest&, Connection& connection) { connection.send(http_stream_head() + bytes); });
    expect_failed(ask(), code, "endpoint hosted");
  }
}

TEST_F(RemoteReplicas, HangUpOnAnAnswerThatDoesNotEnd) {
  server_.always([](const SeenRequest&, Connection& connection) {
    connection.send(http_stream_head());
    while (connection.send(openai_piece(std::string(1000, 'x')))) {
    }
  });
  expect_failed(ask(), ErrorCode::too_large, "tokens that were allowed");
  server_.wait_for_ended(1);
}

TEST_F(RemoteReplicas, HangUpWhenTheyAreCancelled) {
  std::promise<void> begun;
  server_.always([](const SeenRequest&, Connection& connection) {
    connection.send(http_stream_head() + openai_piece("Sev"));
    connection.wait_for_close();
  });
  auto heard = begin(7, [&](const std::string&) { begun.set_value(); });
  begun.get_future().wait();
  EXPECT_EQ(replica().view().running, 1);
  replica().cancel(8);
  replica().cancel(7);
  server_.wait_for_ended(1);
  EXPECT_THROW(heard.get(), std::future_error) << "nobody was told of it, and nobody will be";
}

TEST_F(RemoteReplicas, TakeNoMoreQuestionsThanTheyMay) {
  endpoint_.requests_max = 1;
  endpoint_.stream = false;
  server_.always([](const SeenRequest&, Connection& connection) {
    connection.wait_for_gate();
    connection.send(http_answer(200, whole_openai));
  });
  auto first = begin(1);
  server_.wait_for_requests(1);
  const Heard second = begin(2).get();
  ASSERT_TRUE(second.end.error);
  EXPECT_EQ(second.end.error->code, ErrorCode::overloaded);
  EXPECT_EQ(second.end.result.finish_reason, "") << "nothing was asked";
  server_.open();
  EXPECT_EQ(first.get().text, "Seven years");
}

TEST_F(RemoteReplicas, FailWhereNobodyListens) {
  {
    const ScriptedServer gone;
    endpoint_.url = gone.url();
  }
  expect_failed(ask(), ErrorCode::unavailable, "connection failed");
}

TEST_F(RemoteReplicas, GoWhileTheyAnswer) {
  server_.always([](const SeenRequest&, Connection& connection) {
    connection.send(http_stream_head() + openai_piece("Sev"));
    connection.wait_for_close();
  });
  std::promise<void> begun;
  auto heard = begin(1, [&](const std::string&) { begun.set_value(); });
  begun.get_future().wait();
  replica_.reset();
  server_.wait_for_ended(1);
  http_.reset();
}

TEST_F(RemoteReplicas, NeverContinueWhatIsKnown) {
  std::promise<actors::SequenceEnd> end;
  replica().start(
      1, {}, {{0, {policy::remote_piece}, {0}, "Sev"}}, long_enough, [](policy::Emission) {},
      [&](actors::SequenceEnd ended) { end.set_value(std::move(ended)); });
  EXPECT_EQ(end.get_future().get().error->code, ErrorCode::not_found);
  EXPECT_TRUE(server_.seen().empty());
}

TEST_F(RemoteReplicas, PrepareMessagesThatFit) {
  endpoint_.context_tokens = 400;
  schemas::EnginePrepare prepare;
  prepare.parts.task = policy::Task::answer;
  prepare.parts.question = "How long?";
  prepare.parts.passages = {{"Rules §1", "Files are kept for seven years."}, {"Rules §2", std::string(2000, 'x')}};
  prepare.parts.recent = {{"Who?", "Nobody."}};
  prepare.tokens_max = 10000;
  const auto prepared = replica().prepare(prepare);
  ASSERT_TRUE(prepared) << prepared.error().message;
  EXPECT_TRUE(prepared->prompt.empty());
  EXPECT_EQ(prepared->passages, std::vector<std::uint32_t>{0}) << "the second is too long";
  ASSERT_EQ(prepared->messages.size(), 4U);
  EXPECT_NE(prepared->messages.back().content.find("seven years"), std::string::npos);
  EXPECT_TRUE(prepared->model.remote());
  EXPECT_GT(prepared->context_max, 100);
  EXPECT_LT(prepared->context_max, 380);
  prepare.parts.question = std::string(1200, '?');
  EXPECT_EQ(replica().prepare(prepare).error().code, ErrorCode::too_large);
  prepare.purpose = schemas::Purpose::classify;
  EXPECT_EQ(replica().prepare(prepare).error().code, ErrorCode::too_large);
}

}  // namespace
}  // namespace troupe::remote
