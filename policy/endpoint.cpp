#include "policy/endpoint.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace troupe::policy {

namespace {

Error wrong(const Endpoint& endpoint, std::string_view field, const std::string& seen, const std::string& expected,
            ErrorCode code = ErrorCode::invalid_argument) {
  return {code, "endpoint \"" + endpoint.name + "\": " + std::string(field) + " is " + seen + ", expected " + expected};
}

Result<void> check_between(const Endpoint& endpoint, std::string_view field, std::int64_t value, std::int64_t low,
                           std::int64_t high) {
  if (value >= low && value <= high) return {};
  return wrong(endpoint, field, std::to_string(value), std::to_string(low) + " to " + std::to_string(high),
               ErrorCode::out_of_range);
}

/// Without blanks and control characters, so that it can stand in a URL, a header or a line of a log.
bool plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

/// "host" of "https://host:port/path"; empty if there is none.
std::string_view host_of(std::string_view url) {
  url.remove_prefix(std::min(url.find("://"), url.size()));
  url.remove_prefix(std::min<std::size_t>(3, url.size()));
  const std::string_view authority = url.substr(0, url.find_first_of("/?#"));
  if (authority.starts_with('[')) return authority.substr(0, std::min(authority.find(']'), authority.size() - 1) + 1);
  return authority.substr(0, authority.find(':'));
}

/// Whether what follows the host is nothing, or a port that there is.
bool port_is_right(std::string_view url) {
  const std::string_view host = host_of(url);
  std::string_view port = url.substr(static_cast<std::size_t>(host.data() - url.data()) + host.size());
  port = port.substr(0, port.find_first_of("/?#"));
  if (port.empty()) return true;
  std::uint16_t number = 0;
  const auto [stop, error] = std::from_chars(port.data() + 1, port.data() + port.size(), number);
  return port.front() == ':' && error == std::errc() && stop == port.data() + port.size() && number > 0;
}
constexpr const char* a_port = "a port from 1 to 65535 after the host, or none";

/// 127.x.y.z in numbers: "127.example.org" is a name, of any machine.
bool is_loopback(std::string_view host) {
  const bool numeric = host.find_first_not_of("0123456789.") == std::string_view::npos;
  return numeric && host.starts_with("127.") && std::ranges::count(host, '.') == 3;
}
bool this_machine(std::string_view host) { return host == "localhost" || host == "[::1]" || is_loopback(host); }

Result<void> check_url(const Endpoint& endpoint) {
  const std::string seen = "\"" + endpoint.url.substr(0, 100) + "\"";
  const bool secure = endpoint.url.starts_with("https://");
  const std::string_view host = host_of(endpoint.url);
  if ((!secure && !endpoint.url.starts_with("http://")) || host.empty() || !plain(endpoint.url)) {
    return wrong(endpoint, "url", seen, "https://HOST/PATH, or http:// of this machine");
  }
  if (endpoint.url.find_first_of("@?#") != std::string::npos) {
    return wrong(endpoint, "url", "one with a password, a query or a fragment", "none of these; the key goes into key_file");
  }
  if (!port_is_right(endpoint.url)) return wrong(endpoint, "url", seen, a_port);
  if (!secure && !this_machine(host)) {
    return wrong(endpoint, "url", seen, "https://: questions and keys do not travel in the clear to another machine");
  }
  return {};
}

}  // namespace

std::string_view to_string(RemoteProtocol protocol) {
  switch (protocol) {
    case RemoteProtocol::openai: return "openai";
    case RemoteProtocol::anthropic: return "anthropic";
  }
  return "unknown";
}

std::optional<RemoteProtocol> remote_protocol_of(std::string_view name) {
  for (const RemoteProtocol protocol : {RemoteProtocol::openai, RemoteProtocol::anthropic}) {
    if (to_string(protocol) == name) return protocol;
  }
  return std::nullopt;
}

Result<void> validate(const Endpoint& endpoint) {
  if (endpoint.name.empty() || endpoint.name.size() > Endpoint::name_bytes_max || !plain(endpoint.name)) {
    return wrong(endpoint, "name", std::to_string(endpoint.name.size()) + " bytes long",
                 "1 to " + std::to_string(Endpoint::name_bytes_max) + " characters without blanks");
  }
  const std::array<std::pair<std::string_view, const std::string*>, 5> texts = {{{"url", &endpoint.url},
                                                                                 {"model", &endpoint.model},
                                                                                 {"key_file", &endpoint.key_file},
                                                                                 {"ca_file", &endpoint.ca_file},
                                                                                 {"proxy", &endpoint.proxy}}};
  for (const auto& [field, text] : texts) {
    if (text->size() <= Endpoint::text_bytes_max) continue;
    return wrong(endpoint, field, std::to_string(text->size()) + " bytes long",
                 "at most " + std::to_string(Endpoint::text_bytes_max), ErrorCode::out_of_range);
  }
  TROUPE_TRY_DO(check_url(endpoint));
  if (endpoint.model.empty()) return wrong(endpoint, "model", "empty", "the model's name at its host");
  if (!endpoint.proxy.empty() && (!endpoint.proxy.starts_with("http://") || !plain(endpoint.proxy))) {
    return wrong(endpoint, "proxy", "\"" + endpoint.proxy.substr(0, 100) + "\"", "http://HOST:PORT");
  }
  if (!endpoint.proxy.empty() && !port_is_right(endpoint.proxy)) {
    return wrong(endpoint, "proxy", "\"" + endpoint.proxy.substr(0, 100) + "\"", a_port);
  }
  if (!endpoint.proxy.empty() && endpoint.url.starts_with("http://") && !this_machine(host_of(endpoint.proxy))) {
    return wrong(
        endpoint, "proxy", "\"" + endpoint.proxy.substr(0, 100) + "\"",
        "one on this machine, or https:// in the url: questions and keys do not travel in the clear to another machine");
  }
  if (endpoint.log_probabilities && endpoint.protocol != RemoteProtocol::openai) {
    return wrong(endpoint, "log_probabilities", "true", "false: Anthropic's protocol does not have them; set confidence");
  }
  if (!(endpoint.confidence >= 0 && endpoint.confidence <= 1)) {
    return wrong(endpoint, "confidence", std::to_string(endpoint.confidence), "0 to 1", ErrorCode::out_of_range);
  }
  TROUPE_TRY_DO(check_between(endpoint, "context_tokens", endpoint.context_tokens, 1, Endpoint::context_limit));
  TROUPE_TRY_DO(check_between(endpoint, "connect_timeout_ms", endpoint.connect_timeout_ms, 1, Endpoint::timeout_limit_ms));
  TROUPE_TRY_DO(
      check_between(endpoint, "first_byte_timeout_ms", endpoint.first_byte_timeout_ms, 1, Endpoint::timeout_limit_ms));
  TROUPE_TRY_DO(check_between(endpoint, "silence_timeout_ms", endpoint.silence_timeout_ms, 1, Endpoint::timeout_limit_ms));
  TROUPE_TRY_DO(check_between(endpoint, "retries_max", endpoint.retries_max, 0, Endpoint::retries_limit));
  return check_between(endpoint, "requests_max", endpoint.requests_max, 1, Endpoint::requests_limit);
}

ModelClass class_of(const Endpoint& endpoint) {
  return {std::string(to_string(endpoint.protocol)) + ":" + endpoint.model + "@" + endpoint.url, std::string(remote_class)};
}

}  // namespace troupe::policy
