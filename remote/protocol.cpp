#include "remote/protocol.hpp"

#include "remote/protocol_json.hpp"

namespace troupe::remote {

namespace {

/// A field that is missing, or is not what it should be, is the endpoint's fault and not the caller's.
Result<void> as_corrupt(Result<void> read) {
  if (read) return read;
  switch (read.error().code) {
    case ErrorCode::invalid_argument:
    case ErrorCode::out_of_range:
    case ErrorCode::not_found: read.error().code = ErrorCode::corrupt; break;
    default: break;
  }
  return read;
}

}  // namespace

Result<void> ReplyReader::take(const ServerEvent& event) { return as_corrupt(read_event(event)); }
Result<void> ReplyReader::take_whole(std::string_view body) { return as_corrupt(read_whole(body)); }

std::string url_of(const policy::Endpoint& endpoint) {
  return endpoint.url + (endpoint.protocol == policy::RemoteProtocol::openai ? "/chat/completions" : "/messages");
}

std::vector<std::string> headers_of(const policy::Endpoint& endpoint, std::string_view key) {
  std::vector<std::string> headers = {"Content-Type: application/json",
                                      std::string("Accept: ") + (endpoint.stream ? "text/event-stream" : "application/json"),
                                      "Expect:"};  // no "100-continue", which costs a round trip
  const bool anthropic = endpoint.protocol == policy::RemoteProtocol::anthropic;
  if (anthropic) headers.emplace_back("anthropic-version: 2023-06-01");
  if (!key.empty()) headers.push_back((anthropic ? "x-api-key: " : "Authorization: Bearer ") + std::string(key));
  return headers;
}

std::string body_of(const policy::Endpoint& endpoint, const RemoteQuestion& question) {
  return endpoint.protocol == policy::RemoteProtocol::openai ? openai_body(endpoint, question)
                                                             : anthropic_body(endpoint, question);
}

std::unique_ptr<ReplyReader> reader_of(const policy::Endpoint& endpoint) {
  return endpoint.protocol == policy::RemoteProtocol::openai ? openai_reader(endpoint.log_probabilities) : anthropic_reader();
}

std::string error_text_of(std::string_view body) {
  const auto json = model::parse_json(body, answer_name, ReplyReader::whole_bytes_max);
  if (!json || !json->is_object()) return plain_text(body);
  const auto error = json->find("error");
  const Json& holder = error != json->end() && error->is_object() ? *error : *json;
  const auto message = holder.find("message");
  if (message != holder.end() && message->is_string()) return plain_text(message->get_ref<const std::string&>());
  if (error != json->end() && error->is_string()) return plain_text(error->get_ref<const std::string&>());
  return {};
}

std::string plain_text(std::string_view text) {
  constexpr std::size_t bytes_max = 300;
  std::string plain;
  for (const char c : text.substr(0, bytes_max)) {
    const bool printable = c >= ' ' && c != '\x7f' && static_cast<unsigned char>(c) < 0x80;
    if (printable || (!plain.empty() && plain.back() != ' ')) plain += printable ? c : ' ';
  }
  if (text.size() > bytes_max) plain += "...";
  return plain;
}

}  // namespace troupe::remote
