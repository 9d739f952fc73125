// Parts of a text, in bytes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

namespace troupe::model {

struct TextSpan {
  std::size_t begin = 0;
  std::size_t end = 0;  ///< one past the last byte
  friend bool operator==(const TextSpan&, const TextSpan&) = default;
};

/// Whether bytes [begin, end) share any with `spans`, which are ascending and do not overlap.
inline bool touches(std::span<const TextSpan> spans, std::size_t begin, std::size_t end) {
  const auto place = std::partition_point(spans.begin(), spans.end(), [&](const TextSpan& span) { return span.end <= begin; });
  return place != spans.end() && place->begin < end;
}

}  // namespace troupe::model
