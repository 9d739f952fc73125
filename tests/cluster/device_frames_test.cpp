#include "cluster/device_frames.hpp"

#include <gtest/gtest.h>

#include "base/entropy.hpp"
#include "base/random.hpp"

namespace troupe::cluster {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

DeviceFrame some_frame(DeviceFrameKind kind) {
  DeviceFrame frame;
  frame.kind = kind;
  frame.gets = true;
  frame.status = 4;
  frame.own = 0x1122334455667788U;
  frame.yours = 9;
  frame.epoch = 3;
  frame.id = ~std::uint64_t{0};
  if (kind == DeviceFrameKind::ask) {
    frame.extents = {SystemEntropy().draw_name<RegionId>(), {{5, 10}, {1000, DeviceFrame::ask_bytes_max - 10}}};
  }
  if (kind == DeviceFrameKind::round) frame.entries = {{true, 7}, {false, 7}};
  if (kind == DeviceFrameKind::link || kind == DeviceFrameKind::broken) frame.text = std::string("bytes\0of any kind", 17);
  return frame;
}

constexpr auto all_kinds = {DeviceFrameKind::hello,  DeviceFrameKind::ask,  DeviceFrameKind::ready,
                            DeviceFrameKind::refuse, DeviceFrameKind::drop, DeviceFrameKind::link,
                            DeviceFrameKind::round,  DeviceFrameKind::done, DeviceFrameKind::broken};

TEST(DeviceFrames, SayWhatTheyWereGiven) {
  for (const DeviceFrameKind kind : all_kinds) {
    const DeviceFrame frame = some_frame(kind);
    const auto decoded = decode_device_frame(bytes_of(encode(frame)));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(decoded->kind, kind);
    EXPECT_EQ(decoded->status, 4U);
    EXPECT_EQ(decoded->own, frame.own);
    EXPECT_EQ(decoded->epoch, 3U);
    EXPECT_EQ(decoded->text, frame.text);
    EXPECT_EQ(decoded->entries, frame.entries);
    EXPECT_EQ(decoded->extents.region, frame.extents.region);
    EXPECT_EQ(decoded->extents.bytes(), frame.extents.bytes());
  }
}

TEST(DeviceFrames, AreRefusedWhereTheyAreTruncatedOrLonger) {
  for (const DeviceFrameKind kind : {DeviceFrameKind::done, DeviceFrameKind::round}) {
    const std::string bytes = encode(some_frame(kind));
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      EXPECT_FALSE(decode_device_frame(bytes_of(bytes.substr(0, length)))) << length;
    }
    EXPECT_FALSE(decode_device_frame(bytes_of(bytes + "x")));
  }
}

TEST(DeviceFrames, BoundWhatTheyName) {
  DeviceFrame frame = some_frame(DeviceFrameKind::ask);
  frame.extents.list.assign(DeviceFrame::extents_max + 1, {0, 1});
  EXPECT_FALSE(decode_device_frame(bytes_of(encode(frame))));
  for (const std::uint64_t bytes : {std::uint64_t{0}, DeviceFrame::ask_bytes_max, ~std::uint64_t{0}}) {
    frame.extents.list = {{0, 1}, {0, bytes}};
    EXPECT_FALSE(decode_device_frame(bytes_of(encode(frame)))) << bytes;
  }
  frame = some_frame(DeviceFrameKind::round);
  frame.entries.assign(DeviceFrame::entries_max + 1, {true, 1});
  EXPECT_FALSE(decode_device_frame(bytes_of(encode(frame))));
  frame = some_frame(DeviceFrameKind::link);
  const std::string longer = encode(frame) + std::string(DeviceFrame::text_bytes_max, 'x');
  EXPECT_FALSE(decode_device_frame(bytes_of(longer)));
  frame.text.assign(5000, 'x');
  EXPECT_TRUE(decode_device_frame(bytes_of(encode(frame)))) << "what is said is cut, not refused";
}

TEST(DeviceFrames, OfAnyBytesAreThemselvesOrNothing) {
  Random random(1);
  int decoded = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = encode(some_frame(static_cast<DeviceFrameKind>(1 + random.below(9))));
    for (std::uint64_t flips = random.below(3); flips > 0; --flips) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    }
    const auto frame = decode_device_frame(bytes_of(bytes));
    if (!frame) continue;
    ++decoded;
    const auto again = decode_device_frame(bytes_of(encode(*frame)));
    ASSERT_TRUE(again);
    EXPECT_EQ(encode(*again), encode(*frame));
  }
  EXPECT_GT(decoded, 5000);
}

TEST(DeviceFrames, KeysAreThemselvesOrNothing) {
  const auto region = SystemEntropy().draw_name<RegionId>();
  EXPECT_EQ(*decode_device_key(encode_device_key(region)), region);
  EXPECT_FALSE(decode_device_key(encode_device_key(region).substr(1)));
  EXPECT_FALSE(decode_device_key(encode_key(region))) << "a region of host memory is none of the device's";
  EXPECT_FALSE(decode_key(encode_device_key(region)));
}

}  // namespace
}  // namespace troupe::cluster
