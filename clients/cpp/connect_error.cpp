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
  constexpr std::array<std::string_view, 4> no_message = {"traversalLimitInWords", "too many segments", "segmentCount",
                                                          "expected segment != nullptr"};
  if (std::ranges::any_of(no_message, [&](std::string_view each) { return text.find(each) != std::string::npos; }))
    return "what answers there speaks another protocol; give a node's address for clients (its --listen)";
  // Of a call of the system, what it was called with is nobody's business: "::connect(...): Connection refused; ...".
  const auto call = text.find("): ");
  if (text.starts_with("::") && call != std::string::npos) return text.substr(call + 3, text.find(';', call) - call - 3);
  return text;
}

}  // namespace troupe::clients
