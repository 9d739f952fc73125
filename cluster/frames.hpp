// What fabrics say to each other over a Wire. Each frame has a head of fixed size; some have more behind it in their head, some
// a body. Whatever arrives may be anything: it is checked here, and bounded before anything is allocated.
#pragma once

#include <array>
#include <optional>

#include "base/name.hpp"
#include "cluster/fabric.hpp"

namespace troupe::cluster {

/// Knowing a fabric's token is having been told its address by it: what does not know it is not listened to.
using FabricToken = Name128<struct FabricTokenTag>;
/// Cannot be guessed, so that only those who were told of a region reach it.
using RegionId = Name128<struct RegionTag>;

enum class FrameKind : std::uint8_t {
  hello = 1,  ///< body: Hello; id: its sender's number of it, ascending; value: that of the hello that it answers, or 0
  message,    ///< id: its place in its channel, from 0; body: the message
  credit,     ///< value: so many bytes of messages are finished with
  get,        ///< id: chosen by the asking one; region and pieces
  data,       ///< id: the get's; status; body: the pieces' bytes, if the status is good
  put,        ///< id: chosen by the asking one; region and pieces; body: their bytes
  stored,     ///< id: the put's; status
  bye,        ///< the sender has forgotten its receiver
};

struct FrameHead {
  FrameKind kind = FrameKind::hello;
  std::uint8_t channel = 0;
  std::uint16_t status = 0;   ///< 0, or one more than an ErrorCode
  std::uint64_t session = 0;  ///< by which its receiver knows its sender, and listens to it
  std::uint64_t own = 0;      ///< the session that answers carry
  std::uint64_t id = 0;
  std::uint64_t value = 0;
};

/// Part of a region as the other side sees it.
struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};
/// What a get or put names. A chunk of a transfer is either one extent, or several small ones.
struct Extents {
  static constexpr std::size_t count_max = 64;
  static constexpr std::uint64_t bytes_max = std::uint64_t{4} << 20;  ///< of all together
  RegionId region;
  std::vector<Extent> list;
  std::uint64_t bytes() const;
};

struct Hello {
  NodeId name;
  FabricToken own;
  FabricToken yours;
  std::string address;  ///< of its wire
};
inline constexpr std::size_t node_name_bytes_max = 255;
inline constexpr std::size_t fabric_address_bytes_max = 4096;

std::string encode(const FrameHead& head);
std::string encode(const FrameHead& head, const Extents& extents);
struct Frame {
  FrameHead head;
  Extents extents;  ///< of a get or put
};
/// `corrupt` for what no fabric of this version has made.
Result<Frame> decode_frame(std::span<const std::byte> bytes);

std::string encode(const Hello& hello);
Result<Hello> decode_hello(std::span<const std::byte> bytes);

/// A fabric's address: its token and its wire's address.
struct FabricAddress {
  FabricToken token;
  std::string wire;
};
std::string encode(const FabricAddress& address);
Result<FabricAddress> decode_address(std::string_view bytes);

std::string encode_key(const RegionId& region);
Result<RegionId> decode_key(std::string_view key);

std::uint16_t status_of(ErrorCode code);
/// The error that a status stands for; nothing for 0.
std::optional<Error> error_of_status(std::uint16_t status, const NodeId& peer);

}  // namespace troupe::cluster
