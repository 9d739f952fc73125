// A connection whose incoming messages are smaller than its outgoing ones. Cap'n Proto 0.9 has one limit for both ways; a node
// needs little of what strangers send, and answers with pages.
#pragma once

#include <capnp/serialize-async.h>

#include <algorithm>
#include <cstdint>

namespace troupe::gateway {

class BoundedStream final : public capnp::MessageStream {
 public:
  /// A message of more than `incoming_words` is an exception before it is read.
  BoundedStream(kj::AsyncIoStream& stream, std::uint64_t incoming_words) : stream_(stream), incoming_words_(incoming_words) {}

  kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> tryReadMessage(kj::ArrayPtr<kj::AutoCloseFd> descriptors,
                                                                    capnp::ReaderOptions options,
                                                                    kj::ArrayPtr<capnp::word> scratch) override {
    options.traversalLimitInWords = std::min(options.traversalLimitInWords, incoming_words_);
    return stream_.tryReadMessage(descriptors, options, scratch);
  }
  kj::Promise<void> writeMessage(kj::ArrayPtr<const int> descriptors,
                                 kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) override {
    return stream_.writeMessage(descriptors, segments);
  }
  kj::Promise<void> writeMessages(kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override {
    return stream_.writeMessages(messages);
  }
  kj::Maybe<int> getSendBufferSize() override { return stream_.getSendBufferSize(); }
  kj::Promise<void> end() override { return stream_.end(); }

 private:
  capnp::AsyncIoMessageStream stream_;
  std::uint64_t incoming_words_;
};

}  // namespace troupe::gateway
