#include "clients/cpp/connect_error.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace troupe::clients {

std::string what_failed(const kj::Exception& exception) {
  const std::string text = exception.getDescription().cStr();
  constexpr std::string_view reason = "gai_strerror(status) = ";
  if (const auto begin = text.find(reason); text.starts_with("DNS lookup failed") && begin != std::string::npos)
    return "this address cannot be looked up: " + text.substr(begin + reason.size());
  // Bytes that are no message: their first ones are taken for its length.
  constexpr std::array<std::string_view, 3> no_message = {"traversalLimitInWords", "too many segments", "segmentCount"};
  if (std::ranges::any_of(no_message, [&](std::string_view each) { return text.find(each) != std::string::npos; }))
    return "what answers there speaks another protocol; give a node's address for clients (its --listen)";
  return text;
}

}  // namespace troupe::clients
