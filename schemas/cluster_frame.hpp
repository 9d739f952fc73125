// A message between nodes as bytes: how it is opened and closed. Used by the files of the cluster codec only.
#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/array.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/result.hpp"
#include "schemas/cluster_codec.hpp"

namespace troupe::schemas {

/// A message in memory that is aligned as Cap'n Proto needs it, read with limits that fit its size. Throws kj::Exception.
class OpenedMessage {
 public:
  explicit OpenedMessage(std::string_view bytes);
  template <class Root>
  typename Root::Reader root() {
    return reader_.getRoot<Root>();
  }
  /// Whether the message ends where its bytes do.
  bool whole() const { return reader_.getEnd() == words_.end(); }

 private:
  kj::Array<capnp::word> words_;
  capnp::FlatArrayMessageReader reader_;
};

/// Whether the length alone says that this is no message.
Result<void> check_length(std::string_view bytes);
std::string close_message(capnp::MessageBuilder& message);

template <class Root, class Value>
std::string encode_as(const Value& value) {
  capnp::MallocMessageBuilder message;
  write(value, message.initRoot<Root>());
  return close_message(message);
}
/// Replaces `value` if all of the message is well, and leaves it alone if not.
template <class Root, class Value>
Result<void> decode_as(std::string_view name, std::string_view bytes, Value& value) {
  return read_field(name, [&]() -> Result<void> {
    TROUPE_TRY_DO(check_length(bytes));
    OpenedMessage message(bytes);
    if (!message.whole()) return Error{ErrorCode::corrupt, "there are bytes after its end"};
    Value decoded;
    TROUPE_TRY_DO(read(message.root<Root>(), decoded));
    value = std::move(decoded);
    return {};
  });
}

}  // namespace troupe::schemas

/// Defines a message's encode and decode; the root of its encoding is the generated struct `Root`.
#define TROUPE_CLUSTER_CODEC(Type, Root)                                                                    \
  std::string encode(const Type& value) { return encode_as<Root>(value); }                                  \
  Result<void> decode(std::string_view bytes, Type& value) { return decode_as<Root>(#Type, bytes, value); } \
  static_assert(true, "so that a semicolon follows")
