// The name of a KV block: what engines, shards and stores know it by, and all that is ever asked for.
#pragma once

#include "base/name.hpp"

namespace troupe::policy {

/// A hash of everything that the block's contents are computed from (engine/block_id.hpp), so that equal names mean equal bits.
using BlockId = Name128<struct BlockTag>;

}  // namespace troupe::policy
