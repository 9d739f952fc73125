// What a client wants every prompt of a conversation to say, word for word and for good: facts that no summary may lose. They
// stand first in the summary, in a line of their own; measured, the bundled models read them there as well as their own lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace troupe::policy {

/// A value: every change makes the next version, and each is kept.
struct Pins {
  static constexpr std::size_t count_max = 16;
  static constexpr std::size_t text_bytes_max = 256;
  static constexpr std::size_t bytes_max = 1024;  ///< of all together: every prompt has them

  std::uint32_t version = 0;       ///< 0: nothing was ever pinned
  std::vector<std::string> texts;  ///< in the order in which they were pinned
  friend bool operator==(const Pins&, const Pins&) = default;
};

struct PinChange {
  enum class Kind : std::uint8_t { none, add, remove };
  Kind kind = Kind::none;  ///< `none`: only to know what there is
  std::string text;
  /// The version of the pins that it is made for; none: whatever is pinned. A request that was given up, and made again over
  /// another node, may still arrive long after: made for its version, it does not bring back what has been removed since.
  std::optional<std::uint32_t> made_for = std::nullopt;
  friend bool operator==(const PinChange&, const PinChange&) = default;
};

/// The pins after a change. One that is there already, or is gone already, changes nothing, so that a change may be repeated.
/// `invalid_argument` for a text of more than one line or of nothing, `too_large` beyond a limit; the message says which.
/// `cancelled` if it would change pins of another version than it was made for.
Result<Pins> changed(const Pins& pins, const PinChange& change);

/// A summary with the pins before it.
std::string with_pins(const Pins& pins, const std::string& summary);

}  // namespace troupe::policy
