#include "schemas/endpoint_file.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace troupe::schemas {
namespace {

const std::string begun = "[[endpoint]]\nname = \"a\"\nprotocol = \"openai\"\nurl = \"https://x.example/v1\"\nmodel = \"m\"\n";

void expect_refused(const std::string& text, const std::vector<std::string>& words,
                    ErrorCode code = ErrorCode::invalid_argument) {
  const auto result = parse_endpoints(text, "e.toml");
  ASSERT_FALSE(result) << text;
  EXPECT_EQ(result.error().code, code) << result.error().message;
  for (const auto& word : words) EXPECT_NE(result.error().message.find(word), std::string::npos) << result.error().message;
}

std::string with_url(const std::string& url) {
  return "[[endpoint]]\nname = \"a\"\nprotocol = \"openai\"\nurl = \"" + url + "\"\nmodel = \"m\"\n";
}

TEST(EndpointFile, InDeployIsReadable) {
  std::ifstream file(TROUPE_SOURCE_DIR "/deploy/endpoints.toml");
  std::stringstream text;
  text << file.rdbuf();
  const auto parsed = parse_endpoints(text.str(), "deploy/endpoints.toml");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->size(), 2U);
}

TEST(EndpointFile, ReadsEveryKey) {
  const auto parsed = parse_endpoints(begun + R"(
key_file = "/k"
ca_file = "/c"
proxy = "http://p:3128"
context_tokens = 1000
stream = false
log_probabilities = true
confidence = 0.5
connect_timeout_ms = 1
first_byte_timeout_ms = 2
silence_timeout_ms = 3
retries_max = 0
requests_max = 5
)",
                                      "e.toml");
  ASSERT_TRUE(parsed) << parsed.error().message;
  policy::Endpoint expected;
  expected.name = "a";
  expected.url = "https://x.example/v1";
  expected.model = "m";
  expected.key_file = "/k";
  expected.ca_file = "/c";
  expected.proxy = "http://p:3128";
  expected.context_tokens = 1000;
  expected.stream = false;
  expected.log_probabilities = true;
  expected.confidence = 0.5;
  expected.connect_timeout_ms = 1;
  expected.first_byte_timeout_ms = 2;
  expected.silence_timeout_ms = 3;
  expected.retries_max = 0;
  expected.requests_max = 5;
  EXPECT_EQ(*parsed, std::vector{expected});
  EXPECT_TRUE(policy::class_of(expected).remote());
  EXPECT_EQ(policy::class_of(expected).fingerprint, "openai:m@https://x.example/v1");
}

TEST(EndpointFile, RefusesAKeyWithoutRepeatingIt) {
  for (const char* name : {"key", "api_key"}) {
    const auto result = parse_endpoints(begun + name + " = \"sk-secret\"\n", "e.toml");
    ASSERT_FALSE(result);
    EXPECT_NE(result.error().message.find("key_file"), std::string::npos) << result.error().message;
    EXPECT_EQ(result.error().message.find("sk-secret"), std::string::npos) << result.error().message;
  }
}

TEST(EndpointFile, SendsNothingInTheClearToAnotherMachine) {
  for (const char* url : {"https://x.example", "http://127.0.0.1:8080/v1", "http://localhost", "http://[::1]:80/v1/"}) {
    EXPECT_TRUE(parse_endpoints(with_url(url), "e.toml")) << url;
  }
  expect_refused(with_url("http://x.example/v1"), {"e.toml:1:", "https://", "in the clear"});
  expect_refused(with_url("http://localhost.example"), {"in the clear"});
  expect_refused(with_url("http://127.evil.example/v1"), {"in the clear"});
  expect_refused(with_url("http://127.0.0.1/v1") + "proxy = \"http://other.example:3128\"\n", {"proxy", "in the clear"});
  EXPECT_TRUE(parse_endpoints(with_url("https://x.example") + "proxy = \"http://other.example:3128\"\n", "e.toml"));
  expect_refused(with_url("https://user:word@x.example"), {"password"});
  expect_refused(with_url("https://x.example/v1?key=1"), {"query"});
  for (const char* url : {"https://x.example:99999/v1", "https://x.example:0", "https://x.example:", "http://[::1]:80a"}) {
    expect_refused(with_url(url), {"e.toml:1:", "url", url, "a port from 1 to 65535"});
  }
  expect_refused(with_url("https://x.example") + "proxy = \"http://other.example:70000\"\n", {"e.toml:1:", "proxy", "65535"});
  for (const char* url : {"", "ftp://x", "https://", "x.example", "https:// x", "file:///etc/passwd"}) {
    expect_refused(with_url(url), {"url"});
  }
}

TEST(EndpointFile, NamesWhatIsWrong) {
  expect_refused("[[endpoint]]\nname = \"a\"\n", {"protocol is missing"});
  expect_refused(begun + "modle = 1\n", {"endpoint[1].modle is not known", "model"});
  expect_refused("endpoint = 1\n", {"endpoint is 1"});
  expect_refused(begun + begun, {"two endpoints", "\"a\""});
  expect_refused(begun + "requests_max = 0\n", {"requests_max is 0", "1 to"}, ErrorCode::out_of_range);
  expect_refused(begun + "retries_max = 11\n", {"retries_max is 11"}, ErrorCode::out_of_range);
  expect_refused(begun + "confidence = 2\n", {"confidence is 2"});
  expect_refused(begun + "proxy = \"socks://x\"\n", {"proxy", "http://HOST:PORT"});
  std::string anthropic = begun + "log_probabilities = true\n";
  anthropic.replace(anthropic.find("openai"), 6, "anthropic");
  expect_refused(anthropic, {"log_probabilities", "confidence"});
  std::string other = begun;
  other.replace(other.find("openai"), 6, "telepathy");
  expect_refused(other, {"protocol is \"telepathy\"", "openai, anthropic"});
}

}  // namespace
}  // namespace troupe::schemas
