#include "schemas/endpoint_file.hpp"

#include <utility>

#include "schemas/toml_reader.hpp"

namespace troupe::schemas {

namespace {

using policy::Endpoint;

Result<Endpoint> endpoint_of(const toml::table& table, const std::string& file, std::size_t number) {
  Endpoint endpoint;
  TomlReader reader(table, file, "endpoint[" + std::to_string(number) + "].");
  for (const char* key : {"key", "api_key"}) {
    if (!table.contains(key)) continue;
    return Error{ErrorCode::invalid_argument, reader.place() + ": " + key +
                                                  " does not belong here; write the key into a file that only its owner can "
                                                  "read, and name it as key_file"};
  }
  for (const char* key : {"name", "protocol", "url", "model"}) TROUPE_TRY_DO(reader.require(key, "every endpoint"));
  TROUPE_TRY_DO(reader.read("name", endpoint.name));
  TROUPE_TRY_DO(reader.read_word("protocol", endpoint.protocol, "openai, anthropic", policy::remote_protocol_of));
  TROUPE_TRY_DO(reader.read("url", endpoint.url));
  TROUPE_TRY_DO(reader.read("model", endpoint.model));
  TROUPE_TRY_DO(reader.read("key_file", endpoint.key_file));
  TROUPE_TRY_DO(reader.read("ca_file", endpoint.ca_file));
  TROUPE_TRY_DO(reader.read("proxy", endpoint.proxy));
  TROUPE_TRY_DO(reader.read("context_tokens", endpoint.context_tokens));
  TROUPE_TRY_DO(reader.read("stream", endpoint.stream));
  TROUPE_TRY_DO(reader.read("log_probabilities", endpoint.log_probabilities));
  TROUPE_TRY_DO(reader.read("confidence", endpoint.confidence));
  TROUPE_TRY_DO(reader.read("connect_timeout_ms", endpoint.connect_timeout_ms));
  TROUPE_TRY_DO(reader.read("first_byte_timeout_ms", endpoint.first_byte_timeout_ms));
  TROUPE_TRY_DO(reader.read("silence_timeout_ms", endpoint.silence_timeout_ms));
  TROUPE_TRY_DO(reader.read("retries_max", endpoint.retries_max));
  TROUPE_TRY_DO(reader.read("requests_max", endpoint.requests_max));
  TROUPE_TRY_DO(reader.finish());
  while (endpoint.url.ends_with('/')) endpoint.url.pop_back();
  if (auto valid = policy::validate(endpoint); !valid) return std::move(valid).error().within(reader.place());
  return endpoint;
}

Result<std::vector<Endpoint>> endpoints_of(const toml::table& table, const std::string& file) {
  std::vector<Endpoint> endpoints;
  TomlReader reader(table, file, "");
  TROUPE_TRY(const auto* tables, reader.tables("endpoint", endpoints_max));
  TROUPE_TRY_DO(reader.finish());
  for (std::size_t i = 0; tables != nullptr && i < tables->size(); ++i) {
    TROUPE_TRY(auto endpoint, endpoint_of(*tables->get_as<toml::table>(i), file, i + 1));
    for (const Endpoint& other : endpoints) {
      if (other.name != endpoint.name) continue;
      return Error{ErrorCode::invalid_argument,
                   file + ": two endpoints are called \"" + endpoint.name + "\"; give each its own name"};
    }
    endpoints.push_back(std::move(endpoint));
  }
  return endpoints;
}

}  // namespace

Result<std::vector<Endpoint>> parse_endpoints(std::string_view text, const std::string& file) {
  return parse_toml(text, file, "a list of endpoints", endpoint_file_bytes_max, endpoints_of);
}

}  // namespace troupe::schemas
