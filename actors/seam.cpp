#include "actors/seam.hpp"

namespace troupe::actors {

namespace {
constexpr auto category = caf::atom("troupe");
}

caf::error to_caf(const Error& error) {
  return {static_cast<std::uint8_t>(static_cast<std::uint8_t>(error.code) + 1), category, caf::make_message(error.message)};
}

Error from_caf(const caf::error& error, const std::string& what) {
  if (error && error.category() == category && error.code() > 0 &&
      error.code() <= static_cast<std::uint8_t>(ErrorCode::io) + 1) {
    std::string text;
    if (error.context().match_elements<std::string>()) text = error.context().get_as<std::string>(0);
    return {static_cast<ErrorCode>(error.code() - 1), text};
  }
  if (error == caf::sec::request_timeout) return {ErrorCode::unavailable, what + ": no answer in time"};
  return {ErrorCode::unavailable, what + ": " + caf::to_string(error)};
}

}  // namespace troupe::actors
