// What becomes of a question, whatever an endpoint answers and whenever: time is the test's.
#include "remote/remote_call.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/remote/manual_http.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::remote {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string piece(const std::string& text) { return "data: {\"choices\":[{\"delta\":{\"content\":\"" + text + "\"}}]}\n\n"; }
const std::string stop = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const std::string usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":40,\"completion_tokens\":9}}\n\n";
const std::string done = "data: [DONE]\n\n";

class Calls : public testing::Test {
 protected:
  Calls() {
    state_.endpoint.name = "hosted";
    state_.endpoint.url = "https://api.example.org/v1";
    state_.endpoint.model = "large";
    state_.endpoint.confidence = 0.75;
    state_.log = Log([this](LogLevel, const std::string& line) { logged_ += line + "\n"; });
  }
  void ask(Duration time = seconds(600), std::int32_t tokens_max = 16) {
    RemoteQuestion question{{{"user", "How long?"}}, {}, 7, tokens_max, 33};
    call_ = std::make_shared<RemoteCall>(
        http_, state_, std::move(question), http_.now() + time,
        [this](policy::Emission emission) {
          EXPECT_FALSE(end_) << "after the end";
          EXPECT_EQ(emission.first_index, static_cast<std::int32_t>(emissions_.size()));
          EXPECT_EQ(emission.ids, policy::TokenIds{policy::remote_piece});
          text_ += emission.text;
          emissions_.push_back(std::move(emission));
        },
        [this](RemoteEnd end) {
          EXPECT_FALSE(end_) << "twice";
          end_ = std::move(end);
        });
    call_->start();
  }
  void expect_failed(ErrorCode code, const std::vector<std::string>& words, std::size_t tries) {
    ASSERT_TRUE(end_);
    ASSERT_TRUE(end_->error);
    EXPECT_EQ(end_->error->code, code) << end_->error->message;
    for (const auto& word : words) EXPECT_NE(end_->error->message.find(word), std::string::npos) << end_->error->message;
    EXPECT_EQ(http_.count(), tries) << end_->error->message;
    EXPECT_TRUE(http_.last().cancelled || http_.count() == 0) << "nothing of it goes on";
  }

  ManualHttp http_;
  EndpointState state_{{}, {}, Random(1), {}};
  std::shared_ptr<RemoteCall> call_;
  std::vector<policy::Emission> emissions_;
  std::string text_;
  std::optional<RemoteEnd> end_;
  std::string logged_;
};

TEST_F(Calls, TellAnAnswerAsItComes) {
  ask();
  EXPECT_EQ(http_.last().request.url, "https://api.example.org/v1/chat/completions");
  http_.last().head(200);
  http_.last().bytes(piece("Seven") + piece(" years").substr(0, 20));
  EXPECT_EQ(text_, "Seven");
  http_.advance(seconds(2));
  http_.last().bytes(piece(" years").substr(20) + stop + usage + done);
  ASSERT_TRUE(end_);
  EXPECT_FALSE(end_->error);
  EXPECT_EQ(text_, "Seven years");
  EXPECT_EQ(end_->result.finish_reason, "end_token");
  EXPECT_EQ(end_->result.confidence, 0.75) << "what the operator takes it for";
  EXPECT_EQ(end_->result.prompt_tokens, 40);
  EXPECT_EQ(end_->result.generated_tokens, 9);
  EXPECT_EQ(end_->result.seconds, 2);
  EXPECT_TRUE(http_.last().cancelled) << "nobody listens to what comes after the end";
}

TEST_F(Calls, CountTokensThemselvesIfTheEndpointDoesNot) {
  ask();
  http_.last().head(200);
  http_.last().bytes(piece("a") + piece("b") + stop + done);
  EXPECT_EQ(end_->result.prompt_tokens, 33);
  EXPECT_EQ(end_->result.generated_tokens, 2);
}

TEST_F(Calls, AreAsConfidentAsTheTokensIfThoseAreKnown) {
  state_.endpoint.log_probabilities = true;
  ask();
  http_.last().head(200);
  http_.last().bytes(
      "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"logprobs\":{\"content\":[{\"logprob\":-0.6931472}]}}]}\n\n" + stop +
      done);
  EXPECT_NEAR(end_->result.confidence, 0.5, 1e-6);
}

TEST_F(Calls, TakeAnAnswerThatComesAtOnce) {
  state_.endpoint.stream = false;
  ask();
  http_.last().head(200);
  http_.last().bytes(R"({"choices":[{"message":{"content":"Seven)");
  http_.last().bytes(R"( years"},"finish_reason":"stop"}]})");
  EXPECT_FALSE(end_);
  http_.last().end();
  ASSERT_TRUE(end_);
  EXPECT_FALSE(end_->error) << end_->error->message;
  EXPECT_EQ(text_, "Seven years");
}

