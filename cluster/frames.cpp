#include "cluster/frames.hpp"

#include "cluster/frame_bytes.hpp"

namespace troupe::cluster {

namespace {

constexpr std::uint32_t frame_magic = 0x32465254;  // "TRF2"
constexpr std::string_view address_magic = "tfa1";
constexpr std::string_view key_magic = "tfk1";

void write_head(FrameWriter& writer, const FrameHead& head) {
  writer.number(frame_magic);
  writer.number(static_cast<std::uint8_t>(head.kind));
  writer.number(head.channel);
  writer.number(head.status);
  writer.number(head.session);
  writer.number(head.own);
  writer.number(head.id);
  writer.number(head.value);
}

}  // namespace

std::uint64_t Extents::bytes() const {
  std::uint64_t sum = 0;
  for (const Extent& extent : list) sum += extent.bytes;
  return sum;
}

std::string encode(const FrameHead& head) {
  FrameWriter writer;
  write_head(writer, head);
  return writer.take();
}

std::string encode(const FrameHead& head, const Extents& extents) {
  FrameWriter writer;
  write_head(writer, head);
  writer.name(extents.region);
  for (const Extent& extent : extents.list) {
    writer.number(extent.offset);
    writer.number(extent.bytes);
  }
  return writer.take();
}

Result<Frame> decode_frame(std::span<const std::byte> bytes) {
  FrameReader reader(text_of(bytes));
  Frame frame;
  const auto magic = reader.number<std::uint32_t>();
  const auto kind = reader.number<std::uint8_t>();
  frame.head.kind = static_cast<FrameKind>(kind);
  frame.head.channel = reader.number<std::uint8_t>();
  frame.head.status = reader.number<std::uint16_t>();
  frame.head.session = reader.number<std::uint64_t>();
  frame.head.own = reader.number<std::uint64_t>();
  frame.head.id = reader.number<std::uint64_t>();
  frame.head.value = reader.number<std::uint64_t>();
  if (!reader.fine() || magic != frame_magic || kind < static_cast<int>(FrameKind::hello) ||
      kind > static_cast<int>(FrameKind::bye)) {
    return Error{ErrorCode::corrupt, "a frame's head of " + std::to_string(bytes.size()) + " bytes that no fabric has made"};
  }
  if (frame.head.kind == FrameKind::get || frame.head.kind == FrameKind::put) {
    frame.extents.region = reader.name<RegionId>();
    const std::size_t count = reader.left() / (2 * sizeof(std::uint64_t));
    if (!reader.fine() || count == 0 || count > Extents::count_max) {
      return Error{ErrorCode::corrupt, "a get or put of " + std::to_string(count) + " extents, expected 1 to " +
                                           std::to_string(Extents::count_max)};
    }
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const auto offset = reader.number<std::uint64_t>();
      const auto length = reader.number<std::uint64_t>();
      if (length > Extents::bytes_max - sum) {
        return Error{ErrorCode::corrupt, "a get or put of more than " + std::to_string(Extents::bytes_max) + " bytes"};
      }
      sum += length;
      frame.extents.list.push_back({offset, length});
    }
  }
  if (!reader.done()) return Error{ErrorCode::corrupt, "a frame's head has bytes that do not belong to it"};
  return frame;
}

std::string encode(const Hello& hello) {
  FrameWriter writer;
  writer.name(hello.own);
  writer.name(hello.yours);
  writer.number(static_cast<std::uint16_t>(hello.name.value.size()));
  writer.bytes(hello.name.value);
  writer.number(static_cast<std::uint16_t>(hello.address.size()));
  writer.bytes(hello.address);
  return writer.take();
}

Result<Hello> decode_hello(std::span<const std::byte> bytes) {
  FrameReader reader(text_of(bytes));
  Hello hello;
  hello.own = reader.name<FabricToken>();
  hello.yours = reader.name<FabricToken>();
  hello.name.value = reader.bytes(reader.number<std::uint16_t>());
  hello.address = reader.bytes(reader.number<std::uint16_t>());
  if (!reader.done() || hello.name.value.empty() || hello.name.value.size() > node_name_bytes_max ||
      hello.address.size() > fabric_address_bytes_max) {
    return Error{ErrorCode::corrupt, "a greeting of " + std::to_string(bytes.size()) + " bytes that no fabric has made"};
  }
  return hello;
}

std::string encode(const FabricAddress& address) {
  FrameWriter writer;
  writer.bytes(address_magic);
  writer.name(address.token);
  writer.bytes(address.wire);
  return writer.take();
}

Result<FabricAddress> decode_address(std::string_view bytes) {
  FrameReader reader(bytes);
  const std::string magic = reader.bytes(address_magic.size());
  FabricAddress address;
  address.token = reader.name<FabricToken>();
  if (!reader.fine() || magic != address_magic || bytes.size() > fabric_address_bytes_max) {
    return Error{ErrorCode::invalid_argument,
                 "an address of " + std::to_string(bytes.size()) + " bytes that no fabric of this kind has made"};
  }
  address.wire = reader.bytes(reader.left());
  return address;
}

std::string encode_key(const RegionId& region) {
  FrameWriter writer;
  writer.bytes(key_magic);
  writer.name(region);
  return writer.take();
}

Result<RegionId> decode_key(std::string_view key) {
  FrameReader reader(key);
  const std::string magic = reader.bytes(key_magic.size());
  const auto region = reader.name<RegionId>();
  if (!reader.done() || magic != key_magic) {
    return Error{ErrorCode::invalid_argument,
                 "a region's key of " + std::to_string(key.size()) + " bytes that no fabric of this kind has made"};
  }
  return region;
}

std::uint16_t status_of(ErrorCode code) { return static_cast<std::uint16_t>(static_cast<int>(code) + 1); }

std::optional<Error> error_of_status(std::uint16_t status, const NodeId& peer) {
  if (status == 0) return std::nullopt;
  for (const ErrorCode code : {ErrorCode::invalid_argument, ErrorCode::not_found, ErrorCode::overloaded}) {
    if (status != status_of(code)) continue;
    switch (code) {
      case ErrorCode::not_found: return Error{code, "node " + peer.value + " does not expose that region; ask it for another"};
      case ErrorCode::overloaded:
        return Error{code, "node " + peer.value + " serves as many transfers as it may; try again later"};
      default: return Error{code, "a piece lies outside of the region at node " + peer.value};
    }
  }
  return Error{ErrorCode::unavailable, "node " + peer.value + " refused with status " + std::to_string(status)};
}

}  // namespace troupe::cluster
