#include "cluster/device_frames.hpp"

#include "cluster/frame_bytes.hpp"

namespace troupe::cluster {

namespace {

constexpr std::uint32_t frame_magic = 0x31444654;  // "TFD1"
constexpr std::string_view key_magic = "tdk1";

Result<void> read_extents(FrameReader& reader, Extents& extents) {
  extents.region = reader.name<RegionId>();
  const std::size_t count = reader.left() / (2 * sizeof(std::uint64_t));
  if (!reader.fine() || count == 0 || count > DeviceFrame::extents_max) {
    return Error{ErrorCode::corrupt,
                 "an ask for " + std::to_string(count) + " extents, expected 1 to " + std::to_string(DeviceFrame::extents_max)};
  }
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto offset = reader.number<std::uint64_t>();
    const auto bytes = reader.number<std::uint64_t>();
    if (bytes == 0 || bytes > DeviceFrame::ask_bytes_max - sum) {
      return Error{ErrorCode::corrupt, "an ask with an extent of " + std::to_string(bytes) + " bytes, expected 1 to " +
                                           std::to_string(DeviceFrame::ask_bytes_max - sum)};
    }
    sum += bytes;
    extents.list.push_back({offset, bytes});
  }
  return {};
}

Result<void> read_entries(FrameReader& reader, std::vector<DeviceEntry>& entries) {
  const auto count = reader.number<std::uint16_t>();
  if (!reader.fine() || count == 0 || count > DeviceFrame::entries_max) {
    return Error{ErrorCode::corrupt,
                 "a round of " + std::to_string(count) + " entries, expected 1 to " + std::to_string(DeviceFrame::entries_max)};
  }
  for (std::size_t i = 0; i < count; ++i) {
    const bool of_leader = reader.number<std::uint8_t>() != 0;
    entries.push_back({of_leader, reader.number<std::uint64_t>()});
  }
  return {};
}

}  // namespace

std::string encode(const DeviceFrame& frame) {
  FrameWriter writer;
  writer.number(frame_magic);
  writer.number(static_cast<std::uint8_t>(frame.kind));
  writer.number(static_cast<std::uint8_t>(frame.gets));
  writer.number(frame.status);
  writer.number(frame.own);
  writer.number(frame.yours);
  writer.number(frame.epoch);
  writer.number(frame.id);
  switch (frame.kind) {
    case DeviceFrameKind::ask:
      writer.name(frame.extents.region);
      for (const Extent& extent : frame.extents.list) {
        writer.number(extent.offset);
        writer.number(extent.bytes);
      }
      break;
    case DeviceFrameKind::round:
      writer.number(static_cast<std::uint16_t>(frame.entries.size()));
      for (const DeviceEntry& entry : frame.entries) {
        writer.number(static_cast<std::uint8_t>(entry.of_leader));
        writer.number(entry.id);
      }
      break;
    case DeviceFrameKind::link:
    case DeviceFrameKind::broken: writer.bytes(std::string_view(frame.text).substr(0, DeviceFrame::text_bytes_max)); break;
    default: break;
  }
  return writer.take();
}

Result<DeviceFrame> decode_device_frame(std::span<const std::byte> bytes) {
  FrameReader reader(text_of(bytes));
  DeviceFrame frame;
  const auto magic = reader.number<std::uint32_t>();
  const auto kind = reader.number<std::uint8_t>();
  frame.kind = static_cast<DeviceFrameKind>(kind);
  frame.gets = reader.number<std::uint8_t>() != 0;
  frame.status = reader.number<std::uint16_t>();
  frame.own = reader.number<std::uint64_t>();
  frame.yours = reader.number<std::uint64_t>();
  frame.epoch = reader.number<std::uint64_t>();
  frame.id = reader.number<std::uint64_t>();
  if (!reader.fine() || magic != frame_magic || kind < static_cast<int>(DeviceFrameKind::hello) ||
      kind > static_cast<int>(DeviceFrameKind::broken) || frame.own == 0 || frame.epoch == 0) {
    return Error{ErrorCode::corrupt, "a frame of " + std::to_string(bytes.size()) + " bytes that no fabric has made"};
  }
  if (frame.kind == DeviceFrameKind::ask) TROUPE_TRY_DO(read_extents(reader, frame.extents));
  if (frame.kind == DeviceFrameKind::round) TROUPE_TRY_DO(read_entries(reader, frame.entries));
  if (frame.kind == DeviceFrameKind::link || frame.kind == DeviceFrameKind::broken) {
    if (reader.left() > DeviceFrame::text_bytes_max) {
      return Error{ErrorCode::corrupt, "a frame with a text of " + std::to_string(reader.left()) + " bytes, expected at most " +
                                           std::to_string(DeviceFrame::text_bytes_max)};
    }
    frame.text = reader.bytes(reader.left());
  }
  if (!reader.done()) return Error{ErrorCode::corrupt, "a frame has bytes that do not belong to it"};
  return frame;
}

std::string encode_device_key(const RegionId& region) {
  FrameWriter writer;
  writer.bytes(key_magic);
  writer.name(region);
  return writer.take();
}

Result<RegionId> decode_device_key(std::string_view key) {
  FrameReader reader(key);
  const std::string magic = reader.bytes(key_magic.size());
  const auto region = reader.name<RegionId>();
  if (!reader.done() || magic != key_magic) {
    return Error{ErrorCode::invalid_argument, "a key of " + std::to_string(key.size()) +
                                                  " bytes that names no device memory of a peer; device memory is "
                                                  "moved from and to device memory only"};
  }
  return region;
}

}  // namespace troupe::cluster