TEST_F(Calls, NumberNoMorePiecesThanTokensThatWereAllowed) {
  ask(seconds(600), 4);
  http_.last().head(200);
  for (const char* text : {"a", "b", "c", "d", "e", "f"}) http_.last().bytes(piece(text));
  EXPECT_EQ(text_, "abc");
  http_.last().bytes(stop + done);
  ASSERT_TRUE(end_);
  EXPECT_EQ(text_, "abcdef");
  EXPECT_EQ(emissions_.size(), 4U);
}

TEST_F(Calls, AskAgainWhenTheEndpointIsBusy) {
  ask();
  for (const int status : {429, 503}) {
    http_.last().head(status);
    http_.last().bytes(R"({"error":{"message":"slow down"}})");
    http_.last().end();
    EXPECT_FALSE(end_);
    const std::size_t tries = http_.count();
    http_.advance(seconds(1));
    EXPECT_EQ(http_.count(), tries + 1);
  }
  http_.last().head(200);
  http_.last().bytes(piece("yes") + stop + done);
  ASSERT_TRUE(end_);
  EXPECT_FALSE(end_->error);
  EXPECT_EQ(text_, "yes");
  EXPECT_NE(logged_.find("slow down"), std::string::npos);
}

TEST_F(Calls, GiveUpAfterSoManyTries) {
  ask();
  for (int i = 0; i < 3; ++i) {
    http_.last().head(500);
    http_.last().end();
    http_.advance(seconds(8));
  }
  expect_failed(ErrorCode::unavailable, {"endpoint hosted", "status 500", "asked 3 times"}, 3);
  EXPECT_EQ(end_->result.finish_reason, "failed");
}

TEST_F(Calls, WaitAsLongAsTheEndpointSays) {
  ask();
  http_.last().head(429, seconds(20));
  http_.last().end();
  http_.advance(seconds(19));
  EXPECT_EQ(http_.count(), 1U);
  http_.advance(seconds(1));
  EXPECT_EQ(http_.count(), 2U);
  http_.last().head(429, seconds(3600));
  http_.last().end();
  expect_failed(ErrorCode::unavailable, {"status 429", "no time to wait"}, 2);
}

TEST_F(Calls, DoNotWaitPastTheDeadline) {
  ask(seconds(10));
  http_.last().head(503, seconds(15));
  http_.last().end();
  expect_failed(ErrorCode::unavailable, {"status 503", "no time to wait"}, 1);
}

TEST_F(Calls, ShareABudgetOfRetries) {
  for (int i = 0; i < 5; ++i) {
    end_.reset();
    ask();
    for (int k = 0; k < 3; ++k) {
      http_.last().head(500);
      http_.last().end();
      http_.advance(seconds(8));
    }
    ASSERT_TRUE(end_);
  }
  EXPECT_EQ(http_.count(), 15U);
  end_.reset();
  ask();
  http_.last().head(500);
  http_.last().end();
  expect_failed(ErrorCode::unavailable, {"too many questions to it have failed"}, 16);
}

TEST_F(Calls, AreNotRepeatedWhereThatWouldNotHelp) {
  const std::vector<std::pair<int, std::string>> refusals = {
      {400, "status 400: no"},     {413, "status 413: no"},          {422, "status 422: no"}, {401, "does it want a key"},
      {403, "does it want a key"}, {404, "are url and model right"}, {301, "status 301"}};
  for (const auto& [status, words] : refusals) {
    const std::size_t before = http_.count();
    end_.reset();
    ask();
    http_.last().head(status);
    http_.last().bytes(R"({"error":{"message":"no"}})");
    http_.last().end();
    const bool of_question = status == 400 || status == 413 || status == 422;  // the endpoint takes others
    expect_failed(of_question ? ErrorCode::out_of_range : ErrorCode::invalid_argument, {words}, before + 1);
  }
}

TEST_F(Calls, ReadNoMoreOfAnErrorThanItIsWorth) {
  ask();
  http_.last().head(400);
  for (int i = 0; i < 10 && !end_; ++i) http_.last().bytes(std::string(10000, 'x'));
  expect_failed(ErrorCode::out_of_range, {"status 400: xxx"}, 1);
  EXPECT_LT(end_->error->message.size(), 500U);
}

