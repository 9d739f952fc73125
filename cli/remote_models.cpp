#include "cli/remote_models.hpp"

#include <algorithm>
#include <utility>

#include "base/entropy.hpp"
#include "model/file.hpp"
#include "remote/curl_http.hpp"
#include "remote/key_file.hpp"
#include "remote/remote_replica.hpp"
#include "schemas/endpoint_file.hpp"

namespace troupe::cli {

std::optional<std::string> RemoteModels::name_in(std::string_view model) {
  constexpr std::string_view prefix = "remote:";
  if (!model.starts_with(prefix)) return std::nullopt;
  return std::string(model.substr(prefix.size()));
}

Result<RemoteModels> RemoteModels::read(const std::string& file) {
  RemoteModels models;
  models.file_ = file;
  if (file.empty()) return models;
  TROUPE_TRY(const auto text, model::read_file(file, schemas::endpoint_file_bytes_max));
  TROUPE_TRY(models.endpoints_, schemas::parse_endpoints(text, file));
  return models;
}

Result<std::shared_ptr<actors::Replica>> RemoteModels::replica(const std::string& name, std::uint32_t index, policy::Tier tier,
                                                               Log log) {
  const auto endpoint =
      std::find_if(endpoints_.begin(), endpoints_.end(), [&](const policy::Endpoint& each) { return each.name == name; });
  if (endpoint == endpoints_.end()) {
    std::string there;
    for (const policy::Endpoint& each : endpoints_) there += (there.empty() ? "" : ", ") + each.name;
    return Error{ErrorCode::not_found,
                 "there is no endpoint \"" + name + "\"; " +
                     (file_.empty() ? "name the file that describes it: --endpoints FILE (as deploy/endpoints.toml)"
                                    : file_ + " has " + (there.empty() ? "none" : there))};
  }
  if (!endpoint->key_file.empty()) {
    if (auto key = remote::read_key(endpoint->key_file); !key)
      return std::move(key).error().within(file_ + ", endpoint \"" + name + "\"");
  }
  if (!http_) {
    TROUPE_TRY(http_, remote::open_curl_http());
  }
  SystemEntropy entropy;
  return std::make_shared<remote::RemoteReplica>(*endpoint, http_, index, tier, entropy.draw(), std::move(log));
}

}  // namespace troupe::cli
