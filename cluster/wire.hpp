// What a fabric of frames (framed_fabric.hpp) needs of a transport: links to other processes that carry frames, each a short
// head and a body that moves without copies where the transport can. Used by one thread alone, except for `wake`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/result.hpp"

namespace troupe::cluster {

using LinkId = Id<struct LinkTag>;

/// A frame at its receiver, during the call that announces it. Whoever neither reads `body` nor calls `receive` drops it.
class Arrival {
 public:
  virtual ~Arrival() = default;
  virtual std::span<const std::byte> head() const = 0;
  virtual std::uint64_t bytes() const = 0;
  /// The body, if it is here already; else it is null, and `receive` fetches it.
  virtual const std::byte* body() const = 0;
  /// Moves the body into `target`, of its size. `received` is called once, perhaps within this call; until then the transport
  /// may write to `target`.
  virtual void receive(std::span<std::byte> target, std::function<void(Result<void>)> received) = 0;
};

class Wire {
 public:
  static constexpr std::size_t head_bytes_max = 2048;

  struct Events {
    std::function<void(Arrival&)> arrived;
    std::function<void(LinkId, const Error&)> broke;  ///< the other side is gone; the link is still to be closed
  };

  virtual ~Wire() = default;  ///< nothing touches anybody's memory afterwards
  virtual std::string_view transport() const = 0;
  virtual std::string address() const = 0;
  virtual void listen(Events events) = 0;

  /// Whether anybody is there shows later. `invalid_argument` for an address that no wire has made.
  virtual Result<LinkId> open(std::string_view address) = 0;
  /// Breaks a link off: all that is being sent over it ends, with errors. Known links only.
  virtual void close(LinkId link) = 0;
  /// `sent` is called once, perhaps within this call; until then `body` must stay as it is. Frames of one link arrive in any
  /// order.
  virtual void send(LinkId link, std::string head, std::span<const std::byte> body, std::function<void(Result<void>)> sent) = 0;
  /// Sends and receives that have not ended, and links that are not closed yet.
  virtual std::size_t under_way() const = 0;

  /// Does what there is to do; false if that was nothing.
  virtual bool progress() = 0;
  /// Sleeps until there may be something to do, `wake` is called, or it is `until`.
  virtual void wait(TimePoint until) = 0;
  /// Any thread.
  virtual void wake() = 0;
};

}  // namespace troupe::cluster