TEST_F(Calls, EndWhenTheAnswerDoesNotBegin) {
  state_.endpoint.retries_max = 1;
  ask();
  http_.advance(seconds(59));
  EXPECT_EQ(http_.count(), 1U);
  http_.advance(seconds(2));
  EXPECT_EQ(http_.count(), 2U) << "nothing had come, so it is asked again";
  http_.advance(seconds(61));
  expect_failed(ErrorCode::unavailable, {"did not begin to answer within 60.00 s", "asked 2 times"}, 2);
}

TEST_F(Calls, EndWhenTheAnswerStallsAndAreNotRepeatedOnceSomethingWasShown) {
  ask();
  http_.last().head(200);
  http_.last().bytes(piece("Sev"));
  for (int i = 0; i < 10; ++i) {
    http_.advance(seconds(29));
    http_.last().bytes(": still here\n");
  }
  EXPECT_FALSE(end_);
  http_.advance(seconds(31));
  expect_failed(ErrorCode::unavailable, {"said nothing for 30.00 s"}, 1);
  EXPECT_EQ(text_, "Sev");
  EXPECT_EQ(end_->result.prompt_tokens, 33) << "what was read is paid for";
}

TEST_F(Calls, NoticeAStallSoonerThanAFirstByteMayTake) {
  ask();
  http_.advance(seconds(1));
  http_.last().head(200);
  http_.last().bytes(piece("Sev"));
  http_.advance(seconds(31));
  expect_failed(ErrorCode::unavailable, {"said nothing for 30.00 s"}, 1);
}

TEST_F(Calls, EndAtTheDeadlineHoweverTheEndpointKeepsTalking) {
  ask(seconds(100));
  http_.last().head(200);
  for (int i = 0; i < 12 && !end_; ++i) {
    http_.advance(seconds(10));
    http_.last().bytes(": still here\n");
  }
  expect_failed(ErrorCode::deadline_exceeded, {"deadline", "hosted"}, 1);
  EXPECT_EQ(end_->result.finish_reason, "deadline_exceeded");
}

TEST_F(Calls, FailWhenTheConnectionBreaks) {
  ask();
  http_.last().end(Error{ErrorCode::unavailable, "the connection failed: refused"});
  http_.advance(seconds(1));
  ASSERT_EQ(http_.count(), 2U);
  http_.last().head(200);
  http_.last().bytes(piece("Sev"));
  http_.last().end(Error{ErrorCode::unavailable, "the connection failed: reset"});
  expect_failed(ErrorCode::unavailable, {"reset"}, 2);
}

TEST_F(Calls, FailWhenTheAnswerEndsInTheMiddle) {
  ask();
  http_.last().head(200);
  http_.last().bytes(piece("Sev") + stop);
  http_.last().end();
  expect_failed(ErrorCode::unavailable, {"ended in the middle"}, 1);
}

TEST_F(Calls, SayWhatCameInsteadOfAStream) {
  for (const char* body : {"<html><body>Welcome", "{\"choices\":[]}\n\n", "{\"error\":{\"message\":\"<html>\"}}"}) {
    ask();
    const std::size_t tries = http_.count();
    http_.last().head(200);
    http_.last().bytes(body);
    http_.last().end();
    expect_failed(ErrorCode::corrupt, {"malformed", "stream = false", body[0] == '{' && body[2] == 'c' ? "choices" : "<html>"},
                  tries);
    end_.reset();
  }
  state_.endpoint.retries_max = 0;
  for (const char* begun : {"", "\xef\xbb\xbf", ": waking up\n", "dat"}) {
    ask();
    http_.last().head(200);
    http_.last().bytes(begun);
    http_.last().end();
    EXPECT_EQ(std::exchange(end_, {})->error->code, ErrorCode::unavailable) << begun;
  }
}

TEST_F(Calls, FailOnAMalformedStream) {
  ask();
  http_.last().head(200);
  http_.last().bytes("data: {\"choices\":[{\"delta\":{\"content\"\n\n" + piece("never"));
  expect_failed(ErrorCode::corrupt, {"endpoint hosted"}, 1);
  EXPECT_EQ(text_, "");
}

TEST_F(Calls, AskAgainWhenTheStreamBeginsWithAPassingError) {
  ask();
  http_.last().head(200);
  http_.last().bytes("data: {\"error\":{\"type\":\"server_error\",\"message\":\"restarting\"}}\n\n");
  EXPECT_FALSE(end_);
  http_.advance(seconds(1));
  EXPECT_EQ(http_.count(), 2U);
}

