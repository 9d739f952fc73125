// A node's log of what became of the turns that were drawn for shadows: records under ascending numbers, of which the newest
// are kept. One writer, which knows the numbers; whoever wants to read may.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.hpp"
#include "policy/shadow_record.hpp"
#include "storage/store.hpp"

namespace troupe::storage {

inline constexpr std::uint64_t shadow_records_max = 100'000;

/// Numbers of the oldest record and of the next one; equal if there is none.
struct ShadowLogEnds {
  std::uint64_t first = 1;
  std::uint64_t next = 1;
  friend bool operator==(const ShadowLogEnds&, const ShadowLogEnds&) = default;
};

Result<ShadowLogEnds> read_shadow_ends(const Store& store);

/// Writes the record under the next number, and removes the oldest if there are more than `records_max` then: two at most, so
/// that a log which was allowed more shrinks, and no batch is large. `ends` are what they will be.
std::vector<Put> put_shadow(const policy::ShadowRecord& record, ShadowLogEnds& ends,
                            std::uint64_t records_max = shadow_records_max);

/// At most `query.limit` and what a page holds, from a bounded stretch of the log: a page may be empty and yet not the last. A
/// record that cannot be read is an Error that names it.
Result<policy::ShadowPage> read_shadows(const Store& store, const policy::ShadowQuery& query);

}  // namespace troupe::storage
