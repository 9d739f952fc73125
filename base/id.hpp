// Ids as types, so that passing one where another belongs does not compile.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace troupe {

/// A value that names something. `Tag` is an empty struct that keeps kinds apart.
template <class Tag, class Value = std::uint64_t>
struct Id {
  Value value{};
  friend constexpr auto operator<=>(const Id&, const Id&) = default;
};

}  // namespace troupe

template <class Tag, class Value>
struct std::hash<troupe::Id<Tag, Value>> {
  std::size_t operator()(const troupe::Id<Tag, Value>& id) const noexcept { return std::hash<Value>{}(id.value); }
};