TEST_F(Calls, ContainAnEndlessLineAnEndlessAnswerAndEndlessNoise) {
  ask();
  http_.last().head(200);
  for (int i = 0; i < 30 && !end_; ++i) http_.last().bytes(std::string(100000, 'x'));
  expect_failed(ErrorCode::too_large, {"a line of more than 1048576 bytes"}, 1);

  end_.reset();
  ask();
  http_.last().head(200);
  for (int i = 0; i < 1000 && !end_; ++i) http_.last().bytes(piece(std::string(100, 'y')));
  expect_failed(ErrorCode::too_large, {"for 16 tokens that were allowed"}, 2);
  EXPECT_LE(text_.size(), 16U * RemoteCall::token_bytes_max);
  EXPECT_LE(emissions_.size(), 16U);

  end_.reset();
  emissions_.clear();
  ask();
  http_.last().head(200);
  const std::string noise = ": " + std::string(100000, 'z') + "\n";
  for (int i = 0; i < 1000 && !end_; ++i) http_.last().bytes(noise);
  expect_failed(ErrorCode::too_large, {"more than 67108864 bytes"}, 3);
}

TEST_F(Calls, AreForgottenWhenTheyAreCancelled) {
  ask();
  http_.last().head(200);
  http_.last().bytes(piece("Sev"));
  call_->cancel();
  EXPECT_TRUE(http_.last().cancelled);
  call_.reset();
  http_.advance(seconds(1000));
  EXPECT_FALSE(end_);
}

TEST_F(Calls, ReadTheirKeyEachTimeAndNeverTellIt) {
  const tests::TemporaryFolder folder;
  const auto file = folder.path() / "key";
  const auto write = [&](const std::string& key) {
    std::ofstream(file) << key;
    ::chmod(file.c_str(), 0600);
  };
  write("sk-first");
  state_.endpoint.key_file = file;
  ask();
  EXPECT_EQ(http_.last().request.headers.back(), "Authorization: Bearer sk-first");
  write("sk-second");
  http_.last().head(503);
  http_.last().end();
  http_.advance(seconds(1));
  EXPECT_EQ(http_.last().request.headers.back(), "Authorization: Bearer sk-second");
  http_.last().head(401);
  http_.last().bytes(R"({"error":{"message":"Incorrect API key provided: sk-second"}})");
  http_.last().end();
  expect_failed(ErrorCode::invalid_argument, {"provided: [key]", file.string()}, 2);
  EXPECT_EQ((end_->error->message + logged_).find("sk-"), std::string::npos) << logged_;

  ::chmod(file.c_str(), 0644);
  end_.reset();
  ask();
  ASSERT_TRUE(end_ && end_->error);
  EXPECT_NE(end_->error->message.find("chmod 600"), std::string::npos);
  EXPECT_EQ(http_.count(), 2U) << "nothing was asked with a key that others may know";
}

/// What an endpoint says is quoted up to some length, and where that cuts a key in two, its first half is a secret too.
TEST_F(Calls, NeverTellAPartOfTheirKey) {
  const tests::TemporaryFolder folder;
  const auto file = folder.path() / "key";
  const std::string key = "sk-0123456789abcdefghijklmnopqrstuvwxyz";
  std::ofstream(file) << key;
  ::chmod(file.c_str(), 0600);
  state_.endpoint.key_file = file;
  state_.endpoint.retries_max = 0;
  const auto told = [&](int status, const std::string& body) {
    end_.reset();
    logged_.clear();
    ask();
    http_.last().head(status);
    http_.last().bytes(body);
    http_.last().end();
    EXPECT_TRUE(end_ && end_->error) << body;
    return (end_ && end_->error ? end_->error->message : std::string()) + logged_;
  };
  for (std::size_t before = 0; before < 320; before += 3) {
    const std::string text = std::string(before, '.') + key + "!";
    for (const bool stream : {true, false}) {
      state_.endpoint.stream = stream;
      const std::string begin = stream ? "data: " : "";
      const std::string end = stream ? "\n\n" : "";
      for (const std::string& all :
           {told(401, R"({"error":{"message":")" + text + R"("}})"), told(401, text),
            told(200, begin + R"({"error":{"type":"x","message":")" + text + R"("}})" + end),
            told(200, begin + R"({"error":")" + text + R"("})" + end),
            told(200, begin + R"({"choices":")" + text + R"("})" + end), told(200, begin + "\"" + text + end)}) {
        EXPECT_EQ(all.find("sk-0"), std::string::npos) << before << ": " << all;
      }
    }
  }
}

}  // namespace
}  // namespace troupe::remote
