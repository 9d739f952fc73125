// The models of a node that others host, by the names that its endpoints file gives them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/replica.hpp"
#include "base/log.hpp"
#include "policy/endpoint.hpp"
#include "remote/http.hpp"

namespace troupe::cli {

class RemoteModels {
 public:
  /// The name of an endpoint, if a model is one: "claude" of "remote:claude".
  static std::optional<std::string> name_in(std::string_view model);

  /// `file`: as deploy/endpoints.toml; empty: there are none.
  static Result<RemoteModels> read(const std::string& file);

  /// Its key is read once now, so that a node with one that it cannot read does not start. `not_found` names those there are.
  Result<std::shared_ptr<actors::Replica>> replica(const std::string& name, std::uint32_t index, policy::Tier tier, Log log);

 private:
  std::string file_;
  std::vector<policy::Endpoint> endpoints_;
  std::shared_ptr<remote::Http> http_;  ///< opened for the first of them, and shared by all
};

}  // namespace troupe::cli
