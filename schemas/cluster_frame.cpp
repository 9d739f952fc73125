#include "schemas/cluster_frame.hpp"

#include <cstddef>
#include <cstring>

namespace troupe::schemas {

namespace {

/// The deepest message is a page of history: turns, attempts, result, emissions and their ids are half of it.
constexpr int nesting_max = 16;

kj::Array<capnp::word> aligned(std::string_view bytes) {
  auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
  std::memcpy(words.begin(), bytes.data(), words.size() * sizeof(capnp::word));
  return words;
}

/// A message is walked once. Twice its size is enough for what Cap'n Proto counts besides, and leaves no room for a message
/// whose pointers share a large part many times over.
capnp::ReaderOptions options_for(std::string_view bytes) {
  return {.traversalLimitInWords = 64 + 2 * (bytes.size() / sizeof(capnp::word)), .nestingLimit = nesting_max};
}

}  // namespace

OpenedMessage::OpenedMessage(std::string_view bytes) : words_(aligned(bytes)), reader_(words_, options_for(bytes)) {}

Result<void> check_length(std::string_view bytes) {
  if (bytes.size() > cluster_message_bytes_max) {
    return Error{ErrorCode::too_large, std::to_string(bytes.size()) + " bytes, a message between nodes has at most " +
                                           std::to_string(cluster_message_bytes_max)};
  }
  if (bytes.empty() || bytes.size() % sizeof(capnp::word) != 0) {
    return Error{ErrorCode::corrupt, std::to_string(bytes.size()) + " bytes, a message has a multiple of 8 and not none"};
  }
  return {};
}

std::string close_message(capnp::MessageBuilder& message) {
  const auto words = capnp::messageToFlatArray(message);
  const auto bytes = words.asBytes();
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}

}  // namespace troupe::schemas
