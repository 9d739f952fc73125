// How the keys of conversations are made; storage/conversations.hpp says what stands under them. Used by storage/ alone.
#pragma once

#include <cstdint>
#include <string>

#include "policy/turn.hpp"
#include "storage/big_endian.hpp"
#include "storage/conversations.hpp"

namespace troupe::storage {

/// Stored in keys: a number is never given to another kind.
enum class Kind : std::uint8_t {
  epoch = 0,
  conversation = 1,
  idempotency_key = 2,
  accepted = 3,
  plan = 4,
  result = 5,
  ended = 6,
  summary = 7,
  open_turn = 8,  ///< of the index that all of a tenant's conversations share
  copy = 9,       ///< the same
  pieces = 10,    ///< of a remote model's attempt: the key goes on with the index of the first
  pins = 11,      ///< by version
  found = 12,     ///< by the search of a turn that has not ended
};

/// What all keys of a conversation begin with.
inline std::string prefix_of(policy::ConversationId conversation) {
  std::string key;
  append_big_endian(key, default_tenant);
  for (const auto byte : conversation.bytes) key += static_cast<char>(byte);
  return key;
}

inline std::string prefix_of(policy::ConversationId conversation, Kind kind) {
  return prefix_of(conversation) + static_cast<char>(kind);
}

/// What a conversation's entries in an index begin with.
inline std::string index_prefix_of(Kind index, policy::ConversationId conversation) {
  std::string key = prefix_of(policy::ConversationId{}, index);
  for (const auto byte : conversation.bytes) key += static_cast<char>(byte);
  return key;
}

}  // namespace troupe::storage
